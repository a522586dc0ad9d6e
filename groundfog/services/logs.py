"""CloudWatch Logs: groups, streams, and what stands in them."""

import base64
import itertools
import json
import re
import time
from collections.abc import Callable
from typing import Any

from groundfog.engine import Engine
from groundfog.engine.errors import Missing, Taken, Unfit
from groundfog.engine.logs import Cursor, Event, Found, Page, Pattern, Span, Stream, first_page
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_TOKEN = re.compile(r"([fb])/(\d{1,56})/s")
_MOST_EVENTS = 10_000
_PAGE = 50
_MOST_BYTES_PUT = 1 << 20
_MOST_TAGS = 50
_DAY = 86_400_000
_OLDEST, _FURTHEST = 14 * _DAY, 2 * 3_600_000
"""Milliseconds by which an event that is put may lie back or ahead."""


def create_log_group(engine: Engine, caller: Caller, request: Parameters) -> Result:
    try:
        engine.logs.create_group(request["logGroupName"], _few(request.get("tags", {})))
    except Taken:
        raise Refusal("ResourceAlreadyExistsException", "The specified log group already exists") from None
    return None


def list_tags_for_resource(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return {"tags": _tags(engine, _tagged(request))}


def list_tags_log_group(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return {"tags": _tags(engine, request["logGroupName"])}


def tag_resource(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _change_tags(engine, _tagged(request), lambda tags: _few(tags | request["tags"]))
    return None


def tag_log_group(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _change_tags(engine, request["logGroupName"], lambda tags: _few(tags | request["tags"]))
    return None


def untag_resource(engine: Engine, caller: Caller, request: Parameters) -> Result:
    gone = request["tagKeys"]
    _change_tags(engine, _tagged(request), lambda tags: {key: tags[key] for key in tags if key not in gone})
    return None


def untag_log_group(engine: Engine, caller: Caller, request: Parameters) -> Result:
    gone = request["tags"]
    _change_tags(engine, request["logGroupName"], lambda tags: {key: tags[key] for key in tags if key not in gone})
    return None


def create_log_stream(engine: Engine, caller: Caller, request: Parameters) -> Result:
    try:
        engine.logs.create_stream(request["logGroupName"], request["logStreamName"])
    except Taken:
        raise Refusal("ResourceAlreadyExistsException", "The specified log stream already exists") from None
    except Missing:
        raise _no_group() from None
    return None


def delete_log_group(engine: Engine, caller: Caller, request: Parameters) -> Result:
    try:
        engine.logs.delete_group(request["logGroupName"])
    except Missing:
        raise _no_group() from None
    return None


def delete_log_stream(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _streams(engine, request["logGroupName"])
    try:
        engine.logs.delete_stream(request["logGroupName"], request["logStreamName"])
    except Missing:
        raise _no_stream() from None
    return None


def describe_log_groups(engine: Engine, caller: Caller, request: Parameters) -> Result:
    limit, pattern = request.get("limit", _PAGE), request.get("logGroupNamePattern", "").lower()
    if pattern and "logGroupNamePrefix" in request:
        raise _invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    found: list[dict[str, Any]] = []
    after, more = request.get("nextToken", ""), True
    while more and len(found) <= limit:
        page = engine.logs.groups(prefix=request.get("logGroupNamePrefix", ""), after=after, limit=_PAGE)
        found += [_group(caller, group.name, group.created) for group in page if pattern in group.name.lower()]
        after, more = page[-1].name if page else after, len(page) == _PAGE
    token = {"nextToken": found[limit - 1]["logGroupName"]} if len(found) > limit else {}
    return {"logGroups": found[:limit], **token}


def describe_log_streams(engine: Engine, caller: Caller, request: Parameters) -> Result:
    by_time = request.get("orderBy") == "LastEventTime"
    if by_time and "logStreamNamePrefix" in request:
        raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    group = _group_name(request)
    streams = _streams(engine, group, request.get("logStreamNamePrefix", ""))
    if by_time:
        streams.sort(key=lambda stream: stream.last.timestamp if stream.last else 0)
    if request.get("descending"):
        streams.reverse()
    names = [stream.name for stream in streams]
    start = names.index(request["nextToken"]) + 1 if request.get("nextToken") in names else 0
    page = streams[start : start + request.get("limit", _PAGE)]
    token = {"nextToken": page[-1].name} if page and page[-1].name != names[-1] else {}
    return {"logStreams": [_stream(caller, group, stream) for stream in page], **token}


def put_log_events(engine: Engine, caller: Caller, request: Parameters) -> Result:
    now = int(time.time() * 1000)
    given = [Event(event["timestamp"], event["message"], now) for event in request["logEvents"]]
    if any(one.timestamp > next_one.timestamp for one, next_one in itertools.pairwise(given)):
        raise _invalid("Log events in a single PutLogEvents request must be in chronological order.")
    if given[-1].timestamp - given[0].timestamp > _DAY:
        raise _invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    if sum(len(event.message.encode("utf-8", "replace")) + 26 for event in given) > _MOST_BYTES_PUT:
        raise _invalid("Upload too large: the batch must not exceed 1048576 bytes.")
    kept = [event for event in given if -_OLDEST <= event.timestamp - now <= _FURTHEST]
    _streams(engine, request["logGroupName"])
    try:
        engine.logs.put(request["logGroupName"], request["logStreamName"], kept)
    except Missing:
        raise _no_stream() from None
    return {"nextSequenceToken": f"{now:056d}", **_rejected(given, now)}


def get_log_events(engine: Engine, caller: Caller, request: Parameters) -> Result:
    group = _group_name(request)
    _streams(engine, group)
    try:
        page = _page(engine, group, request)
    except Missing:
        raise _no_stream() from None
    except Unfit as unfit:
        raise _invalid(str(unfit)) from None
    return {
        "events": [_event(event) for event in page.events],
        "nextForwardToken": f"f/{page.after:056d}/s",
        "nextBackwardToken": f"b/{page.before:056d}/s",
    }


def filter_log_events(engine: Engine, caller: Caller, request: Parameters) -> Result:
    if "logStreamNames" in request and "logStreamNamePrefix" in request:
        raise _invalid("logStreamNames and logStreamNamePrefix are mutually exclusive.")
    streams = _streams(engine, _group_name(request), request.get("logStreamNamePrefix", ""))
    if "logStreamNames" in request:
        if not set(request["logStreamNames"]) <= {stream.name for stream in streams}:
            raise _no_stream()
        streams = [stream for stream in streams if stream.name in request["logStreamNames"]]
    try:
        pattern = Pattern.parse(request.get("filterPattern", ""))
    except Unfit as unfit:
        raise _invalid(str(unfit)) from None
    found = engine.logs.search(streams, pattern, after=_cursor(request), span=_span(request))
    page, more = first_page(found, request.get("limit", _MOST_EVENTS))
    token = {"nextToken": base64.urlsafe_b64encode(json.dumps(page[-1].cursor).encode()).decode()} if more else {}
    return {"events": [_found(one) for one in page], "searchedLogStreams": [], **token}


def _tagged(request: Parameters) -> str:
    """The group whose ARN it is; nothing else here has tags."""
    arn: str = request["resourceArn"]
    _, found, name = arn.partition(":log-group:")
    if not found:
        raise _invalid(f"{arn} is not the ARN of a log group.")
    return name


def _tags(engine: Engine, group: str) -> dict[str, str]:
    try:
        return engine.logs.tags(group)
    except Missing:
        raise _no_group() from None


def _change_tags(engine: Engine, group: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    try:
        engine.logs.change_tags(group, change)
    except Missing:
        raise _no_group() from None


def _few(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > _MOST_TAGS:
        raise Refusal("TooManyTagsException", f"A log group can have at most {_MOST_TAGS} tags.")
    return tags


def _page(engine: Engine, group: str, request: Parameters) -> Page:
    stream, limit, span = request["logStreamName"], request.get("limit", _MOST_EVENTS), _span(request)
    token = request.get("nextToken")
    if token is None and request.get("startFromHead"):
        return engine.logs.read(group, stream, limit=limit, span=span)
    if token is None:
        return engine.logs.read_back(group, stream, limit=limit, span=span)
    given = _TOKEN.fullmatch(token)
    if given is None:
        raise _invalid("The specified nextToken is invalid.")
    way, offset = given.groups()
    if way == "f":
        return engine.logs.read(group, stream, start=int(offset), limit=limit, span=span)
    return engine.logs.read_back(group, stream, end=int(offset), limit=limit, span=span)


def _span(request: Parameters) -> Span:
    """GetLogEvents leaves the end out, FilterLogEvents has it in; both are in milliseconds."""
    given = {"start": request.get("startTime"), "end": request.get("endTime")}
    if given["end"] is not None and "logStreamName" not in request:
        given["end"] += 1
    return Span(**{name: value for name, value in given.items() if value is not None})


def _cursor(request: Parameters) -> Cursor | None:
    if "nextToken" not in request:
        return None
    try:
        timestamp, stream, offset = json.loads(base64.urlsafe_b64decode(request["nextToken"]))
        return int(timestamp), str(stream), int(offset)
    except (ValueError, TypeError):
        raise _invalid("The specified nextToken is invalid.") from None


def _streams(engine: Engine, group: str, prefix: str = "") -> list[Stream]:
    try:
        return engine.logs.streams(group, prefix=prefix)
    except Missing:
        raise _no_group() from None


def _group_name(request: Parameters) -> str:
    """By name, or by the ARN that `logGroupIdentifier` may be."""
    if ("logGroupName" in request) == ("logGroupIdentifier" in request):
        raise _invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")
    name: str = request.get("logGroupName") or request["logGroupIdentifier"].partition(":log-group:")[2].removesuffix(
        ":*"
    )
    return name or str(request["logGroupIdentifier"])


def _group(caller: Caller, name: str, created: float) -> dict[str, Any]:
    arn = caller.arn("logs", f"log-group:{name}")
    return {
        "logGroupName": name,
        "creationTime": int(created * 1000),
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "logGroupClass": "STANDARD",
    }


def _stream(caller: Caller, group: str, stream: Stream) -> dict[str, Any]:
    first, last = stream.first, stream.last
    described: dict[str, Any] = {
        "logStreamName": stream.name,
        "creationTime": int(stream.created * 1000),
        "arn": caller.arn("logs", f"log-group:{group}:log-stream:{stream.name}"),
        "storedBytes": 0,
    }
    if first is not None and last is not None:
        described |= {
            "firstEventTimestamp": first.timestamp,
            "lastEventTimestamp": last.timestamp,
            "lastIngestionTime": last.ingested,
            "uploadSequenceToken": f"{last.ingested:056d}",
        }
    return described


def _event(event: Event) -> dict[str, Any]:
    return {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingested}


def _found(found: Found) -> dict[str, Any]:
    return {
        "logStreamName": found.stream,
        **_event(found.event),
        "eventId": f"{found.event.timestamp:028d}{found.cursor[2]:028d}",
    }


def _rejected(given: list[Event], now: int) -> dict[str, Any]:
    """Indices as AWS counts them: the events before `too old` and from `too new` on were not taken."""
    old = sum(event.timestamp < now - _OLDEST for event in given)
    new = sum(event.timestamp > now + _FURTHEST for event in given)
    info = {
        **({"tooOldLogEventEndIndex": old} if old else {}),
        **({"tooNewLogEventStartIndex": len(given) - new} if new else {}),
    }
    return {"rejectedLogEventsInfo": info} if info else {}


def _no_group() -> Refusal:
    return Refusal("ResourceNotFoundException", "The specified log group does not exist.")


def _no_stream() -> Refusal:
    return Refusal("ResourceNotFoundException", "The specified log stream does not exist.")


def _invalid(text: str) -> Refusal:
    return Refusal("InvalidParameterException", text)
