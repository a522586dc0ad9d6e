"""What several stories begin with."""

import json

import pytest
from test_word_pronunciation import IMAGE, VOCABULARY, record


@pytest.fixture(scope="session")
def archive(client):
    """A model that has learned next to nothing, from a job: quick to train, quick to load. One for all stories."""
    s3, sagemaker, bucket = client("s3"), client("sagemaker"), "tiny-model"
    s3.create_bucket(Bucket=bucket)
    lines = b"".join(record(source=[4, 5 + number], target=[5 + number, 4]) for number in range(6))
    vocabulary = json.dumps(VOCABULARY).encode()
    files = {"train/a.rec": lines, "validation/b.rec": lines}
    files |= {"vocab/vocab.src.json": vocabulary, "vocab/vocab.trg.json": vocabulary}
    for key, body in files.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    sizes = ("rnn_num_hidden", "num_embed_source", "num_embed_target")
    sagemaker.create_training_job(
        TrainingJobName="tiny-model",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 1},
        HyperParameters=dict.fromkeys(sizes, "16") | {"max_num_batches": "2", "batch_size": "2"},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        InputDataConfig=[channel(bucket, name) for name in ("train", "validation", "vocab")],
    )
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.config.delay, waiter.config.max_attempts = 0.2, 600
    waiter.wait(TrainingJobName="tiny-model")
    key = "out/tiny-model/output/model.tar.gz"
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def channel(bucket, name):
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}
