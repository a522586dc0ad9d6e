"""What a client is told when the answer is no: by a real server, to real clients and to rude ones."""

import asyncio
import errno
import http.client
import json
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from wire.toys import ACCESS, SECRET, Toys, served

from groundfog.wire.app import _stream
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal
from groundfog.wire.request import Request

GONE = threading.Event()


def broken(caller: Caller, request: Parameters) -> Result:
    raise RuntimeError("the secret sauce")


def unfit(caller: Caller, request: Parameters) -> Result:
    return {"TrainingJobName": 7}


async def refuse(caller: Caller, request: Parameters) -> Result:
    raise Refusal(
        "ModelError", "it broke", OriginalStatusCode=500, OriginalMessage="why", LogStreamArn="arn:aws:logs:x"
    )


def missing(code: str) -> Any:
    def handler(caller: Caller, request: Parameters) -> Result:
        raise Refusal(code, "not there", **({"Key": request["Key"]} if "Key" in request else {}))

    return handler


async def endless(caller: Caller, request: Parameters) -> Result:
    async def parts() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            GONE.set()

    return {"Body": parts(), "ContentLength": 2**40}


async def breaks_off(caller: Caller, request: Parameters) -> Result:
    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("the disk is gone")

    return {"Body": parts(), "ContentLength": 8}


async def get_object(caller: Caller, request: Parameters) -> Result:
    return await {"endless": endless, "breaks": breaks_off}[request["Key"]](caller, request)


async def put_object(caller: Caller, request: Parameters) -> Result:
    return {"ETag": str(len(await request["Body"].read(2**20)))}


def named(caller: Caller, request: Parameters) -> Result:
    return {"ContentLength": 3, "Metadata": {"said": "one\r\nx-two: 2"}, "ContentDisposition": "\u4e2d\r\n\r\nbody"}


HANDLERS = {
    "s3": {
        "list_buckets": broken,
        "get_object": get_object,
        "put_object": put_object,
        "head_object": named,
        "head_bucket": missing("NoSuchBucket"),
        "get_object_tagging": missing("NoSuchKey"),
        "put_object_tagging": lambda caller, request: {},
        "delete_objects": lambda caller, request: {},
        "list_objects_v2": lambda caller, request: {"MaxKeys": request["MaxKeys"]},
    },
    "sagemaker": {
        "list_models": broken,
        "describe_training_job": unfit,
        "describe_endpoint": missing("ValidationException"),
    },
    "sagemaker-runtime": {"invoke_endpoint": refuse},
    "sts": {"get_caller_identity": broken},
    "cloudwatch": {"get_dashboard": missing("ResourceNotFound"), "list_dashboards": broken},
    "iam": {"get_role": missing("NoSuchEntity")},
    "lambda": {"get_function": missing("ResourceNotFoundException")},
}


@pytest.fixture(scope="module")
def toys() -> Iterator[Toys]:
    with served(HANDLERS) as toys:
        yield toys


def _error(call: Any, **parameters: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    answer: dict[str, Any] = refused.value.response
    return answer


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("s3", "list_buckets", "InternalError"),
        ("sagemaker", "list_models", "InternalFailure"),
        ("sts", "get_caller_identity", "InternalFailure"),
        ("cloudwatch", "list_dashboards", "InternalFailure"),
    ],
)
def test_a_bug_of_ours_says_nothing_but_an_id_that_the_log_has(
    toys: Toys, caplog: pytest.LogCaptureFixture, service: str, operation: str, code: str
) -> None:
    with caplog.at_level(logging.ERROR, "groundfog.wire"):
        answer = _error(getattr(toys.client(service), operation))
    assert answer["Error"]["Code"] == code
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "sauce" not in str(answer)
    logged = next(record for record in caplog.records if answer["ResponseMetadata"]["RequestId"] in record.message)
    assert logged.exc_info and "sauce" in str(logged.exc_info[1])


@pytest.mark.parametrize("service", ["s3", "logs"])
@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "no space"), "sqlite"])
def test_a_full_disk_says_so(service: str, trouble: OSError | str) -> None:
    def full(caller: Caller, request: Parameters) -> Result:
        if isinstance(trouble, OSError):
            raise trouble
        with closing(sqlite3.connect(":memory:")) as here:
            here.execute("PRAGMA max_page_count = 2")
            here.execute("CREATE TABLE t (x)")
            here.execute("INSERT INTO t VALUES (zeroblob(100000))")
        return None

    with served({"s3": {"list_buckets": full}, "logs": {"describe_log_groups": full}}) as toys:
        client = toys.client(service)
        error = _error(client.list_buckets if service == "s3" else client.describe_log_groups)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert error["Error"]["Code"] == ("InternalError" if service == "s3" else "InternalFailure")
    assert "disk" in error["Error"]["Message"] and "full" in error["Error"]["Message"]


