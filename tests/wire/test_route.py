"""Which operation a request is for, and what is read of it that botocore itself would not send."""

import asyncio
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser

from groundfog.wire import model
from groundfog.wire.chunked import Body
from groundfog.wire.parse import parse
from groundfog.wire.refusal import Refusal
from groundfog.wire.render import refuse
from groundfog.wire.request import Request
from groundfog.wire.route import Dialect, Routed, dialect, route
from groundfog.wire.sign import Signed

SIGNED = Signed(access_key="a", identity="i", region="r", signature="")


def _request(
    method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b"", scope: str = "s3"
) -> Request:
    path, _, query = url.partition("?")
    signature = f"AWS4-HMAC-SHA256 Credential=a/20240517/r/{scope}/aws4_request"
    sent = {"host": "here", "authorization": signature, "content-length": str(len(body))} | (headers or {})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    encoded = [(name.encode(), value.encode()) for name, value in sent.items()]
    described = {"method": method, "raw_path": path.encode(), "query_string": query.encode(), "headers": encoded}
    return Request(described, receive)


def _routed(request: Request) -> Routed:
    return asyncio.run(route(request, dialect(request)))


@pytest.mark.parametrize(
    ("method", "url", "headers", "operation"),
    [
        ("GET", "/", {}, "ListBuckets"),
        ("GET", "/bucket", {}, "ListObjects"),
        ("GET", "/bucket/", {}, "ListObjects"),
        ("GET", "/bucket?list-type=2&prefix=a", {}, "ListObjectsV2"),
        ("GET", "/bucket?list-type=1", {}, "ListObjects"),
        ("GET", "/bucket/?uploads", {}, "ListMultipartUploads"),
        ("GET", "/bucket?location", {}, "GetBucketLocation"),
        ("GET", "/bucket?versions=", {}, "ListObjectVersions"),
        ("GET", "/bucket?analytics", {}, "ListBucketAnalyticsConfigurations"),
        ("GET", "/bucket?analytics&id=1", {}, "GetBucketAnalyticsConfiguration"),
        ("HEAD", "/bucket", {}, "HeadBucket"),
        ("PUT", "/bucket/", {}, "CreateBucket"),
        ("POST", "/bucket?delete", {}, "DeleteObjects"),
        ("GET", "/bucket/a/b?c", {}, "GetObject"),
        ("GET", "/bucket//", {}, "GetObject"),
        ("GET", "/bucket/?/", {}, "ListObjects"),
        ("GET", "/bucket/key?tagging", {}, "GetObjectTagging"),
        ("GET", "/bucket/key?attributes", {}, "GetObjectAttributes"),
        ("GET", "/bucket/key?uploadId=1", {}, "ListParts"),
        ("GET", "/bucket/key?x-id=GetObject", {}, "GetObject"),
        ("PUT", "/bucket/key", {}, "PutObject"),
        ("PUT", "/bucket/key", {"x-amz-copy-source": "b/k"}, "CopyObject"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=2", {}, "UploadPart"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=2", {"x-amz-copy-source": "b/k"}, "UploadPartCopy"),
        ("PUT", "/bucket/key?partNumber=1", {}, "PutObject"),
        ("POST", "/bucket/key?uploads", {}, "CreateMultipartUpload"),
        ("POST", "/bucket/key?uploadId=2", {}, "CompleteMultipartUpload"),
        ("DELETE", "/bucket/key?uploadId=2", {}, "AbortMultipartUpload"),
        ("DELETE", "/bucket/key", {}, "DeleteObject"),
    ],
)
def test_s3_is_routed_by_all_that_is_said(method: str, url: str, headers: dict[str, str], operation: str) -> None:
    assert _routed(_request(method, url, headers)).operation.name == operation


