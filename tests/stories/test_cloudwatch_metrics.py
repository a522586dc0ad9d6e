"""What boto3 users see of CloudWatch's metrics."""

import datetime
import itertools
import json
import time
import urllib.parse
import urllib.request

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

VERSION = {"Version": "2010-08-01"}
NAMES = (f"metric-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def cloudwatch(client):
    return client("cloudwatch")


@pytest.fixture
def name():
    return next(NAMES)


def minute():
    """The beginning of one that is over."""
    now = int(time.time())
    return now - now % 60 - 600


def datum(name, at, **how):
    return {"MetricName": name, "Timestamp": at, "Dimensions": [{"Name": "job", "Value": "a"}], **how}


def asked(name, start, seconds=120, period=60, **further):
    return {
        "Namespace": "stories",
        "MetricName": name,
        "Dimensions": [{"Name": "job", "Value": "a"}],
        "StartTime": moment(start),
        "EndTime": moment(start + seconds),
        "Period": period,
        **further,
    }


def moment(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def test_values_come_back_as_statistics_of_their_period(cloudwatch, name):
    start = minute()
    said = [datum(name, start + second, Value=second) for second in (0, 10, 59, 60)]
    said.append(datum(name, start + 61, Values=[1, 2], Counts=[3, 1]))
    cloudwatch.put_metric_data(Namespace="stories", MetricData=said)
    names = ["Average", "Minimum", "Maximum", "Sum", "SampleCount"]
    told = cloudwatch.get_metric_statistics(**asked(name, start, Statistics=names, ExtendedStatistics=["p90"]))
    first, second = told["Datapoints"]
    assert told["Label"] == name
    assert first == {
        "Timestamp": moment(start),
        "Unit": "None",
        "Average": 23,
        "Minimum": 0,
        "Maximum": 59,
        "Sum": 69,
        "SampleCount": 3,
        "ExtendedStatistics": {"p90": 59},
    }
    assert (second["SampleCount"], second["Sum"]) == (5, 65)


def test_statistic_sets_add_up_and_units_stay_apart(cloudwatch, name):
    start = minute()
    whole = {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4}
    said = [
        datum(name, start, StatisticValues=whole, Unit="Seconds"),
        datum(name, start + 1, Value=6, Unit="Seconds"),
        datum(name, start + 1, Value=7, Unit="Bytes"),
    ]
    cloudwatch.put_metric_data(Namespace="stories", MetricData=said)
    wanted = asked(name, start, Statistics=["Sum", "Maximum"], ExtendedStatistics=["p50"])
    told = {point["Unit"]: point for point in cloudwatch.get_metric_statistics(**wanted)["Datapoints"]}
    assert told["Seconds"]["Sum"] == 16
    assert "ExtendedStatistics" not in told["Seconds"]
    assert told["Bytes"]["ExtendedStatistics"] == {"p50": 7}
    (only,) = cloudwatch.get_metric_statistics(**wanted, Unit="Bytes")["Datapoints"]
    assert only["Maximum"] == 7


def test_high_resolution_is_kept_by_the_second_and_paged(cloudwatch, name):
    start = minute()
    said = [datum(name, start + second, Value=second, StorageResolution=1) for second in range(10)]
    cloudwatch.put_metric_data(Namespace="stories", MetricData=said)
    metric = {key: asked(name, start)[key] for key in ("Namespace", "MetricName", "Dimensions")}
    queries = [
        {"Id": "every", "MetricStat": {"Metric": metric, "Period": 1, "Stat": "Average"}},
        {"Id": "unseen", "MetricStat": {"Metric": metric, "Period": 1, "Stat": "Sum"}, "ReturnData": False},
        {"Id": "five", "MetricStat": {"Metric": metric, "Period": 5, "Stat": "p100"}, "Label": "Fives"},
    ]
    span = {"StartTime": moment(start), "EndTime": moment(start + 60)}
    found, pages = {"every": [], "five": []}, 0
    for page in cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, **span, MaxDatapoints=4, ScanBy="TimestampAscending"
    ):
        pages += 1
        for result in page["MetricDataResults"]:
            assert len(result["Values"]) <= 4
            found[result["Id"]] += zip(result["Timestamps"], result["Values"], strict=True)
    assert found["every"] == [(moment(start + second), second) for second in range(10)]
    assert found["five"] == [(moment(start), 4), (moment(start + 5), 9)]
    assert pages == 3
    newest = cloudwatch.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"]
    assert newest[0]["Values"] == list(range(9, -1, -1))
    assert [result["Label"] for result in newest] == [name, "Fives"]


def test_metrics_are_listed_by_name_and_dimensions(cloudwatch):
    said = [datum(f"listed-{number:04}", time.time(), Value=1) for number in range(700)]
    cloudwatch.put_metric_data(Namespace="listing", MetricData=said)
    pages = list(cloudwatch.get_paginator("list_metrics").paginate(Namespace="listing", RecentlyActive="PT3H"))
    assert [len(page["Metrics"]) for page in pages] == [500, 200]
    (one,) = cloudwatch.list_metrics(MetricName="listed-0042", Dimensions=[{"Name": "job"}])["Metrics"]
    assert one == {
        "Namespace": "listing",
        "MetricName": "listed-0042",
        "Dimensions": [{"Name": "job", "Value": "a"}],
    }
    assert not cloudwatch.list_metrics(Namespace="listing", Dimensions=[{"Name": "job", "Value": "b"}])["Metrics"]


@pytest.mark.parametrize(
    ("call", "code", "text", "changes"),
    [
        ("put", "InvalidParameterValue", "AWS/", {"Namespace": "AWS/Mine"}),
        ("put", "InvalidParameterCombination", "mutually exclusive", {"Value": 1, "Values": [1]}),
        ("put", "MissingParameter", "MetricData.member.1.Value", {}),
        ("put", "InvalidParameterValue", "StorageResolution must be 1 or 60", {"Value": 1, "StorageResolution": 7}),
        ("put", "InvalidParameterValue", "two weeks", {"Value": 1, "Timestamp": 1_000_000_000}),
        ("put", "InvalidParameterValue", "must have the same size", {"Values": [1, 2], "Counts": [1]}),
        ("put", "InvalidParameterValue", "number up to 2^360", {"Value": float("nan")}),
        ("get", "InvalidParameterValue", "multiple of 60", {"Period": 61}),
        ("get", "InvalidParameterCombination", "exceeds the limit of 1440", {"Period": 1, "StartTime": 1_700_000_000}),
        ("get", "InvalidParameterValue", "p101", {"ExtendedStatistics": ["p101"]}),
        ("get", "MissingParameter", "Statistics", {"Statistics": None}),
        ("data", "NotImplemented", "Metric math (Expression of the query e1)", {"Expression": "SUM(METRICS())"}),
        ("data", "InvalidNextToken", "NextToken", {"NextToken": "0/0/x"}),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_name(cloudwatch, call, code, text, changes):
    def put(Namespace="stories", **how):
        cloudwatch.put_metric_data(Namespace=Namespace, MetricData=[datum("refused", time.time()) | how])

    def get(**how):
        request = asked("refused", minute(), Statistics=["Sum"]) | how
        cloudwatch.get_metric_statistics(**{name: value for name, value in request.items() if value is not None})

    def data(Expression=None, **how):
        metric = {"Namespace": "stories", "MetricName": "refused"}
        query = {"Id": "e1", "Expression": Expression} if Expression else {"Id": "m1"}
        query |= {} if Expression else {"MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
        cloudwatch.get_metric_data(MetricDataQueries=[query], StartTime=moment(0), EndTime=moment(60), **how)

    with pytest.raises(ClientError) as refused:
        {"put": put, "get": get, "data": data}[call](**changes)
    assert refused.value.response["Error"]["Code"] == code
    assert text in refused.value.response["Error"]["Message"]


def test_older_clients_speak_query(server, name):
    start = minute()
    put = {
        "Action": "PutMetricData",
        "Namespace": "stories",
        "MetricData.member.1.MetricName": name,
        "MetricData.member.1.Values.member.1": "5",
        "MetricData.member.1.Values.member.2": "7",
        "MetricData.member.1.Timestamp": moment(start).isoformat(),
        "MetricData.member.1.Unit": "Seconds",
        "MetricData.member.1.Dimensions.member.1.Name": "job",
        "MetricData.member.1.Dimensions.member.1.Value": "a",
    }
    ask = {
        "Action": "GetMetricStatistics",
        "Namespace": "stories",
        "MetricName": name,
        "Period": "60",
        "StartTime": moment(start).isoformat(),
        "EndTime": moment(start + 60).isoformat(),
        "Dimensions.member.1.Name": "job",
        "Dimensions.member.1.Value": "a",
        "Statistics.member.1": "Average",
        "ExtendedStatistics.member.1": "p90",
    }
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert "<PutMetricDataResponse" in signed(server, urllib.parse.urlencode(put | VERSION), form)
    told = signed(server, urllib.parse.urlencode(ask | VERSION), form)
    for text in ("<Average>6.0</Average>", "<Unit>Seconds</Unit>", "<key>p90</key>", "<value>7.0</value>"):
        assert text in told


def test_older_clients_speak_json(server, cloudwatch, name):
    cloudwatch.put_metric_data(Namespace="stories", MetricData=[datum(name, minute(), Value=5)])
    target = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "GraniteServiceVersion20100801.ListMetrics",
    }
    told = signed(server, json.dumps({"MetricName": name, "Namespace": "stories"}), target)
    assert [metric["MetricName"] for metric in json.loads(told)["Metrics"]] == [name]


def signed(server, body, headers):
    """What the server answers to a request that no client of today would send."""
    given = server.environment
    request = AWSRequest("POST", f"{server.url}/", data=body.encode(), headers=headers)
    credentials = Credentials(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(credentials, "monitoring", given["AWS_REGION"]).add_auth(request)
    sent = urllib.request.Request(request.url, request.data, dict(request.headers), method="POST")
    with urllib.request.urlopen(sent, timeout=30) as answer:
        return answer.read().decode()
