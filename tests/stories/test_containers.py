"""Where the server runs frameworks' images themselves. Docker is a stand-in: see `fake_docker`."""

import io
import json
import os
import tarfile
import time
from itertools import pairwise

import fake_docker
import pytest
from served import Server, messages, wait_until


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("containers")


@pytest.fixture(scope="module")
def client(folder):
    fake_docker.install(folder / "bin")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        server = Server(folder / "home", ("--warm", "0", "--launcher", "container", "--job-memory", "1G")).start()
    made = {}
    yield lambda service: made.setdefault(service, server.client(service))
    server.stop()


def train(client, name, image, **algorithm):
    s3, source = client("s3"), io.BytesIO()
    with tarfile.open(fileobj=source, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("train.py"))
    s3.create_bucket(Bucket="containers")
    s3.put_object(Bucket="containers", Key="source.tar.gz", Body=source.getvalue())
    client("sagemaker").create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File", **algorithm},
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        OutputDataConfig={"S3OutputPath": "s3://containers/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        HyperParameters={"sagemaker_submit_directory": "s3://containers/source.tar.gz"},
        Environment={"WISH": "to learn"},
    )

    def ask():
        time.sleep(0.2)
        job = client("sagemaker").describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed") else None

    return wait_until(ask, f"{name} did not end", seconds=90)


def log(client, name, group="/aws/sagemaker/TrainingJobs"):
    return messages(client("logs"), group, name)[0]


def test_an_image_trains_with_the_source_directory_in_it(client, folder):
    job = train(client, "contained", "team/trains:1")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert "the image was asked to ['train'] and finds ['train.py'] True" in log(client, "contained")
    asked = [json.loads(line) for line in (folder / "bin" / "asked.jsonl").read_text().splitlines()]
    assert ["--memory", str(1 << 30)] in [list(pair) for line in asked for pair in pairwise(line)]
    body = client("s3").get_object(Bucket="containers", Key="out/contained/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert tar.extractfile("weights").read() == b"to learn"


def test_an_image_takes_a_command(client):
    train(client, "commanded", "trains", ContainerEntrypoint=["sh", "-c"], ContainerArguments=["go"])
    assert "the image was asked to ['-c', 'go'] and finds ['train.py'] True" in log(client, "commanded")


def test_an_image_processes(client):
    client("s3").create_bucket(Bucket="processed")
    client("s3").put_object(Bucket="processed", Key="in/words", Body=b"fog")
    source = {"S3Uri": "s3://processed/in/words", "LocalPath": "/opt/ml/processing/in", "S3DataType": "S3Prefix"}
    target = {"S3Uri": "s3://processed/out", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}
    client("sagemaker").create_processing_job(
        ProcessingJobName="contained",
        ProcessingInputs=[{"InputName": "words", "S3Input": source}],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "backward", "S3Output": target}]},
        AppSpecification={"ImageUri": "team/processes:1", "ContainerArguments": ["turn", "round"]},
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
        },
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
    )

    def ask():
        time.sleep(0.2)
        job = client("sagemaker").describe_processing_job(ProcessingJobName="contained")
        return job if job["ProcessingJobStatus"] in ("Completed", "Failed") else None

    job = wait_until(ask, "it did not end", seconds=90)
    assert (job["ProcessingJobStatus"], job["ExitMessage"]) == ("Completed", "turned round"), job.get("FailureReason")
    assert client("s3").get_object(Bucket="processed", Key="out/backward")["Body"].read() == b"gof"
    said = log(client, "contained", "/aws/sagemaker/ProcessingJobs")
    assert said[-1] == "the image was asked to ['turn', 'round'] by contained"


def test_an_image_that_cannot_be_pulled_fails_with_what_docker_says(client):
    job = train(client, "unpulled", "nowhere/to-be-found:1")
    said = "docker: Error response from daemon: pull access denied for nowhere/to-be-found:1"
    assert job["FailureReason"] == f"AlgorithmError: {said}, exit code: 125"
