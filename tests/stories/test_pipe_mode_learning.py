"""The algorithm learns from pipes what it learns from files."""

import json
import random

import pytest
from served import messages, wait_until
from test_word_pronunciation import IMAGE, VOCABULARY, record

BUCKET = "pipe-learning"
CHANNELS = ("train", "validation", "vocab")


@pytest.fixture(scope="module")
def data(client):
    draw = random.Random(3)
    words = [[draw.randrange(4, 12) for _ in range(draw.randrange(1, 6))] for _ in range(240)]
    records = [record(source=word, target=word[::-1]) for word in words]
    files = {f"train/{part}.rec": b"".join(records[40 + part :: 4]) for part in range(4)}
    files |= {"validation/a.rec": b"".join(records[:40])}
    files |= {f"vocab/vocab.{side}.json": json.dumps(VOCABULARY).encode() for side in ("src", "trg")}
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key, body in files.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def learned(client, name: str, mode: str) -> list[str]:
    """What the job said at its checkpoints: losses and accuracies."""
    sagemaker, logs = client("sagemaker"), client("logs")
    sizes = dict.fromkeys(("rnn_num_hidden", "num_embed_source", "num_embed_target"), "16")
    epochs = {"max_num_epochs": "3", "batch_size": "16", "checkpoint_frequency_num_batches": "10"}
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": mode},
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 1},
        # A window that is smaller than the data, so that each epoch is read anew.
        HyperParameters={**sizes, **epochs, "shuffle_window": "70"},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        InputDataConfig=[channel(part, mode) for part in CHANNELS],
    )

    def end():
        told = sagemaker.describe_training_job(TrainingJobName=name)
        return told if told["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    told = wait_until(end, f"{name} did not end", seconds=120)
    assert told["TrainingJobStatus"] == "Completed", told["FailureReason"]
    (stream,) = messages(logs, "/aws/sagemaker/TrainingJobs", f"{name}/")
    return [line for line in stream if line.startswith("Checkpoint [")]


def channel(name: str, mode: str):
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{name}/"}
    # It is two files that are asked for by their names, whatever the others are.
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": source},
        "InputMode": "File" if name == "vocab" else mode,
    }


def test_three_epochs_of_a_pipe_are_three_epochs_of_files(data, client):
    from_files = learned(client, "from-files", "File")
    assert len({line.partition("\t")[0] for line in from_files}) >= 3
    assert [line for line in learned(client, "from-pipes", "Pipe") if "Time" not in line] == [
        line for line in from_files if "Time" not in line
    ]