@pytest.mark.parametrize(
    ("host", "path", "labels"),
    [
        ("bucket.s3.localhost:4566", "/key", {"Bucket": "bucket", "Key": "key"}),
        ("my.bucket.s3.eu-west-1.amazonaws.com", "/a/b", {"Bucket": "my.bucket", "Key": "a/b"}),
        ("bucket.s3-eu-west-1.amazonaws.com", "//a", {"Bucket": "bucket", "Key": "/a"}),
        ("groundfog.localhost", "/bucket/key", {"Bucket": "bucket", "Key": "key"}),
        ("s3.localhost:4566", "/bucket/key", {"Bucket": "bucket", "Key": "key"}),
        ("s3.eu-west-1.amazonaws.com", "/bucket/key", {"Bucket": "bucket", "Key": "key"}),
        ("127.0.0.1:4566", "/bucket/%2Fkey%20", {"Bucket": "bucket", "Key": "/key "}),
        ("localhost:4566", "/bucket/k", {"Bucket": "bucket", "Key": "k"}),
    ],
)
def test_a_bucket_is_in_the_path_or_in_the_host(host: str, path: str, labels: dict[str, str]) -> None:
    assert _routed(_request("GET", path, {"host": host})).labels == labels


def test_framing_is_not_what_a_body_is() -> None:
    headers = {"content-encoding": "aws-chunked,gzip", "x-amz-decoded-content-length": "5", "content-type": "a/b"}
    signed = Signed(**vars(SIGNED) | {"payload_hash": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
    request = _request("PUT", "/b/k", headers, b"5\r\nhello\r\n0\r\n\r\n")
    parameters = asyncio.run(parse(request, _routed(request), signed))
    body = parameters.pop("Body")
    assert isinstance(body, Body)
    assert parameters == {
        "Bucket": "b",
        "Key": "k",
        "ContentEncoding": "gzip",
        "ContentLength": 5,
        "ContentType": "a/b",
    }


def test_lists_in_headers_may_be_quoted() -> None:
    headers = {"x-amz-object-attributes": 'ETag, "ObjectSize" ,Checksum'}
    request = _request("GET", "/b/k?attributes", headers)
    parameters = asyncio.run(parse(request, _routed(request), SIGNED))
    assert parameters["ObjectAttributes"] == ["ETag", "ObjectSize", "Checksum"]


def test_headers_sent_twice_are_joined() -> None:
    encoded = [(b"X-Amz-Meta-A", b" 1 "), (b"x-amz-meta-a", b"2")]
    request = Request({"method": "PUT", "raw_path": b"/b/k", "query_string": b"", "headers": encoded}, None)  # type: ignore[arg-type]
    assert request.headers == {"x-amz-meta-a": "1,2"}


@pytest.mark.parametrize("service", ["transcribe", "cloudwatch"])
@pytest.mark.parametrize("protocol", ["json", "smithy-rpc-v2-cbor"])
def test_errors_are_read_by_botocore_in_every_protocol(service: str, protocol: str) -> None:
    code = {"transcribe": "NotFoundException", "cloudwatch": "LimitExceededException"}[service]
    request = _request("POST", "/", scope=model.KNOWN[service].signing_name)
    response = refuse(Refusal(code, "no, \u00fc"), Dialect(protocol, "", service), request)
    answer = {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body}
    found = create_parser(protocol).parse(answer, None)["Error"]
    assert found["Message"] == "no, \u00fc"
    assert code in (found["Code"], found.get("QueryErrorCode"))


BOMBS = [
    *(b"\xff", b"\xa1\x01", b"\x01", b"\xa1\x81\x01\x01"),
    *(b"\x9b" + b"\xff" * 8, b"\x5b" + b"\x7f" * 8, b"\x81" * 100_000),
]


@pytest.mark.parametrize("body", BOMBS)
def test_cbor_that_cannot_be_read_is_refused(body: bytes) -> None:
    path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
    request = _request("POST", path, {"smithy-protocol": "rpc-v2-cbor"}, body, "monitoring")
    with pytest.raises(Refusal, match="SerializationException"):
        asyncio.run(parse(request, _routed(request), SIGNED))
