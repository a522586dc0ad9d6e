"""CloudWatch Logs as boto3 users and the SageMaker SDK's log follower call it."""

import time

import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def logs(client):
    return client("logs")


@pytest.fixture(scope="module")
def now():
    return int(time.time() * 1000)


@pytest.fixture
def stream(logs, request):
    """Names of a group and a stream of this test's own."""
    group = f"/stories/{request.node.name[:60]}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    yield {"logGroupName": group, "logStreamName": "s"}
    logs.delete_log_group(logGroupName=group)


def put(logs, stream, now, *messages):
    logs.put_log_events(
        **stream, logEvents=[{"timestamp": now + number, "message": text} for number, text in enumerate(messages)]
    )


def said(page):
    return [event["message"] for event in page["events"]]


def refused(call, code, text, **request):
    with pytest.raises(ClientError) as error:
        call(**request)
    assert error.value.response["Error"]["Code"] == code
    assert text in error.value.response["Error"]["Message"]


def test_a_follower_sees_each_event_once_and_waits_at_the_end(logs, stream, now):
    put(logs, stream, now, "one", "two", "three")
    first = logs.get_log_events(**stream, startFromHead=True, limit=2)
    assert said(first) == ["one", "two"]
    second = logs.get_log_events(**stream, startFromHead=True, nextToken=first["nextForwardToken"])
    assert said(second) == ["three"]
    for _ in range(2):
        end = logs.get_log_events(**stream, startFromHead=True, nextToken=second["nextForwardToken"])
        assert end["events"] == [] and end["nextForwardToken"] == second["nextForwardToken"]
    put(logs, stream, now + 10, "four\nin two lines")
    more = logs.get_log_events(**stream, startFromHead=True, nextToken=second["nextForwardToken"])
    assert said(more) == ["four\nin two lines"]
    (event,) = more["events"]
    assert event["timestamp"] == now + 10 <= event["ingestionTime"] + 60_000


def test_without_a_head_the_last_events_come_first_and_pages_go_back(logs, stream, now):
    put(logs, stream, now, *map(str, range(5)))
    last = logs.get_log_events(**stream, limit=2)
    assert said(last) == ["3", "4"]
    before = logs.get_log_events(**stream, limit=2, nextToken=last["nextBackwardToken"])
    assert said(before) == ["1", "2"]
    again = logs.get_log_events(**stream, limit=2, nextToken=before["nextForwardToken"])
    assert again["events"] == last["events"]


def test_times_bound_what_is_read(logs, stream, now):
    put(logs, stream, now, "a", "b", "c")
    assert said(logs.get_log_events(**stream, startTime=now + 1, endTime=now + 2, startFromHead=True)) == ["b"]
    group = {"logGroupName": stream["logGroupName"]}
    assert said(logs.filter_log_events(**group, startTime=now + 1, endTime=now + 2)) == ["b", "c"]


def test_a_search_interleaves_streams_over_pages(logs, stream, now):
    group = {"logGroupName": stream["logGroupName"]}
    logs.create_log_stream(**group, logStreamName="t")
    put(logs, stream, now, "loss 3", "noise", "loss 2")
    put(logs, {**group, "logStreamName": "t"}, now + 1, "loss one", "ERROR")
    pages = list(
        logs.get_paginator("filter_log_events").paginate(
            **group, filterPattern="loss", PaginationConfig={"PageSize": 1}
        )
    )
    found = [event for page in pages for event in page["events"]]
    assert [(event["logStreamName"], event["message"]) for event in found] == [
        ("s", "loss 3"),
        ("t", "loss one"),
        ("s", "loss 2"),
    ]
    assert len({event["eventId"] for event in found}) == 3
    assert said(logs.filter_log_events(**group, logStreamNames=["t"], filterPattern="?ERROR ?WARN")) == ["ERROR"]
    assert said(logs.filter_log_events(**group, logStreamNamePrefix="s", filterPattern='"loss 2"')) == ["loss 2"]
    refused(logs.filter_log_events, "InvalidParameterException", "", **group, filterPattern="{ $.a = 1 }")
    refused(logs.filter_log_events, "InvalidParameterException", "nextToken", **group, nextToken="bm9uc2Vuc2U=")


