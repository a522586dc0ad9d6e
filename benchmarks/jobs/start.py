"""From CreateTrainingJob to the program's first words, and to its first update: cold, and with a warm interpreter.

    python benchmarks/jobs/start.py [--jobs 3]

Times are those that stand in the job's log, which are the agent's; the clock starts before boto3 sends the request.
"""

import argparse
import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/seq2seq:latest"
ROLE = "arn:aws:iam::000000000000:role/groundfog"
GROUP = "/aws/sagemaker/TrainingJobs"
WORDS = {symbol: number for number, symbol in enumerate(["<pad>", "<unk>", "<s>", "</s>", *"abcdefgh"])}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--jobs", type=int, default=3)
    jobs = options.parse_args().jobs
    for warm in (0, 1):
        with tempfile.TemporaryDirectory() as home, served(Path(home), warm) as session:
            upload(session)
            times = [measure(session, f"job-{number}", wait=30.0 if warm else 1.0) for number in range(jobs)]
        for what, seconds in zip(("first words", "first update"), zip(*times, strict=True), strict=True):
            shown = " ".join(f"{one:.2f}" for one in seconds)
            print(f"{'warm' if warm else 'cold'}: {what} after {statistics.median(seconds):.2f} s (of {shown})")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")


@contextmanager
def served(home: Path, warm: int) -> Iterator[Any]:
    """The function that makes a client."""
    command = [sys.executable, "-m", "groundfog", "serve", "--home", str(home), "--port", "0", "--warm", str(warm)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not (home / "server.json").exists():
            time.sleep(0.05)
        given = subprocess.run(
            [sys.executable, "-m", "groundfog", "env", "--home", str(home)], capture_output=True, text=True, check=True
        ).stdout
        exports = [line.removeprefix("export ") for line in given.splitlines() if line.startswith("export ")]
        os.environ.update(export.split("=", 1) for export in exports)
        yield boto3.Session().client
    finally:
        server.terminate()
        server.wait()


def upload(client: Any) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="start")
    pairs = b"".join(record(source=[4, 5, 6], target=[6, 5, 4]) for _ in range(500))
    for key, body in {
        "train/train.rec": pairs,
        "validation/val.rec": pairs,
        "vocab/vocab.src.json": json.dumps(WORDS).encode(),
        "vocab/vocab.trg.json": json.dumps(WORDS).encode(),
    }.items():
        s3.put_object(Bucket="start", Key=key, Body=body)


def record(**features: list[int]) -> bytes:
    """A protobuf Record with int32 tensors, in a RecordIO frame; everything here is shorter than 128 bytes."""

    def field(number: int, body: bytes) -> bytes:
        return bytes([number << 3 | 2, len(body)]) + body

    payload = b"".join(
        field(1, field(1, name.encode()) + field(2, field(7, field(1, bytes(ids))))) for name, ids in features.items()
    )
    return struct.pack("<II", 0xCED7230A, len(payload)) + payload + b"\0" * (-len(payload) % 4)


def measure(client: Any, name: str, wait: float) -> tuple[float, float]:
    """Seconds to the first line, and to the line of the first update. `wait` is how long the server rests before."""
    time.sleep(wait)
    sagemaker, logs = client("sagemaker"), client("logs")
    before = time.time()
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=ROLE,
        InputDataConfig=[
            {
                "ChannelName": channel,
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://start/{channel}/"}},
            }
            for channel in ("train", "validation", "vocab")
        ],
        OutputDataConfig={"S3OutputPath": "s3://start/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        HyperParameters={
            "rnn_num_hidden": "64",
            "num_embed_source": "32",
            "num_embed_target": "32",
            "max_num_batches": "2",
            "checkpoint_frequency_num_batches": "1",
            "batch_size": "64",
        },
    )
    while (job := sagemaker.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] == "InProgress":
        time.sleep(0.2)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    (stream,) = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
    events = logs.get_log_events(logGroupName=GROUP, logStreamName=stream["logStreamName"], startFromHead=True)[
        "events"
    ]
    first_update = next(event for event in events if event["message"].startswith("Checkpoint [1]"))
    return events[0]["timestamp"] / 1000 - before, first_update["timestamp"] / 1000 - before


if __name__ == "__main__":
    main()
