"""What CloudWatch says of machines: how busy a job's and an endpoint's are, and how an endpoint is asked."""

import datetime

import pytest
from botocore.exceptions import ClientError
from light_images import HUGGINGFACE
from served import wait_until
from test_user_inference import Desk

SCRIPT = """
import json
import os
import time

def model_fn(model_dir):
    return None

def input_fn(data, content_type):
    return json.loads(data)["text"]

def predict_fn(text, model):
    if text == "raise":
        raise ValueError("as asked")
    if text == "die":
        os.abort()
    time.sleep(0.05)
    return text

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
MACHINE = ["CPUUtilization", "DiskUtilization", "MemoryUtilization"]


@pytest.fixture(scope="module")
def cloudwatch(client):
    return client("cloudwatch")


def names(cloudwatch, namespace, **dimensions):
    named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    found = cloudwatch.list_metrics(Namespace=namespace, Dimensions=named)["Metrics"]
    return sorted(metric["MetricName"] for metric in found)


def whole(cloudwatch, namespace, name, unit, *statistics, **dimensions):
    """Over the last hour."""
    now = datetime.datetime.now(datetime.UTC)
    points = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - datetime.timedelta(hours=1),
        EndTime=now + datetime.timedelta(minutes=1),
        Period=7200,
        Statistics=statistics,
        Unit=unit,
    )["Datapoints"]
    assert len(points) <= 1
    return points[0] if points else None


def test_a_training_jobs_host_is_measured(cloudwatch, archive):
    """Trained for a second or two, by whoever needed the archive first."""
    namespace, host = "/aws/sagemaker/TrainingJobs", {"Host": "tiny-model/algo-1"}
    assert set(MACHINE) <= set(names(cloudwatch, namespace, **host))
    busy = whole(cloudwatch, namespace, "CPUUtilization", "Percent", "Average", "SampleCount", **host)
    assert busy["Average"] > 0
    assert busy["SampleCount"] >= 1
    assert 0 < whole(cloudwatch, namespace, "MemoryUtilization", "Percent", "Maximum", **host)["Maximum"] < 100


def test_an_endpoints_requests_are_counted_and_timed(client, server, cloudwatch):
    desk, variant = Desk(client, server.home), {"EndpointName": "measured", "VariantName": "AllTraffic"}
    desk.deploy("measured", HUGGINGFACE, {"code/inference.py": SCRIPT})
    for text in ("one", "two", "three"):
        desk.ask("measured", text)
    for text in ("raise", "die"):
        with pytest.raises(ClientError):
            desk.ask("measured", text)

    def counted(name, unit="None", *statistics):
        return whole(cloudwatch, "AWS/SageMaker", name, unit, "Sum", *statistics, **variant)

    wait_until(lambda: (counted("Invocations") or {}).get("Sum") == 5, "five requests were not counted")
    sums = ("InvocationsPerInstance", "Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
    assert [counted(name)["Sum"] for name in sums] == [5, 1, 1, 2]
    model = counted("ModelLatency", "Microseconds", "SampleCount", "Maximum")
    assert model["SampleCount"] == 5
    assert 50_000 < model["Maximum"] < 60_000_000
    assert model["Sum"] > 150_000
    assert counted("OverheadLatency", "Microseconds", "Minimum")["Minimum"] >= 0

    machine = "/aws/sagemaker/Endpoints"
    wait_until(lambda: names(cloudwatch, machine, **variant) == MACHINE, "the endpoint's instance was not measured")
    assert whole(cloudwatch, machine, "MemoryUtilization", "Percent", "Minimum", **variant)["Minimum"] > 0
    desk.sagemaker.delete_endpoint(EndpointName="measured")