def test_a_result_that_does_not_fit_the_model_never_leaves(toys: Toys) -> None:
    answer = _error(toys.client("sagemaker").describe_training_job, TrainingJobName="a")
    assert answer["Error"]["Code"] == "InternalFailure"


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("s3", "delete_bucket", {"Bucket": "bucket"}),
        ("sagemaker", "list_apps", {}),
        ("iam", "list_roles", {}),
        ("cloudwatch", "list_metrics", {}),
        ("lambda", "list_functions", {}),
        ("stepfunctions", "list_state_machines", {}),
    ],
)
def test_an_operation_that_we_lack_is_named(
    toys: Toys, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    answer = _error(getattr(toys.client(service), operation), **parameters)
    name = operation.title().replace("_", "")
    assert answer["Error"]["Code"] == "NotImplemented"
    assert answer["Error"]["Message"] == f"{name} is not implemented"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_service_that_we_lack_is_named(toys: Toys) -> None:
    answer = _error(toys.client("polly").describe_voices)
    assert (answer["Error"]["Code"], answer["Error"]["Message"]) == (
        "NotImplemented",
        "The service polly is not implemented",
    )


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("s3", "get_object_tagging", {"Bucket": "b", "Key": "k"}, ("NoSuchKey", 404)),
        ("sagemaker", "describe_endpoint", {"EndpointName": "e"}, ("ValidationException", 400)),
        ("cloudwatch", "get_dashboard", {"DashboardName": "e"}, ("ResourceNotFound", 404)),
        ("iam", "get_role", {"RoleName": "e"}, ("NoSuchEntity", 404)),
        ("lambda", "get_function", {"FunctionName": "e"}, ("ResourceNotFoundException", 404)),
    ],
)
def test_the_model_decides_the_status(
    toys: Toys, service: str, operation: str, parameters: dict[str, Any], expected: tuple[str, int]
) -> None:
    answer = _error(getattr(toys.client(service), operation), **parameters)
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == expected
    assert answer["Error"]["Message"] == "not there"


def test_errors_can_be_caught_by_their_class(toys: Toys) -> None:
    iam, watch, function = toys.client("iam"), toys.client("cloudwatch"), toys.client("lambda")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName="r")
    with pytest.raises(watch.exceptions.ResourceNotFound):
        watch.get_dashboard(DashboardName="d")
    with pytest.raises(function.exceptions.ResourceNotFoundException):
        function.get_function(FunctionName="f")


def test_a_model_s_error_has_all_its_members(toys: Toys) -> None:
    client = toys.client("sagemaker-runtime")
    with pytest.raises(client.exceptions.ModelError) as refused:
        client.invoke_endpoint(EndpointName="e", Body=b"x")
    answer = refused.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (answer["OriginalStatusCode"], answer["OriginalMessage"], answer["LogStreamArn"]) == (
        500,
        "why",
        "arn:aws:logs:x",
    )


def test_errors_of_head_have_no_body(toys: Toys) -> None:
    status, body, headers = _signed(toys, "HEAD", "/b", b"", {}, "s3")
    assert (status, body, headers["content-length"]) == (404, b"", None)


def test_line_ends_never_leave_in_a_header(toys: Toys) -> None:
    answer = toys.client("s3").head_object(Bucket="b", Key="k")
    assert answer["Metadata"] == {"said": "one  x-two: 2"}
    assert answer["ContentLength"] == 3
    assert "x-two" not in answer["ResponseMetadata"]["HTTPHeaders"]


def test_an_answer_that_breaks_off_is_seen_to_break_off(toys: Toys, caplog: pytest.LogCaptureFixture) -> None:
    body = toys.client("s3").get_object(Bucket="b", Key="breaks")["Body"]
    with pytest.raises(Exception, match=r"(?i)incomplete|broken"):
        body.read()
    assert any("broke off" in record.message for record in caplog.records)


