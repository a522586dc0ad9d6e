# %% [markdown]
r"""A table prepared, learned from, and the model judged: a processing job, a training job, a processing job.

    groundfog exec --serve --home ./cloud -- python walkthroughs/census.py
    ... --people people.csv          # a table of your own, with the same columns

It follows the scikit-learn example of SageMaker Processing, on people who are made up; `census/` has the scripts.
"""

# %%
import argparse
import csv
import io
import json
import random
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import boto3

SCRIPTS = Path(__file__).parent / "census" if "__file__" in globals() else Path("census")
BUCKET, PLACE = "census", "/opt/ml/processing"
ROLE = "arn:aws:iam::000000000000:role/groundfog"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ONE = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30}
EDUCATION = ("children", "high school", "some college", "bachelor", "master", "doctor")
INDUSTRY = ("farming", "construction", "retail", "education", "finance", "not in universe")
WORKER = ("private", "self-employed", "state", "never worked")
COLUMNS = (
    *("age", "education", "industry", "class of worker", "persons of employer"),
    *("capital gains", "capital losses", "dividends", "income"),
)


def main() -> None:
    given = arguments()
    s3, stamp = boto3.client("s3"), int(time.time())
    s3.create_bucket(Bucket=BUCKET)
    table = given.people.read_text() if given.people else people(given.count)
    s3.put_object(Bucket=BUCKET, Key="input/people.csv", Body=table.encode())
    for script in ("preprocess.py", "evaluate.py"):
        s3.upload_file(str(SCRIPTS / script), BUCKET, f"code/{script}")

    process(
        f"preprocess-{stamp}",
        "preprocess.py",
        inputs={"input": "input/people.csv"},
        outputs={name: f"{stamp}/{name}" for name in ("train", "test", "transform")},
        arguments=["--train-test-split-ratio", "0.2"],
    )
    model = train(f"learn-{stamp}", f"{stamp}/train/")
    judged = process(
        f"evaluate-{stamp}",
        "evaluate.py",
        inputs={"model": model, "test": f"{stamp}/test/"},
        outputs={"evaluation": f"{stamp}/evaluation"},
    )
    report = json.loads(s3.get_object(Bucket=BUCKET, Key=f"{stamp}/evaluation/evaluation.json")["Body"].read())
    show(report)
    say(f"\nThe model is {judged['ExitMessage']}.\nModel     s3://{BUCKET}/{model}")


def arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--people", type=Path, help=f"a CSV with a heading: {', '.join(COLUMNS)}")
    asked.add_argument("--count", type=int, default=20_000, help="how many people to make up, where none are given")
    return asked.parse_args([] if "ipykernel" in sys.modules else None)


def say(text: str) -> None:
    print(text, flush=True)


# %% [markdown]
# ## The people
# Whoever is older, learned longer and owns something is likelier to earn more than 50,000; the rest is chance.


# %%
def people(count: int) -> str:
    """A CSV."""
    chance, written = random.Random(7), io.StringIO()
    table = csv.writer(written)
    table.writerow(COLUMNS)
    for _ in range(count):
        table.writerow(person(chance))
    return written.getvalue()


def person(chance: random.Random) -> list[Any]:
    age, education = chance.randint(16, 90), chance.randrange(len(EDUCATION))
    worker = chance.choice(WORKER)
    owns = chance.random() < 0.15
    gains, dividends = (chance.randint(500, 20_000) if owns else 0 for _ in range(2))
    merit = 0.9 * education + 0.04 * min(age, 60) + 3 * owns - 3 * (worker == "never worked") - 6
    income = "50000+" if chance.gauss(merit, 1) > 0 else "-50000"
    losses = chance.randint(100, 4000) if chance.random() < 0.05 else 0
    job = [chance.choice(INDUSTRY), worker, chance.randint(0, 6)]
    return [age, EDUCATION[education], *job, gains, losses, dividends, income]


