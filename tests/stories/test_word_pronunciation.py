"""The published notebook's own calls, as any boto3 user would write them; the record format written out by hand."""

import io
import json
import random
import re
import struct
import subprocess
import sys
import tarfile
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/seq2seq:latest"
VOCABULARY = {symbol: number for number, symbol in enumerate(["<pad>", "<unk>", "<s>", "</s>", *"ABCDEFGH"])}
BUCKET, PREFIX = "my-first-bucket", "seq2seq/reversal"


def varint(number: int) -> bytes:
    more, last = number >> 7, number & 0x7F
    return bytes([last | 0x80]) + varint(more) if more else bytes([last])


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def record(**features: list[int]) -> bytes:
    """`aialgs.data.Record` with int32 tensors, in a RecordIO frame."""
    payload = b"".join(
        field(1, field(1, name.encode()) + field(2, field(7, field(1, b"".join(map(varint, ids))) if ids else b"")))
        for name, ids in features.items()
    )
    return struct.pack("<II", 0xCED7230A, len(payload)) + payload + b"\0" * (-len(payload) % 4)


def targets(body: bytes) -> list[list[int]]:
    """The one int32 tensor of each record of an answer; ids are below 128 here, so a byte each."""
    found = []
    stream = io.BytesIO(body)
    while header := stream.read(8):
        magic, length = struct.unpack("<II", header)
        assert magic == 0xCED7230A
        payload = stream.read(length)
        stream.read(-length % 4)
        assert b"target" in payload
        tensor = payload.partition(b"target")[2]
        values = tensor.partition(b"\x3a")[2][1:]
        found.append(list(values[2:]) if values else [])
    return found


@pytest.fixture(scope="module")
def made(client, server):
    """Everything up to an endpoint in service, once; the tests look at it from several sides."""
    upload(server)
    sagemaker = client("sagemaker")
    account = client("sts").get_caller_identity()["Account"]
    role = f"arn:aws:iam::{account}:role/groundfog"
    sagemaker.create_training_job(**training(role))
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.config.delay, waiter.config.max_attempts = 0.5, 240
    waiter.wait(TrainingJobName="seq2seq-reversal")
    info = sagemaker.describe_training_job(TrainingJobName="seq2seq-reversal")

    sagemaker.create_model(
        ModelName="seq2seq-reversal",
        ExecutionRoleArn=role,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": info["ModelArtifacts"]["S3ModelArtifacts"]},
    )
    variant = {
        "InstanceType": "ml.m4.xlarge",
        "InitialInstanceCount": 1,
        "ModelName": "seq2seq-reversal",
        "VariantName": "AllTraffic",
    }
    sagemaker.create_endpoint_config(EndpointConfigName="Reversal", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="Seq2SeqEndpoint-reversal", EndpointConfigName="Reversal")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.config.delay = 0.5
    waiter.wait(EndpointName="Seq2SeqEndpoint-reversal")
    yield info
    sagemaker.delete_endpoint(EndpointName="Seq2SeqEndpoint-reversal")


def upload(server) -> None:
    keys = server.environment
    s3 = boto3.resource(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
    s3.create_bucket(Bucket=BUCKET)
    draw = random.Random(7)
    words = [[draw.randrange(4, 12) for _ in range(draw.randrange(1, 6))] for _ in range(3000)]
    records = [record(source=word, target=word[::-1]) for word in words]
    files = {
        "train/train.rec": b"".join(records[200:]),
        "validation/val.rec": b"".join(records[:200]),
        "vocab/vocab.src.json": json.dumps(VOCABULARY, indent=4),
        "vocab/vocab.trg.json": json.dumps(VOCABULARY, indent=4),
    }
    for key, body in files.items():
        s3.Bucket(BUCKET).put_object(Key=f"{PREFIX}/{key}", Body=body)


def training(role: str) -> dict[str, Any]:
    def channel(name: str) -> dict[str, Any]:
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": f"s3://{BUCKET}/{PREFIX}/{name}/",
            "S3DataDistributionType": "FullyReplicated",
        }
        return {"ChannelName": name, "DataSource": {"S3DataSource": source}}

    return {
        "TrainingJobName": "seq2seq-reversal",
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": role,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/{PREFIX}/"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 50},
        "HyperParameters": {
            "max_seq_len_source": "10",
            "max_seq_len_target": "10",
            "optimized_metric": "bleu",
            "bleu_sample_size": "50",
            "batch_size": "64",
            "learning_rate": "0.005",
            "checkpoint_frequency_num_batches": "100",
            "rnn_num_hidden": "64",
            "num_embed_source": "32",
            "num_embed_target": "32",
            "max_num_batches": "300",
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "InputDataConfig": [channel("train"), channel("vocab"), channel("validation")],
    }


def ask(client, body, content_type="application/json"):
    # The notebook's own, older name for the client.
    runtime = client("runtime.sagemaker")
    return runtime.invoke_endpoint(EndpointName="Seq2SeqEndpoint-reversal", ContentType=content_type, Body=body)


def test_the_job_says_what_aws_says(made):
    assert made["TrainingJobStatus"] == made["SecondaryStatus"] == "Completed"
    assert made["ModelArtifacts"]["S3ModelArtifacts"] == (
        f"s3://{BUCKET}/{PREFIX}/seq2seq-reversal/output/model.tar.gz"
    )
    passed = [transition["Status"] for transition in made["SecondaryStatusTransitions"]]
    assert [
        status for status in passed if status in ("Starting", "Downloading", "Training", "Uploading", "Completed")
    ] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert made["TrainingStartTime"] <= made["TrainingEndTime"]
    assert made["HyperParameters"]["optimized_metric"] == "bleu"


