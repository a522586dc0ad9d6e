"""The state in PostgreSQL: what was acknowledged stays so, whoever dies, and one server at a time serves from it."""

import subprocess
import sys

from served import wait_until
from test_training_survives import command, ended, in_phase, model, said, submit


def serve(own_server, url, home):
    server = own_server("--warm", "0", "--database", url, home=home, command=command("none"))
    for service in ("s3", "sagemaker", "logs"):
        setattr(server, service, server.client(service))
    return server


def test_a_job_outlives_its_server_and_its_database(own_server, postgres, tmp_path):
    server = serve(own_server, postgres.schema(), tmp_path / "home")
    server.s3.create_bucket(Bucket="bucket")
    server.s3.put_object(Bucket="bucket", Key="in/a", Body=b"fog")
    submit(server.sagemaker, "job", "wait_for_the_end")
    in_phase(server.sagemaker, "job", "Training")
    wait_until(lambda: said(server, "job") == ["waiting"], "the program did not start")
    server.kill()
    server.start()
    assert server.sagemaker.describe_training_job(TrainingJobName="job")["SecondaryStatus"] == "Training"
    postgres.stop()
    postgres.start()
    server.sagemaker.stop_training_job(TrainingJobName="job")
    assert ended(server.sagemaker, "job")["TrainingJobStatus"] == "Stopped"
    assert model(server, "job") == {"weights": "best so far"}
    assert not (server.home / "state.db").exists()


def test_a_second_server_is_refused_and_a_look_is_not(own_server, postgres, tmp_path):
    url = postgres.schema()
    serve(own_server, url, tmp_path / "home").sagemaker.list_training_jobs()
    second = groundfog("serve", "--port", "0", "--home", str(tmp_path / "other"), "--database", url)
    assert second.returncode == 1
    assert "another server serves from this database" in second.stderr
    look = groundfog("status", "--home", str(tmp_path / "home"), "--database", url)
    assert "training jobs: none" in look.stdout, look.stderr


def groundfog(*arguments):
    return subprocess.run([sys.executable, "-m", "groundfog", *arguments], capture_output=True, text=True, timeout=60)