def test_nothing_is_read_for_a_client_that_hung_up(toys: Toys) -> None:
    GONE.clear()
    body = toys.client("s3").get_object(Bucket="b", Key="endless")["Body"]
    body.read(10)
    body.close()
    assert GONE.wait(10)


def test_a_body_at_hand_does_not_keep_the_loop_from_learning_that_the_client_is_gone() -> None:
    """A connection that broke takes everything at once: neither the body nor `send` ever waits."""
    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        while sent < 1000:
            yield b"x"

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1

    scope = {"method": "GET", "path": "/", "query_string": b"", "headers": []}
    asyncio.run(_stream(parts(), Request(scope, receive), send))
    assert sent < 10


def _signed(toys: Toys, method: str, path: str, body: bytes, headers: dict[str, str], service: str) -> Any:
    request = AWSRequest(method, toys.url + path, headers, body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(ACCESS, SECRET), service, "eu-west-1").add_auth(request)
    with closing(http.client.HTTPConnection(toys.url.removeprefix("http://"))) as connection:
        connection.request(method, path, body, dict(request.headers))
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


def _json(toys: Toys, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    status, answer, _ = _signed(toys, "POST", "/", body, headers, "sagemaker")
    return status, json.loads(answer)


def test_a_target_that_is_no_operation_is_unknown(toys: Toys) -> None:
    assert _json(toys, "SageMaker.MakeCoffee", b"{}")[1]["__type"] == "UnknownOperationException"
    assert _json(toys, "Nobody.ListModels", b"{}")[1]["__type"] == "UnknownOperationException"
    status, answer, _ = _signed(toys, "PATCH", "/2015-03-31/nothing", b"", {}, "lambda")
    assert (status, json.loads(answer)["__type"]) == (404, "UnknownOperationException")
    status, answer, _ = _signed(toys, "PATCH", "/b/k", b"", {}, "s3")
    assert (status, ElementTree.fromstring(answer).findtext("Code")) == (405, "MethodNotAllowed")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, answer, _ = _signed(toys, "POST", "/", b"Action=Nothing&Version=1", form, "iam")
    assert (status, b"<Code>InvalidAction</Code>" in answer) == (400, True)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{}", "Value null at 'trainingJobName' failed to satisfy constraint: Member must not be null"),
        (b'{"TrainingJobName": "a_b"}', "regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"),
        (b'{"TrainingJobName": "%s"}' % (b"a" * 64), "Member must have length less than or equal to 63"),
    ],
)
def test_parameters_that_do_not_fit_are_named(toys: Toys, body: bytes, told: str) -> None:
    status, answer = _json(toys, "SageMaker.DescribeTrainingJob", body)
    assert (status, answer["__type"]) == (400, "ValidationException")
    assert answer["message"].startswith("1 validation error detected: Value ")
    assert told in answer["message"]


def test_all_that_is_wrong_is_told_at_once(toys: Toys) -> None:
    body = {
        "TrainingJobName": "a",
        "InputDataConfig": [{"ChannelName": "a b"}],
        "ResourceConfig": {"InstanceType": "x"},
    }
    _, answer = _json(toys, "SageMaker.CreateTrainingJob", json.dumps(body).encode())
    assert answer["message"].startswith("5 validation errors detected: ")
    for said in ("null at 'roleArn'", "'inputDataConfig.1.member.channelName'", "'resourceConfig.instanceType' failed"):
        assert said in answer["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b'{"TrainingJobName": 1}',
        b'{"TrainingJobName": true}',
        b'{"TrainingJobName": ["a"]}',
        b'{"TrainingJobName": {"a": 1}}',
        b'{"TrainingJobName": "\\ud800"}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"TrainingJobName": NaN}',
        b'{"TrainingJobName": ' + b"1" * 5000 + b"}",
    ],
)
def test_bodies_that_cannot_be_read_are_refused(toys: Toys, body: bytes) -> None:
    status, answer = _json(toys, "SageMaker.DescribeTrainingJob", body)
    assert (status, answer["__type"]) == (400, "SerializationException"), answer
    assert "Traceback" not in answer["message"] and "object has no attribute" not in answer["message"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"MaxResults": 3.5}',
        b'{"MaxResults": "3"}',
        b'{"MaxResults": 99999999999999999999}',
        b'{"CreationTimeAfter": "yesterday"}',
        b'{"CreationTimeAfter": 1e300}',
        b'{"CreationTimeAfter": []}',
    ],
)
def test_numbers_and_times_that_are_none_are_refused(toys: Toys, body: bytes) -> None:
    assert _json(toys, "SageMaker.ListModels", body)[1]["__type"] == "SerializationException"