def test_the_artefact_holds_what_the_walkthrough_shows(made, client):
    body = client("s3").get_object(Bucket=BUCKET, Key=f"{PREFIX}/seq2seq-reversal/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        names = {name.removeprefix("./") for name in tar.getnames()}
        metrics = tar.extractfile(next(m for m in tar if m.name.removeprefix("./") == "metrics")).read().decode()
    expected = {"symbol.json", "params.best", "vocab.src.json", "vocab.trg.json", "metrics", "decode.source"}
    assert expected | {"decode.target", "decode.output.00001"} <= names
    assert len(metrics.splitlines()) == 3
    assert "bleu-val=" in metrics.splitlines()[0]


def test_a_report_lies_in_the_model_and_beside_it(made, client):
    for archive in ("model.tar.gz", "output.tar.gz"):
        key = f"{PREFIX}/seq2seq-reversal/output/{archive}"
        body = client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            files = {member.name.removeprefix("./"): member for member in tar}
            page = tar.extractfile(files["report.html"]).read().decode()
            numbers = json.loads(tar.extractfile(files["report.json"]).read())
        assert "<svg" in page
        assert "<script" not in page
        assert [point["updates"] for point in numbers["curves"]["checkpoints"]] == [100, 200, 300]
        assert {"perplexity-train", "accuracy-val", "bleu-val"} <= numbers["curves"]["checkpoints"][0]["metrics"].keys()
        assert numbers["evaluation"]["sequence_error_rate"] < 0.5
        assert len(numbers["evaluation"]["attention"]) == 12


def test_the_endpoint_answers_json_in_order(made, client):
    payload = {"instances": [{"data": "A B C"}, {"data": "H"}, {"data": "D E F G"}]}
    response = ask(client, json.dumps(payload))
    assert response["ContentType"] == "application/json"
    predictions = json.loads(response["Body"].read().decode("utf-8"))["predictions"]
    assert [prediction["target"] for prediction in predictions] == ["C B A", "H", "G F E D"]


def test_the_attention_matrix_has_a_row_for_each_target_token(made, client):
    payload = {"instances": [{"data": "A B C D", "configuration": {"attention_matrix": "true"}}, {"data": "A"}]}
    predictions = json.loads(ask(client, json.dumps(payload))["Body"].read())["predictions"]
    matrix = np.array(predictions[0]["matrix"])
    assert matrix.shape == (len(predictions[0]["target"].split()), 4)
    assert np.allclose(matrix.sum(axis=1), 1, atol=1e-3)
    assert "matrix" not in predictions[1]


def test_the_endpoint_answers_recordio_with_recordio(made, client):
    body = record(source=[4, 5, 6], target=[]) + record(source=[11], target=[])
    response = ask(client, body, "application/x-recordio-protobuf")
    assert response["ContentType"] == "application/x-recordio-protobuf"
    assert targets(response["Body"].read()) == [[6, 5, 4], [11]]


def test_the_last_metrics_are_those_of_the_log(made):
    found = {metric["MetricName"]: metric["Value"] for metric in made["FinalMetricDataList"]}
    assert found["validation:perplexity"] >= 1
    assert 0 <= found["validation:accuracy"] <= 1
    assert {"train:perplexity", "train:accuracy"} <= found.keys()


def test_a_body_that_is_no_json_is_a_model_error(made, client):
    with pytest.raises(ClientError) as refused:
        ask(client, b"{nope")
    assert refused.value.response["Error"]["Code"] == "ModelError"
    assert refused.value.response["OriginalStatusCode"] == 400


def test_the_log_is_in_cloudwatch(made, client):
    logs = client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="seq2seq-reversal/")["logStreams"]
    assert streams[0]["logStreamName"].startswith("seq2seq-reversal/algo-1-")
    page = logs.get_log_events(
        logGroupName=group, logStreamName=streams[0]["logStreamName"], startFromHead=True, limit=10000
    )
    said = [event["message"] for event in page["events"]]
    speeds = [line for line in said if re.fullmatch(r"Epoch\[\d+\] Batch \[\d+\]\tSpeed: [\d.]+ samples/sec\t.+", line)]
    assert len(speeds) == 6
    again = logs.get_log_events(
        logGroupName=group,
        logStreamName=streams[0]["logStreamName"],
        startFromHead=True,
        nextToken=page["nextForwardToken"],
    )
    assert again["events"] == []
    assert again["nextForwardToken"] == page["nextForwardToken"]


def test_what_the_job_cannot_use_is_its_failure_reason(client):
    sagemaker = client("sagemaker")
    sagemaker.create_training_job(
        TrainingJobName="ill-typed",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        OutputDataConfig={"S3OutputPath": "s3://my-first-bucket/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 1},
        HyperParameters={"batch_size": "many", "foo": "1"},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.config.delay = 0.3
    with pytest.raises(Exception, match="Failed"):
        waiter.wait(TrainingJobName="ill-typed")
    reason = sagemaker.describe_training_job(TrainingJobName="ill-typed")["FailureReason"]
    assert reason.startswith("ClientError")
    assert "batch_size" in reason
    assert "foo" in reason


def test_the_command_shows_the_same_log(made, server):
    shown = subprocess.run(
        [sys.executable, "-m", "groundfog", "logs", "seq2seq-reversal", "--follow", "--home", str(server.home)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Training finished. Best checkpoint: " in shown.stdout
    status = subprocess.run(
        [sys.executable, "-m", "groundfog", "status", "--home", str(server.home)], capture_output=True, text=True
    )
    assert "Completed" in next(line for line in status.stdout.splitlines() if "seq2seq-reversal" in line)