def test_groups_and_streams_are_described_in_pages(logs, now):
    group = {"logGroupName": "/described/one"}
    for name in ("/described/two", "/described/one", "/described/three"):
        logs.create_log_group(logGroupName=name)
    pages = logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix="/described/", PaginationConfig={"PageSize": 1}
    )
    assert [found["logGroupName"] for page in pages for found in page["logGroups"]] == [
        "/described/one",
        "/described/three",
        "/described/two",
    ]
    (found,) = logs.describe_log_groups(logGroupNamePattern="ED/TW")["logGroups"]
    assert found["arn"].endswith(":log-group:/described/two:*")
    for number, name in enumerate(("job/b", "job/a", "other")):
        logs.create_log_stream(**group, logStreamName=name)
        put(logs, {**group, "logStreamName": name}, now + number * 10, "x", "y")

    def streams(**wanted):
        pages = logs.get_paginator("describe_log_streams").paginate(**group, **wanted)
        return [found["logStreamName"] for page in pages for found in page["logStreams"]]

    assert streams() == ["job/a", "job/b", "other"]
    assert streams(logStreamNamePrefix="job/", descending=True) == ["job/b", "job/a"]
    assert streams(orderBy="LastEventTime", PaginationConfig={"PageSize": 1}) == ["job/b", "job/a", "other"]
    (described,) = logs.describe_log_streams(**group, logStreamNamePrefix="other")["logStreams"]
    assert (described["firstEventTimestamp"], described["lastEventTimestamp"]) == (now + 20, now + 21)
    logs.delete_log_stream(**group, logStreamName="other")
    assert streams() == ["job/a", "job/b"]


def test_what_is_missing_or_taken_is_said_in_aws_words(logs, stream):
    missing, no_stream = {"logGroupName": "/nowhere"}, {**stream, "logStreamName": "nobody"}
    for call, request in (
        (logs.describe_log_streams, missing),
        (logs.get_log_events, {**missing, "logStreamName": "s"}),
        (logs.filter_log_events, missing),
        (logs.delete_log_group, missing),
        (logs.create_log_stream, {**missing, "logStreamName": "s"}),
    ):
        refused(call, "ResourceNotFoundException", "The specified log group does not exist.", **request)
    for call, request in (
        (logs.get_log_events, no_stream),
        (logs.delete_log_stream, no_stream),
        (logs.put_log_events, {**no_stream, "logEvents": [{"timestamp": 1, "message": "x"}]}),
    ):
        refused(call, "ResourceNotFoundException", "The specified log stream does not exist.", **request)
    taken = "ResourceAlreadyExistsException"
    refused(logs.create_log_group, taken, "The specified log group already exists", logGroupName=stream["logGroupName"])
    refused(logs.create_log_stream, taken, "The specified log stream already exists", **stream)


def test_events_that_cannot_be_put_are_refused(logs, stream, now):
    late_first = [{"timestamp": now + 1, "message": "b"}, {"timestamp": now, "message": "a"}]
    refused(logs.put_log_events, "InvalidParameterException", "chronological order", **stream, logEvents=late_first)
    old = logs.put_log_events(**stream, logEvents=[{"timestamp": now - 15 * 86_400_000, "message": "too old"}])[
        "rejectedLogEventsInfo"
    ]
    assert old == {"tooOldLogEventEndIndex": 1}
    new = logs.put_log_events(
        **stream,
        logEvents=[{"timestamp": now, "message": "fits"}, {"timestamp": now + 3 * 3_600_000, "message": "too new"}],
    )["rejectedLogEventsInfo"]
    assert new == {"tooNewLogEventStartIndex": 1}
    assert said(logs.get_log_events(**stream, startFromHead=True)) == ["fits"]
    for token in ("nonsense", "f/999999999/s"):
        refused(logs.get_log_events, "InvalidParameterException", "nextToken is invalid", **stream, nextToken=token)
    refused(logs.create_log_group, "InvalidParameterException", "at 'logGroupName'", logGroupName="a b")


def test_a_group_keeps_its_tags(logs):
    group = "/stories/tagged"
    logs.create_log_group(logGroupName=group, tags={"team": "sounds"})
    arn = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["logGroupArn"]
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "sounds"}
    logs.tag_resource(resourceArn=arn, tags={"a": "1", "b": "é"})
    logs.untag_resource(resourceArn=arn, tagKeys=["team", "never"])
    logs.tag_log_group(logGroupName=group, tags={"a": "2"})
    assert logs.list_tags_log_group(logGroupName=group)["tags"] == {"a": "2", "b": "é"}
    logs.untag_log_group(logGroupName=group, tags=["b"])
    assert logs.list_tags_log_group(logGroupName=group)["tags"] == {"a": "2"}
    many = {str(number): "" for number in range(50)}
    refused(logs.tag_resource, "TooManyTagsException", "at most 50", resourceArn=arn, tags=many)
    assert logs.list_tags_log_group(logGroupName=group)["tags"] == {"a": "2"}
    logs.delete_log_group(logGroupName=group)
    refused(logs.list_tags_for_resource, "ResourceNotFoundException", "does not exist", resourceArn=arn)
    refused(logs.list_tags_for_resource, "InvalidParameterException", "log group", resourceArn="arn:aws:logs:::x:y")