def test_a_body_too_large_is_refused(toys: Toys) -> None:
    status, answer = _json(toys, "SageMaker.ListModels", b" " * (10 * 2**20 + 1))
    assert (status, answer["__type"]) == (413, "RequestEntityTooLargeException")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/b?delete", b"<Delete><Object><Key>a</Key></Object></Delete>", None),
        ("/b?delete", b"", "MissingRequestBodyError"),
        ("/b?delete", b"<Delete>", "MalformedXML"),
        ("/b?delete", b"<Other/>", "MalformedXML"),
        ("/b?delete", b"<Delete/>", "MalformedXML"),
        (
            "/b?delete",
            b"<Delete><Object><Key>a</Key><LastModifiedTime>x</LastModifiedTime></Object></Delete>",
            "MalformedXML",
        ),
        (
            "/b?delete",
            b'<!DOCTYPE a [<!ENTITY x "y">]><Delete><Object><Key>&x;</Key></Object></Delete>',
            "MalformedXML",
        ),
        ("/b?delete", b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><Delete/>', "MalformedXML"),
        ("/b?delete", b"<Delete>" * 500_000, "MalformedXML"),
        ("/b?delete", b" " * 5_000_000, "MaxMessageLengthExceeded"),
    ],
)
def test_documents_of_s3_are_well_formed_or_refused(toys: Toys, path: str, body: bytes, code: str | None) -> None:
    status, answer, headers = _signed(toys, "POST", path, body, {}, "s3")
    assert headers["x-amz-request-id"] and headers["x-amz-id-2"]
    if code is None:
        assert status == 200
    else:
        assert (status, ElementTree.fromstring(answer).findtext("Code")) == (400, code)


def test_arguments_of_s3_are_named(toys: Toys) -> None:
    status, answer, _ = _signed(toys, "GET", "/b?list-type=2&max-keys=many", b"", {}, "s3")
    said = {element.tag: element.text for element in ElementTree.fromstring(answer)}
    assert (status, said["Code"], said["ArgumentName"], said["ArgumentValue"]) == (
        400,
        "InvalidArgument",
        "max-keys",
        "many",
    )
    status, answer, _ = _signed(toys, "PUT", "/b/k", b"", {"x-amz-storage-class": "MINE"}, "s3")
    assert (status, ElementTree.fromstring(answer).findtext("Code")) == (400, "InvalidStorageClass")
    status, answer, _ = _signed(toys, "GET", "/b/%ff", b"", {}, "s3")
    assert (status, ElementTree.fromstring(answer).findtext("Code")) == (400, "InvalidURI")


def test_a_body_nobody_wants_is_not_asked_for(toys: Toys) -> None:
    """The connection that waits for its 100 Continue gets its refusal instead, and is closed."""
    host, _, port = toys.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 403 ") and b"<Code>AccessDenied</Code>" in answer
    assert b"connection: close" in answer


def test_a_wanted_body_is_asked_for(toys: Toys) -> None:
    assert toys.client("s3").put_object(Bucket="b", Key="k", Body=b"x" * 1000)["ETag"] == "1000"


def test_a_client_that_hangs_up_halfway_leaves_no_trace(toys: Toys, caplog: pytest.LogCaptureFixture) -> None:
    host, _, port = toys.url.removeprefix("http://").partition(":")
    request = AWSRequest("PUT", toys.url + "/b/k", {}, b"")
    S3SigV4Auth(Credentials(ACCESS, SECRET), "s3", "eu-west-1").add_auth(request)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        head = "\r\n".join(["PUT /b/k HTTP/1.1", f"Host: {host}:{port}", "Content-Length: 100", *lines])
        connection.sendall(head.encode() + b"\r\n\r\nhalf")
        time.sleep(0.05)
    assert toys.client("s3").put_object(Bucket="b", Key="k", Body=b"1")["ETag"] == "1"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_unwanted_bodies_leave_the_connection_usable(toys: Toys) -> None:
    with closing(http.client.HTTPConnection(toys.url.removeprefix("http://"))) as connection:
        for _ in range(2):
            connection.request("PUT", "/b/k", b"x" * 100_000)
            answer = connection.getresponse()
            assert (answer.status, b"AccessDenied" in answer.read()) == (403, True)
