"""The server is killed with -9 at random moments during twenty jobs: nothing acknowledged is lost, every job ends."""

import json
import random
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError
from served import wait_until
from test_word_pronunciation import IMAGE, VOCABULARY, record

JOBS = 20
SEED = 20261121


@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED])
def test_twenty_jobs_and_many_power_cuts(own_server, seed):
    draw = random.Random(seed)
    server = own_server("--jobs-at-once", "2")
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    s3.create_bucket(Bucket="cuts")
    words = [[draw.randrange(4, 12) for _ in range(draw.randrange(1, 6))] for _ in range(400)]
    records = b"".join(record(source=word, target=word[::-1]) for word in words)
    for key in ("train/train.rec", "validation/val.rec"):
        s3.put_object(Bucket="cuts", Key=key, Body=records)
    for key in ("vocab/vocab.src.json", "vocab/vocab.trg.json"):
        s3.put_object(Bucket="cuts", Key=key, Body=json.dumps(VOCABULARY))

    acknowledged: dict[str, bytes] = {}
    submitted: list[str] = []
    cuts, next_cut = 0, time.monotonic() + 0.5
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        try:
            if len(submitted) < JOBS:
                submit(sagemaker, f"job-{len(submitted):02}")
                submitted.append(f"job-{len(submitted):02}")
            key, body = f"object-{len(acknowledged):05}", draw.randbytes(draw.randrange(1, 50_000))
            s3.put_object(Bucket="cuts", Key=key, Body=body)
            acknowledged[key] = body
            if len(submitted) == JOBS and not unfinished(sagemaker):
                break
        except (ConnectionError, BotoCoreError):
            pass  # not acknowledged, so not promised
        if time.monotonic() > next_cut:
            server.kill()
            server.start()
            cuts, next_cut = cuts + 1, time.monotonic() + draw.uniform(0.3, 4.0)

    assert cuts >= 5
    for name in submitted:
        info = wait_until(lambda name=name: ended(sagemaker, name), f"{name} did not end", 60)
        assert info["TrainingJobStatus"] == "Completed", (name, info.get("FailureReason"))
        bucket, key = info["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").split("/", 1)
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 1000
    for key, body in acknowledged.items():
        assert s3.get_object(Bucket="cuts", Key=key)["Body"].read() == body


def submit(sagemaker, name: str) -> None:
    channels = [
        {
            "ChannelName": channel,
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://cuts/{channel}/"}},
        }
        for channel in ("train", "validation", "vocab")
    ]
    try:
        sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            RoleArn="arn:aws:iam::000000000000:role/groundfog",
            OutputDataConfig={"S3OutputPath": "s3://cuts/out"},
            ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 1},
            HyperParameters={
                "rnn_num_hidden": "32",
                "num_embed_source": "16",
                "num_embed_target": "16",
                "max_num_batches": "60",
                "checkpoint_frequency_num_batches": "20",
            },
            StoppingCondition={"MaxRuntimeInSeconds": 600},
            InputDataConfig=channels,
        )
    except ClientError as refused:
        # The answer to an earlier try was cut off; the job is there.
        if refused.response["Error"]["Code"] != "ResourceInUse":
            raise


def unfinished(sagemaker) -> list[str]:
    listed = sagemaker.list_training_jobs(StatusEquals="InProgress", MaxResults=100)["TrainingJobSummaries"]
    return [job["TrainingJobName"] for job in listed]


def ended(sagemaker, name: str):
    info = sagemaker.describe_training_job(TrainingJobName=name)
    return info if info["TrainingJobStatus"] not in ("InProgress", "Stopping") else None
