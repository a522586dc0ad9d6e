"""Training jobs on a Ray cluster of several nodes, all of them on this machine."""

import pytest
from clusters import a_cluster, why_none
from served import wait_until
from test_training_survives import command, model, said, submit

SECONDS = 180
"""For what takes three on an idle machine."""
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_none()), reason=why_none())]


@pytest.fixture(scope="module")
def cluster():
    with a_cluster(0, 1, 1) as cluster:
        yield cluster


def ended(sagemaker, name):
    def ask():
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait_until(ask, f"{name} did not end", SECONDS)


@pytest.fixture
def start(own_server, cluster, tmp_path):
    def begin(*options):
        address = ("--launcher", "ray", "--ray-address", cluster.address, "--jobs-at-once", "3")
        server = own_server("--warm", "0", *address, *options, home=tmp_path / "home", command=command("none"))
        for service in ("s3", "sagemaker", "logs"):
            setattr(server, service, server.client(service))
        server.s3.create_bucket(Bucket="bucket")
        server.s3.put_object(Bucket="bucket", Key="in/a", Body=b"fog")
        return server

    return begin


def test_a_job_is_trained_on_a_node(start):
    server = start()
    submit(server.sagemaker, "job")
    job = ended(server.sagemaker, "job")
    assert job["TrainingJobStatus"] == "Completed", job
    assert model(server, "job") == {"weights": "hello fog"}


def test_a_job_outlives_its_server(start):
    server = start()
    submit(server.sagemaker, "job", "wait_for_the_end")
    wait_until(lambda: said(server, "job") == ["waiting"], "the program did not start", SECONDS)
    server.kill()
    server.start()
    assert server.sagemaker.describe_training_job(TrainingJobName="job")["SecondaryStatus"] == "Training"
    server.sagemaker.stop_training_job(TrainingJobName="job")
    assert ended(server.sagemaker, "job")["TrainingJobStatus"] == "Stopped"
    assert model(server, "job") == {"weights": "best so far"}
    assert said(server, "job") == ["waiting", "asked to end"]


def test_a_lost_node_costs_a_job_one_start(start, cluster):
    server = start()
    submit(server.sagemaker, "job", "resume")
    runs = server.home / "nodes"
    wait_until(lambda: list(runs.glob("*/opt_ml/checkpoints/runs")), "no checkpoint came", SECONDS)
    (placed,) = runs.glob("*/placed")
    cluster.kill(placed.read_text().split()[1])
    assert ended(server.sagemaker, "job")["TrainingJobStatus"] == "Completed"
    assert said(server, "job") == ["run 1", "run 2"]
    assert model(server, "job") == {"weights": "after 2 runs"}
    cluster.add(1)
