"""Real clients, a real server, and signatures that hold or do not."""

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from wire.toys import ACCESS, IDENTITY, SECRET, Toys, served

from groundfog.wire.caller import Caller, Key, Parameters, Result

KEPT: dict[str, bytes] = {}
ODD_KEYS = [
    "plain.txt",
    "a b",
    "x//y",
    "/leading",
    "ü/ñ",
    "100%",
    "a+b=c&d?e#f",
    "%2F",
    "..",
    "a/../b",
    "trailing/",
    "~-_.'()*",
]


async def put_object(caller: Caller, request: Parameters) -> Result:
    KEPT[request["Key"]] = await request["Body"].read(10**7)
    return {"ETag": '"0"'}


async def get_object(caller: Caller, request: Parameters) -> Result:
    async def parts() -> AsyncIterator[bytes]:
        yield KEPT[request["Key"]]

    return {"Body": parts(), "ContentLength": len(KEPT[request["Key"]])}


def who(caller: Caller, request: Parameters) -> Result:
    return {"Arn": caller.identity, "Account": caller.account, "UserId": caller.region}


HANDLERS = {
    "s3": {"put_object": put_object, "get_object": get_object, "list_buckets": lambda caller, request: {"Buckets": []}},
    "sts": {"get_caller_identity": who},
    "sagemaker": {"list_models": lambda caller, request: {"Models": []}},
    "lambda": {"get_function": lambda caller, request: {"Configuration": {"FunctionName": request["FunctionName"]}}},
}


@pytest.fixture(scope="module")
def toys() -> Iterator[Toys]:
    with served(HANDLERS) as toys:
        yield toys


@pytest.mark.parametrize("key", ODD_KEYS)
@pytest.mark.parametrize("version", [None, "s3", "s3v4"])
def test_any_key_can_be_signed_for(toys: Toys, key: str, version: str | None) -> None:
    client = toys.client("s3", signature_version=version)
    if version != "s3":
        client.put_object(Bucket="bucket", Key=key, Body=key.encode())
    url = client.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": key})
    assert _sent("PUT", url, b"put") == 200
    url = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"put" == KEPT[key]


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_may_carry_more_than_a_key(toys: Toys, version: str) -> None:
    client = toys.client("s3", signature_version=version)
    parameters = {"Bucket": "b", "Key": "k", "ResponseContentType": "text/x y", "VersionId": "a+/="}
    KEPT["k"] = b"value"
    with urllib.request.urlopen(client.generate_presigned_url("get_object", Params=parameters)) as answer:
        assert answer.read() == b"value"
    parameters = {"Bucket": "b", "Key": "typed", "ContentType": "text/plain", "Metadata": {"a": "b c"}}
    url = client.generate_presigned_url("put_object", Params=parameters)
    headers = {"Content-Type": "text/plain"} | ({"x-amz-meta-a": "b c"} if version == "s3v4" else {})
    assert _sent("PUT", url, b"1", headers) == 200
    assert KEPT["typed"] == b"1"


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("s3", "list_buckets", "SignatureDoesNotMatch"),
        ("sagemaker", "list_models", "InvalidSignatureException"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
    ],
)
def test_a_wrong_secret_is_refused(toys: Toys, service: str, operation: str, code: str) -> None:
    assert _refused(toys.client(service, secret="wrong"), operation) == (code, 403)


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("sagemaker", "list_models", "UnrecognizedClientException"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
    ],
)
def test_an_unknown_key_is_refused(toys: Toys, service: str, operation: str, code: str) -> None:
    assert _refused(toys.client(service, access="AKIANOBODY"), operation) == (code, 403)


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("s3", "list_buckets", "RequestTimeTooSkewed"),
        ("sagemaker", "list_models", "InvalidSignatureException"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
    ],
)
@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_skewed_clock_is_refused(toys: Toys, service: str, operation: str, code: str, minutes: int) -> None:
    client = toys.client(service)
    with mock.patch("botocore.auth.get_current_datetime", return_value=_now(minutes)):
        assert _refused(client, operation) == (code, 403)


