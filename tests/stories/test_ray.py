"""Training jobs on a Ray cluster of several nodes, all of them on this machine."""

import pytest
from clusters import a_cluster, why_none
from served import wait_until
from test_training_survives import command, ended, in_phase, model, said, submit

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_none()), reason=why_none())]


@pytest.fixture(scope="module")
def cluster():
    with a_cluster(0, 1, 1) as cluster:
        yield cluster


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
    wait_until(lambda: said(server, "job") == ["waiting"], "the program did not start", 60)
    server.kill()
    server.start()
    assert server.sagemaker.describe_training_job(TrainingJobName="job")["SecondaryStatus"] == "Training"
    server.sagemaker.stop_training_job(TrainingJobName="job")
    assert ended(server.sagemaker, "job")["TrainingJobStatus"] == "Stopped"
    assert model(server, "job") == {"weights": "best so far"}
    assert said(server, "job") == ["waiting", "asked to end"]


def test_a_lost_node_costs_a_job_one_start(start, cluster):
    server = start()
    node = cluster.add(1)
    for name in ("a", "b", "c"):  # One for each node that takes any: SPREAD.
        submit(server.sagemaker, name, "resume")
    for name in ("a", "b", "c"):
        wait_until(lambda: said(server, name) == ["run 1"], f"{name} did not start", 90)  # noqa: B023
    cluster.kill(node)

    def done():
        jobs = server.sagemaker.list_training_jobs(StatusEquals="Completed")["TrainingJobSummaries"]
        return [job["TrainingJobName"] for job in jobs]

    (name,) = wait_until(done, "none started again", 90)
    assert said(server, name)[0] == "run 1" and len(said(server, name)) == 2
    for other in {"a", "b", "c"} - {name}:
        assert said(server, other) == ["run 1"]
        server.sagemaker.stop_training_job(TrainingJobName=other)
        ended(server.sagemaker, other)
