"""The server is killed with -9 in each phase of a job; the next one over the same home finishes it."""

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest
from served import messages, wait_until

HELD = str(Path(__file__).with_name("held_server.py"))
ROLE = "arn:aws:iam::000000000000:role/groundfog"


def command(step: str) -> tuple[str, ...]:
    return (sys.executable, HELD, step, "serve")


def submit(sagemaker, name: str, image: str = "learn", *, hosts: int = 1, **further: object) -> None:
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": f"{image}:1", "TrainingInputMode": "File"},
        RoleArn=ROLE,
        InputDataConfig=[
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in"}},
            }
        ],
        OutputDataConfig={"S3OutputPath": "s3://bucket/out/"},
        ResourceConfig={"InstanceCount": hosts, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        HyperParameters={"greeting": "hello"},
        **further,
    )


def ended(sagemaker, name: str):
    def ask():
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait_until(ask, f"{name} did not end", 120)


def in_phase(sagemaker, name: str, phase: str) -> None:
    wait_until(
        lambda: sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"] == phase,
        f"{name} did not come to {phase}",
    )


def model(server, name: str) -> dict[str, str]:
    body = server.s3.get_object(Bucket="bucket", Key=f"out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar}


def said(server, name: str) -> list[str]:
    streams = messages(server.logs, "/aws/sagemaker/TrainingJobs", f"{name}/")
    return [line for stream in streams for line in stream]


@pytest.fixture
def start(own_server, tmp_path):
    home = tmp_path / "home"

    def begin(step: str = "none"):
        server = own_server("--warm", "0", "--jobs-at-once", "1", home=home, command=command(step))
        # Port and keys outlive the server, and so do clients.
        for service in ("s3", "sagemaker", "logs"):
            setattr(server, service, server.client(service))
        server.s3.create_bucket(Bucket="bucket")
        server.s3.put_object(Bucket="bucket", Key="in/a", Body=b"fog")
        return server

    return begin


def again(server):
    server.command = command("none")
    return server.start()


@pytest.mark.parametrize(("step", "phase"), [("fill", "Downloading"), ("pack", "Uploading")])
def test_killed_while_it_moves_data(start, step, phase):
    server = start(step)
    submit(server.sagemaker, "job")
    wait_until((server.home / "held").exists, f"{phase} did not begin")
    server.kill()
    again(server)
    job = ended(server.sagemaker, "job")
    assert job["TrainingJobStatus"] == "Completed"
    phases = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert phases == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert model(server, "job") == {"weights": "hello fog"}
    assert list((server.home / "runs").iterdir()) == []


def test_killed_while_one_trains_and_one_waits_in_line(start):
    server = start()
    sagemaker = server.sagemaker
    submit(sagemaker, "first", "wait_for_the_end")
    submit(sagemaker, "second")
    in_phase(sagemaker, "first", "Training")
    wait_until(lambda: said(server, "first") == ["waiting"], "the program did not start")
    server.kill()
    again(server)
    sagemaker = server.sagemaker
    assert sagemaker.describe_training_job(TrainingJobName="first")["SecondaryStatus"] == "Training"
    assert sagemaker.describe_training_job(TrainingJobName="second")["SecondaryStatus"] == "Starting"
    sagemaker.stop_training_job(TrainingJobName="first")
    assert ended(sagemaker, "first")["TrainingJobStatus"] == "Stopped"
    assert model(server, "first") == {"weights": "best so far"}
    assert said(server, "first") == ["waiting", "asked to end"]
    assert ended(sagemaker, "second")["TrainingJobStatus"] == "Completed"


def test_a_program_ends_while_no_server_runs(start):
    server = start()
    submit(server.sagemaker, "job", "take_a_second")
    in_phase(server.sagemaker, "job", "Training")
    wait_until(lambda: said(server, "job") == ["begun"], "the program did not start")
    server.kill()
    wait_until(lambda: list((server.home / "runs").glob("*/exit.json")), "the program did not end by itself")
    (exit_file,) = (server.home / "runs").glob("*/exit.json")
    assert json.loads(exit_file.read_text())["exit_code"] == 0
    again(server)
    assert ended(server.sagemaker, "job")["TrainingJobStatus"] == "Completed"
    assert model(server, "job") == {"weights": "it took a second"}
    assert said(server, "job") == ["begun", "done"]


def test_a_stop_is_acknowledged_once_and_for_all(start):
    server = start()
    sagemaker = server.sagemaker
    submit(sagemaker, "job", "wait_for_the_end")
    wait_until(lambda: said(server, "job") == ["waiting"], "the program did not start")
    sagemaker.stop_training_job(TrainingJobName="job")
    server.kill()
    again(server)
    assert ended(server.sagemaker, "job")["TrainingJobStatus"] == "Stopped"
    assert model(server, "job") == {"weights": "best so far"}