def _sent(method: str, url: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    """By a client that adds no header of its own."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.netloc)
    with closing(connection):
        connection.request(method, f"{where.path}?{where.query}", body, headers or {})
        return connection.getresponse().status


def _now(minutes: int) -> datetime:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).replace(tzinfo=None)


def _refused(client: Any, operation: str) -> tuple[str, int]:
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)()
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_an_expired_url_is_refused(toys: Toys) -> None:
    client = toys.client("s3", signature_version="s3v4")
    with mock.patch("botocore.auth.get_current_datetime", return_value=_now(-2)):
        url = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}, ExpiresIn=60)
    assert _answer(url) == (403, "AccessDenied", "Request has expired")
    with mock.patch("time.time", return_value=time.time() - 120):
        url = toys.client("s3", signature_version="s3").generate_presigned_url(
            "get_object", Params={"Bucket": "b", "Key": "k"}, ExpiresIn=60
        )
    assert _answer(url) == (403, "AccessDenied", "Request has expired")


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_an_expired_url_is_told_when_it_expired(toys: Toys, version: str) -> None:
    with (
        mock.patch("botocore.auth.get_current_datetime", return_value=_now(-2)),
        mock.patch("time.time", return_value=time.time() - 7200),
    ):
        url = toys.client("s3", signature_version=version).generate_presigned_url(
            "get_object", Params={"Bucket": "b", "Key": "k"}, ExpiresIn=60
        )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url)
    with refused.value as answer:
        said = answer.read().decode()
    times = re.findall(r"<(Expires|ServerTime)>(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)<", said)
    assert [name for name, _ in times] == ["Expires", "ServerTime"]
    assert times[0][1] < times[1][1]


def test_a_url_of_the_year_one_is_refused(toys: Toys) -> None:
    url = toys.client("s3", signature_version="s3v4").generate_presigned_url(
        "get_object", Params={"Bucket": "b", "Key": "k"}
    )
    today = re.search(r"X-Amz-Date=(\d{8})", url)
    assert today
    assert _answer(url.replace(today[1], "00010101")) == (403, "AccessDenied", "Request has expired")


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_changed_byte_in_a_url_is_refused(toys: Toys, version: str) -> None:
    KEPT["secret"] = KEPT["k"] = b"1"
    url = toys.client("s3", signature_version=version).generate_presigned_url(
        "get_object", Params={"Bucket": "b", "Key": "k"}
    )
    assert _answer(url)[0] == 200
    assert _answer(url.replace("/b/k?", "/b/secret?"))[:2] == (403, "SignatureDoesNotMatch")
    assert _answer(url + "&versionId=1")[:2] == (403, "SignatureDoesNotMatch")
    assert _answer(url, method="PUT")[:2] == (403, "SignatureDoesNotMatch")
    end = "Expires=99" if version == "s3" else "X-Amz-Expires=99"
    assert _answer(url.replace("Expires=", end))[0] in (400, 403)


def _answer(url: str, method: str = "GET", headers: dict[str, str] | None = None, data: bytes | None = None) -> Any:
    request = urllib.request.Request(url, method=method, headers=headers or {}, data=data)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, "", ""
    except urllib.error.HTTPError as error:
        with error:
            root = ElementTree.fromstring(error.read())
        return error.code, root.findtext("Code"), root.findtext("Message")


def test_a_missing_signature_is_refused_in_each_service_s_words(toys: Toys) -> None:
    assert _answer(f"{toys.url}/bucket/key") == (403, "AccessDenied", "Access Denied")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{toys.url}/?Action=GetCallerIdentity&Version=2011-06-15")
    with refused.value as answer:
        assert b"<Code>MissingAuthenticationToken</Code>" in answer.read()
        assert answer.code == 403
    headers = {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(toys.url, data=b"{}", headers=headers))
    with refused.value as answer:
        assert b'"__type": "MissingAuthenticationTokenException"' in answer.read()
        assert answer.code == 403
        assert answer.headers["x-amzn-requestid"]


def test_a_changed_body_is_refused(toys: Toys) -> None:
    request = AWSRequest("PUT", f"{toys.url}/b/k", {}, b"what was signed")
    S3SigV4Auth(Credentials(ACCESS, SECRET), "s3", "eu-west-1").add_auth(request)
    assert _answer(request.url, "PUT", dict(request.headers), b"what was signed")[0] == 200
    changed = _answer(request.url, "PUT", dict(request.headers), b"what is sent...")
    assert changed[:2] == (400, "XAmzContentSHA256Mismatch")


def test_a_changed_json_body_is_refused(toys: Toys) -> None:
    headers = {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", f"{toys.url}/", headers, b"{}")
    SigV4Auth(Credentials(ACCESS, SECRET), "sagemaker", "eu-west-1").add_auth(request)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(request.url, b"{ }", dict(request.headers)))
    with refused.value as answer:
        assert b"InvalidSignatureException" in answer.read()


def test_headers_that_were_not_signed_are_refused(toys: Toys) -> None:
    request = AWSRequest("PUT", f"{toys.url}/b/k", {}, b"x")
    S3SigV4Auth(Credentials(ACCESS, SECRET), "s3", "eu-west-1").add_auth(request)
    headers = dict(request.headers) | {"x-amz-copy-source": "other/key"}
    assert _answer(request.url, "PUT", headers, b"x")[:2] == (403, "AccessDenied")


def test_spaces_and_repeats_in_headers_are_signed_as_aws_signs_them(toys: Toys) -> None:
    request = AWSRequest("PUT", f"{toys.url}/b/spaces", {"x-amz-meta-a": "  one   two  ", "Content-Type": "a/b"}, b"x")
    S3SigV4Auth(Credentials(ACCESS, SECRET), "s3", "eu-west-1").add_auth(request)
    assert _answer(request.url, "PUT", dict(request.headers), b"x")[0] == 200


def test_paths_of_other_services_are_encoded_twice(toys: Toys) -> None:
    name = "arn:aws:lambda:eu-west-1:000000000000:function:f"
    assert toys.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionName"] == name
    with pytest.raises(ClientError, match="ValidationException"):
        toys.client("lambda").get_function(FunctionName="ü / %2F")


def test_a_temporary_key_needs_its_token_and_ends(toys: Toys) -> None:
    toys.keys["ASIA1"] = Key(secret="s", identity=IDENTITY + "2", token="token", expires=time.time() + 100)
    toys.keys["ASIA2"] = Key(secret="s", identity=IDENTITY, token="token", expires=time.time() - 1)
    good = toys.client("sts", "ASIA1", "s", aws_session_token="token")
    assert good.get_caller_identity()["Arn"] == IDENTITY + "2"
    assert _refused(toys.client("sts", "ASIA1", "s"), "get_caller_identity") == ("InvalidClientTokenId", 403)
    bad = toys.client("s3", "ASIA1", "s", aws_session_token="other")
    assert _refused(bad, "list_buckets") == ("InvalidToken", 400)
    for service, operation, refusal in (
        ("sts", "get_caller_identity", ("ExpiredToken", 403)),
        ("s3", "list_buckets", ("ExpiredToken", 400)),
        ("sagemaker", "list_models", ("ExpiredTokenException", 403)),
    ):
        assert _refused(toys.client(service, "ASIA2", "s", aws_session_token="token"), operation) == refusal


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_urls_signed_with_a_temporary_key_carry_its_token(toys: Toys, version: str) -> None:
    toys.keys["ASIA1"] = Key(secret="s", identity=IDENTITY, token="to/ken+=", expires=time.time() + 100)
    KEPT["k"] = b"1"
    client = toys.client("s3", "ASIA1", "s", aws_session_token="to/ken+=", signature_version=version)
    url = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    assert _answer(url)[0] == 200
    assert _answer(url.replace("to%2Fken", "to%2Fkem"))[0] in (400, 403)


def test_a_presigned_call_of_sts_is_answered(toys: Toys) -> None:
    url = toys.client("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        assert IDENTITY.encode() in answer.read()


def test_the_scope_must_name_the_service_that_is_asked(toys: Toys) -> None:
    headers = {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", f"{toys.url}/", headers, b"{}")
    SigV4Auth(Credentials(ACCESS, SECRET), "logs", "eu-west-1").add_auth(request)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(request.url, b"{}", dict(request.headers)))
    with refused.value as answer:
        assert b"Credential should be scoped to correct service: 'sagemaker'" in answer.read()


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("AWS AKIATOY:c2lnbmF0dXJl", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=AKIATOY/20240101/eu-west-1/s3/aws4_request", "AuthorizationHeaderMalformed"),
        ("Bearer token", "AuthorizationHeaderMalformed"),
    ],
)
def test_other_authorizations_are_refused(toys: Toys, header: str, code: str) -> None:
    assert _answer(f"{toys.url}/b/k", headers={"Authorization": header})[:2] == (400, code)


def test_a_url_lives_a_week_at_most(toys: Toys) -> None:
    client = toys.client("s3", signature_version="s3v4")
    url = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}, ExpiresIn=604801)
    assert _answer(url)[:2] == (400, "AuthorizationQueryParametersError")


def test_botocore_s_own_v2_signer_is_understood(toys: Toys) -> None:
    KEPT["k"] = b"1"
    request = AWSRequest("GET", f"{toys.url}/b/k?response-content-type=text%2Fx&versionId=a&other=1")
    HmacV1QueryAuth(Credentials(ACCESS, SECRET), expires=60).add_auth(request)
    assert _answer(request.url)[0] == 200
