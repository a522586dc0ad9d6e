"""S3 below boto3: presigned URLs, framed bodies, patience before sending, memory, and a server that is killed."""

import base64
import contextlib
import hashlib
import http.client
import io
import os
import re
import socket
import threading
import urllib.error
import urllib.request
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from served import Server, wait_until

MIB = 1 << 20


@pytest.fixture(scope="module")
def s3(client: Callable[..., Any]) -> Any:
    return client("s3")


@pytest.fixture(scope="module")
def bucket(s3: Any) -> str:
    name = f"story-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    return name


def fetched(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, {"Content-Type": "text/plain"} if body else {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_url_needs_no_keys(client: Callable[..., Any], bucket: str, version: str) -> None:
    s3 = client("s3", signature_version=version)
    key = f"pre signed/ü+{version}"
    it = {"Bucket": bucket, "Key": key}
    put = s3.generate_presigned_url("put_object", {**it, "ContentType": "text/plain"})
    assert fetched(put, "PUT", b"hello") == (200, b"")
    assert fetched(s3.generate_presigned_url("get_object", it)) == (200, b"hello")
    url = s3.generate_presigned_url("get_object", it)
    status, body = fetched(url.replace("pre", "pro"))
    assert status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in body
    status, body = fetched(s3.generate_presigned_url("get_object", it, ExpiresIn=-10))
    code = {"s3": b"<Code>AccessDenied</Code>", "s3v4": b"<Code>AuthorizationQueryParametersError</Code>"}[version]
    assert (status, code in body) == (403 if version == "s3" else 400, True), body


def test_a_framed_body_with_its_checksum_behind_it_is_put(s3: Any, bucket: str) -> None:
    body = b"0123456789" * 1000
    crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    assert put_framed(s3, bucket, "framed", body, crc32) == (200, b"")
    got = s3.get_object(Bucket=bucket, Key="framed", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ChecksumCRC32"]) == (body, crc32)
    assert "ContentEncoding" not in got
    status, answer = put_framed(s3, bucket, "wrong", body, "AAAAAA==")
    assert (status, b"<Code>BadDigest</Code>" in answer) == (400, True)
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=bucket, Key="wrong")


def put_framed(s3: Any, bucket: str, key: str, body: bytes, crc32: str) -> tuple[int, bytes]:
    """`aws-chunked` by hand, as SDKs send it over TLS: chunks that nobody signs, and a trailer."""
    pieces = [body[start : start + 777] for start in range(0, len(body), 777)]
    frames = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    data = frames + b"0\r\n" + f"x-amz-checksum-crc32:{crc32}\r\n\r\n".encode()
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Decoded-Content-Length": str(len(body)),
        "X-Amz-Trailer": "x-amz-checksum-crc32",
    }
    request = AWSRequest("PUT", f"{s3.meta.endpoint_url}/{bucket}/{key}", headers=headers)
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    S3SigV4Auth(s3._request_signer._credentials, "s3", "us-east-1").add_auth(request)
    connection = connected(request.url)
    with contextlib.closing(connection):
        connection.request("PUT", urlsplit(request.url).path, data, dict(request.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()


def connected(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)


def test_who_asks_before_sending_is_told_first(s3: Any, bucket: str) -> None:
    size = 10 * MIB
    there = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "expected"})
    nowhere = s3.generate_presigned_url("put_object", {"Bucket": f"{bucket}-not", "Key": "expected"})
    status, answer = asked(nowhere, size)
    assert (status, b"<Code>NoSuchBucket</Code>" in answer) == (404, True)
    status, answer = asked(there, size)
    assert (status, answer) == (200, b"")
    assert s3.head_object(Bucket=bucket, Key="expected")["ContentLength"] == size


def asked(url: str, size: int) -> tuple[int, bytes]:
    """PUT with `Expect: 100-continue`; the body follows only if the server wants it."""
    parts = urlsplit(url)
    head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
    head += f"Content-Length: {size}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(head.encode())
        reader = connection.makefile("rb")
        with reader:
            status = int(reader.readline().split()[1])
            while reader.readline() != b"\r\n":
                pass
            if status != 100:
                return status, reader.read()
            connection.sendall(b"x" * size)
            status = int(reader.readline().split()[1])
            return status, b""


@pytest.mark.parametrize("size", [64 * MIB, pytest.param(256 * MIB, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_object(own_server: Callable[..., Server], size: int) -> None:
    server = own_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="big")
    s3.put_object(Bucket="big", Key="small", Body=b"x" * MIB)
    before = peak_memory(server)
    put = s3.put_object(Bucket="big", Key="k", Body=Zeros(size), ContentLength=size)
    digest = hashlib.md5()
    got = s3.get_object(Bucket="big", Key="k")
    for block in got["Body"].iter_chunks(MIB):
        digest.update(block)
    assert put["ETag"] == got["ETag"] == f'"{digest.hexdigest()}"'
    assert got["ContentLength"] == size
    upload_in_parts(s3, "big", "parts", [5 * MIB] * (size // (5 * MIB)))
    assert peak_memory(server) - before < 32 * MIB


class Zeros(io.RawIOBase):
    """A file of zeros that takes no room."""

    def __init__(self, size: int) -> None:
        self.size, self.at = size, 0

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self.size - self.at)
        buffer[:count] = bytes(count)
        self.at += count
        return count

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def tell(self) -> int:
        return self.at


def upload_in_parts(s3: Any, bucket: str, key: str, sizes: list[int]) -> None:
    it = {"Bucket": bucket, "Key": key}
    upload = s3.create_multipart_upload(**it)["UploadId"]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**it, UploadId=upload, PartNumber=n, Body=Zeros(size))["ETag"]}
        for n, size in enumerate(sizes, 1)
    ]
    s3.complete_multipart_upload(**it, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.head_object(**it)["ContentLength"] == sum(sizes)


def peak_memory(server: Server) -> int:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def test_what_was_acknowledged_survives_a_kill(own_server: Callable[..., Server]) -> None:
    server = own_server()
    server.client("s3").create_bucket(Bucket="kept")
    acknowledged: dict[str, str] = {}
    writers = [threading.Thread(target=write, args=(server.client("s3"), name, acknowledged)) for name in "abc"]
    for writer in writers:
        writer.start()
    wait_until(lambda: len(acknowledged) > 60, "nothing was written")
    server.kill()
    for writer in writers:
        writer.join()
    s3 = server.start().client("s3")
    assert len(acknowledged) > 50  # a writer takes a key off the list while it writes it anew
    for key, etag in acknowledged.items():
        got = s3.get_object(Bucket="kept", Key=key)
        assert got["ETag"] == etag == f'"{hashlib.md5(got["Body"].read()).hexdigest()}"'
    listed = s3.list_objects_v2(Bucket="kept")["Contents"]
    for found in listed:
        body = s3.get_object(Bucket="kept", Key=found["Key"])["Body"].read()
        assert found["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    blobs = server.home / "objects" / "blobs"
    wait_until(lambda: len([blob for blob in blobs.rglob("*") if blob.is_file()]) == len(listed), "no sweep")


def write(s3: Any, name: str, acknowledged: dict[str, str]) -> None:
    """Until the server dies. Every third object replaces one that is there."""
    number = 0
    while True:
        key, body = f"{name}/{number - number % 3}", os.urandom(20_000 + number)
        acknowledged.pop(key, None)
        try:
            acknowledged[key] = s3.put_object(Bucket="kept", Key=key, Body=body)["ETag"]
        except (BotoCoreError, ClientError):
            return
        number += 1


def test_what_is_unchanged_is_named_by_its_etag(client):
    s3 = client("s3")
    s3.create_bucket(Bucket="unchanged")
    etag = s3.put_object(Bucket="unchanged", Key="a", Body=b"a")["ETag"]
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket="unchanged", Key="a", IfNoneMatch=etag)
    answer = refused.value.response["ResponseMetadata"]
    assert (answer["HTTPStatusCode"], answer["HTTPHeaders"]["etag"]) == (304, etag)


def test_an_old_presigned_put_with_a_forms_content_type_is_still_s3s(client):
    """urllib sends `application/x-www-form-urlencoded` unless told otherwise; the query protocol knows forms too."""
    s3 = client("s3", signature_version="s3")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "anything", "Key": "a"})
    request = urllib.request.Request(url, data=b"a", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert b"<Error><Code>SignatureDoesNotMatch</Code>" in refused.value.read().replace(b"\n", b"")
