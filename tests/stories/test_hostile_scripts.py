"""Users' scripts that try to get out, to take more than their share, and to find out about others: through the real
server, in script mode. What the attempts are is in tests/engine/programs/hostile_program.py."""

import io
import json
import os
import socket
import tarfile
from pathlib import Path

import pytest
from served import Server, messages, wait_until

HOSTILE = (Path(__file__).parents[1] / "engine" / "programs" / "hostile_program.py").read_text()
GROUP = "/aws/sagemaker/TrainingJobs"
FILL_MEMORY = """
taken = []
while True:
    taken.append(bytearray(b"x" * (8 << 20)))
"""
MULTIPLY = """
import os, time
try:
    while True:
        if os.fork() == 0:
            time.sleep(600)
except OSError as refused:
    print("refused:", refused)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    options = ("--warm", "0", "--job-memory", "400M", "--job-processes", "100")
    running = Server(tmp_path_factory.mktemp("home"), options).start()
    yield running
    running.stop()


def run(server, name: str, script: str, **further):
    """The job as it ended, and what it said."""
    s3, sagemaker, logs = (server.client(service) for service in ("s3", "sagemaker", "logs"))
    s3.create_bucket(Bucket="hostile")
    s3.put_object(Bucket="hostile", Key=f"{name}/sourcedir.tar.gz", Body=packed("train.py", script))
    s3.put_object(Bucket="hostile", Key="in/file", Body=b"input")
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": "python:3", "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        InputDataConfig=[
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://hostile/in"}},
            }
        ],
        OutputDataConfig={"S3OutputPath": "s3://hostile/out/"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 120},
        HyperParameters={
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://hostile/{name}/sourcedir.tar.gz",
        },
        **further,
    )

    def end():
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] not in ("InProgress", "Stopping") else None

    job = wait_until(end, f"{name} did not end", 90)
    if "not run without a sandbox" in job.get("FailureReason", ""):
        pytest.skip(job["FailureReason"])
    (stream,) = messages(logs, GROUP, f"{name}/")
    return job, stream


def packed(name: str, text: str) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(text.encode())
        tar.addfile(member, io.BytesIO(text.encode()))
    return body.getvalue()


def test_a_script_cannot_get_out(server):
    checkout = Path(__file__).parents[2]
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{server.home}")
        abstract.listen()
        forbidden = (server.home, server.home / "door" / "server.sock", server.home / "runs", checkout / "tests")
        environment = {
            "FORBIDDEN": ":".join(map(str, forbidden)),
            "PORTS": str(listening.getsockname()[1]),
            "ABSTRACT": str(server.home),
            **({"AS_ROOT": "yes"} if os.geteuid() == 0 else {}),
        }
        job, said = run(server, "gets-out", HOSTILE, Environment=environment)
    assert job["TrainingJobStatus"] == "Completed", (job, said)
    worked = next(line for line in said if line.startswith("worked: "))
    assert json.loads(worked.removeprefix("worked: ")) == []
    s3 = server.client("s3")
    for archive, expected in (("model", ["id", "weights"]), ("output", [])):
        body = s3.get_object(Bucket="hostile", Key=f"out/gets-out/output/{archive}.tar.gz")["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            assert sorted(member.name for member in tar) == expected
    assert s3.get_object(Bucket="hostile", Key="in/file")["Body"].read() == b"input"


def test_a_script_that_takes_all_memory_fails_and_says_so(server):
    job, _ = run(server, "takes-memory", FILL_MEMORY)
    assert job["TrainingJobStatus"] == "Failed"
    assert "memory" in job["FailureReason"] or "MemoryError" in job["FailureReason"]


def test_a_script_that_multiplies_comes_to_an_end(server):
    job, said = run(server, "multiplies", MULTIPLY)
    assert job["TrainingJobStatus"] == "Completed"
    assert any(line.startswith("refused:") for line in said)
    assert server.client("s3").list_buckets()["Buckets"]
