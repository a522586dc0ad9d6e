"""What a job says and keeps while it trains: metrics, checkpoints, TensorBoard's files, through all that may happen."""

import datetime
import functools
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from served import wait_until

HELD = str(Path(__file__).with_name("held_server.py"))
BUCKET, EPOCHS = "kept", 25
DEFINITIONS = [
    {"Name": "eval_loss", "Regex": r"'eval_loss': ([0-9]+(.|e\-)[0-9]+),?"},
    {"Name": "epoch", "Regex": r"'epoch': ([0-9.]+)"},
    {"Name": "word", "Regex": r"'(eval)_"},
    {"Name": "never", "Regex": r"nothing=(\d+)"},
]


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A server whose images are programs of the tests."""
    from served import Server

    server = Server(tmp_path_factory.mktemp("home"), command=(sys.executable, HELD, "none", "serve")).start()
    # To make a client takes a process that asks for the keys.
    server.client = functools.cache(server.client)
    server.client("s3").create_bucket(Bucket=BUCKET)
    yield server
    server.stop()


def order(name, **changes):
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": "count_epochs:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": DEFINITIONS,
        },
        "RoleArn": "arn:aws:iam::000000000000:role/groundfog",
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out/"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600},
        "HyperParameters": {"epochs": str(EPOCHS), "wait_at": "10"},
        "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/checkpoints/{name}"},
        "TensorBoardOutputConfig": {"S3OutputPath": f"s3://{BUCKET}/board"},
        "DebugHookConfig": {"S3OutputPath": f"s3://{BUCKET}/debug"},
        "ProfilerConfig": {"S3OutputPath": f"s3://{BUCKET}/profiler", "DisableProfiler": False},
        **changes,
    }


def wait_until_so(question, otherwise):
    """Without asking all the time: the server has other things to do."""

    def ask():
        time.sleep(0.2)
        return question()

    return wait_until(ask, otherwise, 60)


def groundfog(server, command, *arguments):
    called = [sys.executable, "-m", "groundfog", command, "--home", str(server.home), *arguments]
    return subprocess.run(called, capture_output=True, text=True, check=True).stdout


def keys(server, prefix):
    found = server.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [one["Key"] for one in found]


def read(server, key):
    return server.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def statistics(server, job, metric, *names):
    now = datetime.datetime.now(datetime.UTC)
    return server.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName=metric,
        Dimensions=[{"Name": "TrainingJobName", "Value": job}],
        StartTime=now - datetime.timedelta(hours=1),
        EndTime=now + datetime.timedelta(minutes=1),
        Period=60,
        Statistics=list(names),
    )["Datapoints"]


def final(described):
    return {metric["MetricName"]: metric["Value"] for metric in described["FinalMetricDataList"]}


def test_nothing_is_lost_or_counted_twice_though_server_and_instances_go(held):
    held.client("sagemaker").create_training_job(**order("spot"))

    def describe():
        return held.client("sagemaker").describe_training_job(TrainingJobName="spot")

    wait_until_so(lambda: "FinalMetricDataList" in describe(), "no metric came while it trained")
    wait_until_so(lambda: keys(held, "checkpoints/spot/"), "no checkpoint came while it trained")
    wait_until_so(lambda: keys(held, "board/spot/tensorboard-output/"), "no events came while it trained")
    assert describe()["SecondaryStatus"] == "Training"
    held.kill()
    held.start()
    told = groundfog(held, "interrupt", "spot")
    assert "will go on with what s3://kept/checkpoints/spot/ holds" in told
    wait_until_so(lambda: describe()["TrainingJobStatus"] != "InProgress", "the job did not end")

    job = describe()
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [one["Status"] for one in job["SecondaryStatusTransitions"]] == [
        *("Starting", "Downloading", "Training", "Interrupted"),
        *("Starting", "Downloading", "Training", "Uploading", "Completed"),
    ]
    assert 1 <= job["BillableTimeInSeconds"] <= job["TrainingTimeInSeconds"]
    assert final(job) == {"eval_loss": pytest.approx(1 / EPOCHS, abs=1e-3), "epoch": EPOCHS}
    points = statistics(held, "spot", "epoch", "SampleCount", "Sum", "Maximum")
    assert sum(point["SampleCount"] for point in points) == EPOCHS
    assert sum(point["Sum"] for point in points) == EPOCHS * (EPOCHS + 1) / 2
    assert max(point["Maximum"] for point in points) == EPOCHS
    assert read(held, "checkpoints/spot/epoch") == str(EPOCHS)
    boards = keys(held, "board/spot/tensorboard-output/events-")
    epochs = [line for board in boards for line in read(held, board).splitlines()]
    assert len(boards) == 2
    assert sorted(map(int, epochs)) == list(range(1, EPOCHS + 1))
    shown = groundfog(held, "logs", "spot", "--metrics").splitlines()
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d  eval_loss [\d.]+  epoch [\d.]+", line) for line in shown), shown
    of_the_script = {"Namespace": "/aws/sagemaker/TrainingJobs", "Dimensions": [{"Name": "TrainingJobName"}]}
    listed = held.client("cloudwatch").list_metrics(**of_the_script)["Metrics"]
    assert {metric["MetricName"] for metric in listed} == {"eval_loss", "epoch"}


def test_each_host_says_its_metrics_and_keeps_its_files(held):
    one = order("two-hosts", HyperParameters={"epochs": "2", "wait_at": "0"})
    one["ResourceConfig"] = {**one["ResourceConfig"], "InstanceCount": 2}
    held.client("sagemaker").create_training_job(**one)

    def ended():
        job = held.client("sagemaker").describe_training_job(TrainingJobName="two-hosts")
        return job if job["TrainingJobStatus"] != "InProgress" else None

    job = wait_until_so(ended, "the job did not end")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert sum(point["SampleCount"] for point in statistics(held, "two-hosts", "epoch", "SampleCount")) == 4
    assert keys(held, "checkpoints/two-hosts/") == ["checkpoints/two-hosts/epoch"]


@pytest.mark.parametrize(
    ("regex", "text"),
    [
        ("loss: (", "no regular expression"),
        ("loss: [0-9.]+", "no group"),
        ("((a{900}){900})", "multiply to more than"),
    ],
)
def test_a_bad_expression_is_refused_at_create(held, regex, text):
    wrong = order("refused")
    wrong["AlgorithmSpecification"] = {
        **wrong["AlgorithmSpecification"],
        "MetricDefinitions": [{"Name": "loss", "Regex": regex}],
    }
    with pytest.raises(ClientError) as refused:
        held.client("sagemaker").create_training_job(**wrong)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert "Invalid MetricDefinitions" in refused.value.response["Error"]["Message"]
    assert text in refused.value.response["Error"]["Message"]
