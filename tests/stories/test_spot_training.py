"""The built-in algorithm on spot instances: taken away while it learns, it ends where it would have ended."""

import subprocess
import sys

import pytest
from served import wait_until
from test_word_pronunciation import IMAGE

pytestmark = pytest.mark.slow
SIZES = dict.fromkeys(("rnn_num_hidden", "num_embed_source", "num_embed_target"), "32")


def channel(name):
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://tiny-model/{name}/"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def submit(sagemaker, name, **further):
    limits = {"MaxRuntimeInSeconds": 900, **further.pop("StoppingCondition", {})}
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        OutputDataConfig={"S3OutputPath": "s3://tiny-model/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 1},
        HyperParameters=SIZES
        | {"max_num_batches": "3000", "batch_size": "2"}
        | {"checkpoint_frequency_num_batches": "300", "checkpoint_threshold": "100"},
        StoppingCondition=limits,
        InputDataConfig=[channel(one) for one in ("train", "validation", "vocab")],
        **further,
    )


def ended(sagemaker, name):
    def ask():
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] != "InProgress" else None

    job = wait_until(ask, f"{name} did not end", 600)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    return job


def metrics_file(client, name):
    """Without what depends on the clock: a line for each checkpoint."""
    key = f"checkpoints/{name}/journal/metrics"
    text = client("s3").get_object(Bucket="tiny-model", Key=key)["Body"].read().decode()
    return [[field for field in line.split("\t") if not field.startswith("time-")] for line in text.splitlines()]


def test_an_interrupted_training_learns_what_an_uninterrupted_one_does(server, client, archive):
    sagemaker = client("sagemaker")
    for name in ("steady", "taken"):
        submit(
            sagemaker,
            name,
            EnableManagedSpotTraining=True,
            StoppingCondition={"MaxWaitTimeInSeconds": 1800},
            CheckpointConfig={"S3Uri": f"s3://tiny-model/checkpoints/{name}/"},
        )
    steady = ended(sagemaker, "steady")
    wait_until(
        lambda: sagemaker.describe_training_job(TrainingJobName="taken").get("FinalMetricDataList"), "no metric", 300
    )
    command = [sys.executable, "-m", "groundfog", "interrupt", "--home", str(server.home), "--for", "3", "taken"]
    subprocess.run(command, check=True, capture_output=True)
    taken = ended(sagemaker, "taken")
    assert [one["Status"] for one in taken["SecondaryStatusTransitions"]].count("Interrupted") == 1
    assert taken["BillableTimeInSeconds"] < taken["TrainingTimeInSeconds"]
    final = [{one["MetricName"]: one["Value"] for one in job["FinalMetricDataList"]} for job in (steady, taken)]
    assert final[0] == final[1]
    assert metrics_file(client, "taken") == metrics_file(client, "steady")
