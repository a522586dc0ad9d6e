"""Code of users' own that asks Amazon's STS by its address, as the SageMaker SDK does: in a job it is answered here."""

import io
import json
import tarfile
from pathlib import Path

import botocore
import pytest
from light_images import PYTORCH, make_known
from served import wait_until

BUCKET = "fixed-addresses"
ROLE = "arn:aws:iam::000000000000:role/groundfog"
ARN = "arn:aws:sts::000000000000:assumed-role/groundfog/SageMaker"
ASK = """
import builtins, subprocess, sys
import boto3

def who():
    sts = boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
    return sts.get_caller_identity()["Arn"]
"""
TRAIN = (
    ASK
    + """
if sys.argv[1:] == ["child"]:
    print("child", who(), builtins.mine)
else:
    print("script", who(), builtins.mine, flush=True)
    subprocess.run([sys.executable, "train.py", "child"], check=True)
"""
)
INFERENCE = (
    ASK
    + """
def model_fn(model_dir):
    return who()

def input_fn(data, content_type):
    return data

def predict_fn(data, model):
    return model

def output_fn(prediction, accept):
    return prediction, accept
"""
)
MINE = {"sitecustomize.py": "import builtins; builtins.mine = 'with a sitecustomize of its own'"}


def boto3_itself():
    """The files of boto3 and of what it needs, with the description of one service."""
    installed = Path(botocore.__file__).parents[1]
    packages = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3")
    for file in (one for package in packages for one in (installed / package).rglob("*") if one.is_file()):
        name = file.relative_to(installed)
        is_data = name.parts[:2] == ("botocore", "data")
        if file.suffix != ".pyc" and (not is_data or len(name.parts) == 3 or name.parts[2] == "sts"):
            yield str(name), file.read_bytes()
    yield "six.py", (installed / "six.py").read_bytes()


@pytest.fixture(scope="module")
def packed():
    """packed({"train.py": ...}, below="code/") is an archive with boto3 in it too."""
    libraries = dict(boto3_itself())

    def pack(files, below=""):
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as tar:
            for name, body in {**libraries, **{name: text.encode() for name, text in files.items()}}.items():
                member = tarfile.TarInfo(below + name)
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))
        return made.getvalue()

    return pack


@pytest.fixture(scope="module")
def s3(client):
    client("s3").create_bucket(Bucket=BUCKET)
    return client("s3")


def test_in_a_training_job_and_in_what_it_starts(client, s3, packed):
    sagemaker = client("sagemaker")
    s3.put_object(Bucket=BUCKET, Key="sourcedir.tar.gz", Body=packed({"train.py": TRAIN, **MINE}))
    sagemaker.create_training_job(
        TrainingJobName="asks-amazon",
        AlgorithmSpecification={"TrainingImage": "python:3", "TrainingInputMode": "File"},
        RoleArn=ROLE,
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        HyperParameters={
            "sagemaker_program": json.dumps("train.py"),
            "sagemaker_submit_directory": json.dumps(f"s3://{BUCKET}/sourcedir.tar.gz"),
        },
    )
    ended = wait_until(
        lambda: sagemaker.describe_training_job(TrainingJobName="asks-amazon").get("TrainingEndTime"),
        "the job did not end",
        seconds=120,
    )
    assert ended
    events = client("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="asks-amazon/"
    )["events"]
    said = [event["message"] for event in events]
    assert [line for line in said if ARN in line] == [
        f"script {ARN} with a sitecustomize of its own",
        f"child {ARN} with a sitecustomize of its own",
    ], said


def test_behind_an_endpoint(client, s3, server, packed):
    make_known(server.home)
    sagemaker = client("sagemaker")
    s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=packed({"inference.py": INFERENCE}, below="code/"))
    container = {"Image": PYTORCH, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
    sagemaker.create_model(ModelName="asks-amazon", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": "asks-amazon", "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName="asks-amazon", ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
    )
    sagemaker.create_endpoint(EndpointName="asks-amazon", EndpointConfigName="asks-amazon")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.config.delay, waiter.config.max_attempts = 0.2, 300
    waiter.wait(EndpointName="asks-amazon")
    runtime = client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName="asks-amazon", Body=b"who?", Accept="text/plain")
    assert answer["Body"].read().decode() == ARN
    sagemaker.delete_endpoint(EndpointName="asks-amazon")
