"""botocore is the oracle: what it sends we read, what we send it reads: all operations, members, protocols."""

import asyncio
from typing import Any

import pytest
from wire import oracle

from groundfog.wire import model
from groundfog.wire.chunked import Body
from groundfog.wire.model import Operation
from groundfog.wire.parse import read, violations
from groundfog.wire.render import render
from groundfog.wire.request import Request
from groundfog.wire.route import Routed, dialect, route
from groundfog.wire.sign import Signed

PROTOCOLS = [(service, protocol) for service in model.KNOWN for protocol in model.load(service).metadata["protocols"]]
SIGNED = Signed(access_key="a", identity="arn:aws:iam::000000000000:root", region="eu-west-1", signature="")

TWINS = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}
"""S3 operations that look like another on the wire, and which: deprecated ones, and one that only its host tells."""

UNREADABLE = {
    "GetBucketNotification": "deprecated, and two of its members have one name",
    "SelectObjectContent": "answers by an event stream",
    "InvokeEndpointWithResponseStream": "answers by an event stream: test_eventstream.py",
    "InvokeWithResponseStream": "answers by an event stream",
    "GetLogObject": "answers by an event stream",
    "StartLiveTail": "answers by an event stream",
}
"""Answers that are not written as one document, and why."""

PATTERN = "must satisfy regular expression pattern"
"""Our made-up values have the right types and sizes, but follow no pattern."""


@pytest.mark.parametrize(("service", "protocol"), PROTOCOLS)
def test_requests_are_read_as_botocore_writes_them(service: str, protocol: str) -> None:
    wrong = asyncio.run(_misread(service, protocol))
    assert not wrong, "\n".join(f"{name}: {why}" for name, why in wrong.items())


async def _misread(service: str, protocol: str) -> dict[str, str]:
    wrong = {}
    for operation in model.operations(service):
        parameters = oracle.filled(operation.input) if operation.input else {}
        try:
            for said in oracle.honest(operation, parameters):
                await _read_back(operation, protocol, said)
        except Exception as error:
            wrong[operation.name] = f"{type(error).__name__}: {str(error)[:300]}"
    return wrong


async def _read_back(operation: Operation, protocol: str, parameters: dict[str, Any]) -> None:
    request = oracle.written(operation, protocol, parameters)
    routed = await route(request, dialect(request))
    assert routed.protocol == protocol
    assert routed.operation.name == TWINS.get(operation.name, operation.name)
    if routed.operation is operation:
        assert _differences(await _parsed(request, routed), parameters) == []


async def _parsed(request: Request, routed: Routed) -> dict[str, Any]:
    parameters = await read(request, routed, SIGNED)
    wrong = [violation for violation in violations(routed.operation, parameters) if PATTERN not in violation.constraint]
    assert wrong == []
    return {name: await value.read(10**6) if isinstance(value, Body) else value for name, value in parameters.items()}


@pytest.mark.parametrize(("service", "protocol"), PROTOCOLS)
def test_answers_are_read_by_botocore_as_we_wrote_them(service: str, protocol: str) -> None:
    wrong = {}
    for operation in (each for each in model.operations(service) if each.name not in UNREADABLE):
        result = oracle.filled(operation.output) if operation.output else {}
        try:
            request = oracle.written(operation, protocol, oracle.filled(operation.input) if operation.input else {})
            response = render(result, Routed(operation, protocol, {}), request)
            differences = _differences(oracle.read(response, operation.model, protocol), result)
            assert differences == []
        except Exception as error:
            wrong[operation.name] = f"{type(error).__name__}: {str(error)[:300]}"
    assert not wrong, "\n".join(f"{name}: {why}" for name, why in wrong.items())


def _differences(found: Any, expected: Any, path: str = "") -> list[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            difference
            for name in found.keys() | expected.keys()
            for difference in _differences(found.get(name, "absent"), expected.get(name, "absent"), f"{path}.{name}")
        ]
    return [] if found == expected else [f"{path}: {str(found)[:80]} is not {str(expected)[:80]}"]