# %% [markdown]
# ## A processing job
# Inputs lie in folders below `/opt/ml/processing`, and folders there are kept in S3 when the script has ended.


# %%
def process(
    name: str, script: str, inputs: dict[str, str], outputs: dict[str, str], arguments: list[str] | None = None
) -> dict[str, Any]:
    """Keys by the names of folders. The job, described, once it is completed."""
    sagemaker, code = boto3.client("sagemaker"), f"{PLACE}/input/code"
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        AppSpecification={
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", f"{code}/{script}"],
            **({"ContainerArguments": arguments} if arguments else {}),
        },
        ProcessingInputs=[
            {
                "InputName": folder,
                "S3Input": {"S3Uri": f"s3://{BUCKET}/{key}", "LocalPath": path, "S3DataType": "S3Prefix"},
            }
            for folder, key, path in (
                *((folder, key, f"{PLACE}/{folder}") for folder, key in inputs.items()),
                ("code", f"code/{script}", code),
            )
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": folder,
                    "S3Output": {
                        "S3Uri": f"s3://{BUCKET}/{key}",
                        "LocalPath": f"{PLACE}/{folder}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for folder, key in outputs.items()
            ]
        },
        ProcessingResources={"ClusterConfig": ONE},
        RoleArn=ROLE,
    )
    return ended(name, "Processing", sagemaker.describe_processing_job)


# %% [markdown]
# ## A training job
# The script finds what the first job made as its channel `train`.


# %%
def train(name: str, prefix: str) -> str:
    """The model's key."""
    s3, sagemaker, packed = boto3.client("s3"), boto3.client("sagemaker"), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(SCRIPTS / "train.py", "train.py")
    s3.put_object(Bucket=BUCKET, Key=f"{name}/sourcedir.tar.gz", Body=packed.getvalue())
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}"}
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "train:accuracy", "Regex": "train_accuracy=([0-9.]+);"}],
        },
        HyperParameters={
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://{BUCKET}/{name}/sourcedir.tar.gz",
        },
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/models"},
        ResourceConfig=ONE,
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
        RoleArn=ROLE,
    )
    job = ended(name, "Training", sagemaker.describe_training_job)
    where: str = job["ModelArtifacts"]["S3ModelArtifacts"]
    return where.removeprefix(f"s3://{BUCKET}/")


# %% [markdown]
# ## Meanwhile
# Whatever a job says is in CloudWatch Logs, as it is said.


# %%
def ended(name: str, kind: str, describe: Any) -> dict[str, Any]:
    """The job, once it is completed."""
    say(f"\n{name}")
    said = 0
    while True:
        job: dict[str, Any] = describe(**{f"{kind}JobName": name})
        lines = log(f"/aws/sagemaker/{kind}Jobs", name)
        for line in lines[said:]:
            say(f"  {line}")
        said = len(lines)
        match job[f"{kind}JobStatus"]:
            case "Completed":
                return job
            case "Failed" | "Stopped" as status:
                raise SystemExit(f"{name}: {status}. {job.get('FailureReason', '')}")
        time.sleep(0.5)


def log(group: str, name: str) -> list[str]:
    logs = boto3.client("logs")
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    pages = [
        logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
        for stream in streams
    ]
    return [event["message"] for page in pages for event in page["events"]]


# %% [markdown]
# ## How good is it?


# %%
def show(report: dict[str, Any]) -> None:
    say(f"\n{'':12} {'precision':>10} {'recall':>10} {'f1-score':>10} {'people':>10}")
    for label, income in (("0", "-50000"), ("1", "50000+")):
        row = report[label]
        shares = " ".join(f"{row[name]:>10.3f}" for name in ("precision", "recall", "f1-score"))
        say(f"{income:12} {shares} {row['support']:>10.0f}")
    say(f"accuracy {report['accuracy']:.3f}, area under the curve {report['roc_auc']:.3f}")


# %%
if __name__ == "__main__":
    main()
