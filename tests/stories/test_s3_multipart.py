"""Objects in parts, as boto3 sees them."""

import base64
import hashlib
import io
import os
import uuid
import zlib
from collections.abc import Callable
from typing import Any

import anycrc
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

MIB = 1 << 20


@pytest.fixture(scope="module")
def s3(client: Callable[..., Any]) -> Any:
    return client("s3")


@pytest.fixture(scope="module")
def bucket(s3: Any) -> str:
    name = f"story-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    return name


def refused(code: str, status: int, call: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    return dict(response["Error"])


class Uploading:
    """An upload and what it needs to be named."""

    def __init__(self, s3: Any, bucket: str, **parameters: Any) -> None:
        self.s3, key = s3, uuid.uuid4().hex
        begun = s3.create_multipart_upload(Bucket=bucket, Key=key, **parameters)
        self.it = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"]}

    def part(self, number: int, body: bytes, **parameters: Any) -> dict[str, Any]:
        given = self.s3.upload_part(**self.it, PartNumber=number, Body=body, **parameters)
        sums = {name: value for name, value in given.items() if name.startswith("Checksum")}
        return {"PartNumber": number, "ETag": given["ETag"], **sums}

    def complete(self, *parts: dict[str, Any], **parameters: Any) -> dict[str, Any]:
        return dict(self.s3.complete_multipart_upload(**self.it, MultipartUpload={"Parts": parts}, **parameters))

    def refuses(self, code: str, *parts: dict[str, Any], **parameters: Any) -> dict[str, Any]:
        call = self.s3.complete_multipart_upload
        return refused(code, 400, call, **self.it, MultipartUpload={"Parts": parts}, **parameters)

    @property
    def object(self) -> dict[str, str]:
        return {name: self.it[name] for name in ("Bucket", "Key")}


def test_boto3_uploads_and_downloads_in_parts(s3: Any, bucket: str) -> None:
    body = os.urandom(17 * MIB + 1)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(body), bucket, "transferred", Config=config, ExtraArgs={"Metadata": {"a": "b"}})
    headed = s3.head_object(Bucket=bucket, Key="transferred", ChecksumMode="ENABLED")
    pieces = [body[start : start + 5 * MIB] for start in range(0, len(body), 5 * MIB)]
    md5s = b"".join(hashlib.md5(piece).digest() for piece in pieces)
    crcs = b"".join(zlib.crc32(piece).to_bytes(4, "big") for piece in pieces)
    assert headed["ETag"] == f'"{hashlib.md5(md5s).hexdigest()}-4"'
    assert headed["ChecksumCRC32"] == base64.b64encode(zlib.crc32(crcs).to_bytes(4, "big")).decode() + "-4"
    assert (headed["ChecksumType"], headed["Metadata"]) == ("COMPOSITE", {"a": "b"})
    got = io.BytesIO()
    s3.download_fileobj(bucket, "transferred", got, Config=config)
    assert got.getvalue() == body
    s3.copy({"Bucket": bucket, "Key": "transferred"}, bucket, "copied", Config=config)
    assert s3.get_object(Bucket=bucket, Key="copied")["Body"].read() == body
    assert s3.head_object(Bucket=bucket, Key="copied")["ETag"] == headed["ETag"]


def test_a_part_of_an_object_can_be_read(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.complete(upload.part(1, b"a" * 5 * MIB), upload.part(7, b"the end"))
    second = s3.get_object(**upload.object, PartNumber=2)
    assert second["Body"].read() == b"the end"
    assert (second["PartsCount"], second["ContentRange"]) == (2, f"bytes {5 * MIB}-{5 * MIB + 6}/{5 * MIB + 7}")
    refused("InvalidPartNumber", 416, s3.get_object, **upload.object, PartNumber=3)
    attributes = s3.get_object_attributes(**upload.object, ObjectAttributes=["ObjectParts"])
    assert attributes["ObjectParts"]["TotalPartsCount"] == 2


def test_parts_that_do_not_fit_are_refused(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    first, second = upload.part(1, b"small"), upload.part(2, b"end")
    small = upload.refuses("EntityTooSmall", first, second)
    assert (small["PartNumber"], small["MinSizeAllowed"], small["ProposedSize"]) == ("1", "5242880", "5")
    upload.refuses("InvalidPartOrder", second, first)
    upload.refuses("InvalidPart", {**first, "ETag": second["ETag"]})
    upload.refuses("InvalidPart", {"PartNumber": 3, "ETag": first["ETag"]})
    upload.refuses("MalformedXML")
    upload.refuses("InvalidRequest", first, MpuObjectSize=4)
    refused("InvalidArgument", 400, s3.upload_part, **upload.it, PartNumber=10_001, Body=b"")
    upload.complete(first, MpuObjectSize=5)
    assert s3.get_object(**upload.object)["Body"].read() == b"small"


def test_completing_again_answers_the_same(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    part = upload.part(1, b"x")
    answer, again = upload.complete(part), upload.complete(part)
    assert answer["ETag"] == again["ETag"]
    s3.put_object(**upload.object, Body=b"replaced")
    refused("NoSuchUpload", 404, s3.complete_multipart_upload, **upload.it, MultipartUpload={"Parts": [part]})


def test_an_aborted_upload_is_gone(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    part = upload.part(1, b"x")
    assert s3.abort_multipart_upload(**upload.it)["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused("NoSuchUpload", 404, s3.abort_multipart_upload, **upload.it)
    refused("NoSuchUpload", 404, s3.list_parts, **upload.it)
    refused("NoSuchUpload", 404, s3.upload_part, **upload.it, PartNumber=1, Body=b"x")
    refused("NoSuchUpload", 404, s3.complete_multipart_upload, **upload.it, MultipartUpload={"Parts": [part]})
    refused("NoSuchKey", 404, s3.get_object, **upload.object)


def test_uploads_and_parts_are_listed_in_pages(s3: Any) -> None:
    bucket = f"story-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    uploads = [s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in ("b c", "a", "b c")]
    paginator = s3.get_paginator("list_multipart_uploads")
    pages = list(paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": 1}))
    listed = [(found["Key"], found["UploadId"]) for page in pages for found in page["Uploads"]]
    assert listed == [("a", uploads[1]), *sorted([("b c", uploads[0]), ("b c", uploads[2])])]
    behind = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="a")
    assert {found["Key"] for found in behind["Uploads"]} == {"b c"}
    it = {"Bucket": bucket, "Key": "a", "UploadId": uploads[1]}
    for number in (3, 1, 2):
        s3.upload_part(**it, PartNumber=number, Body=b"x" * number)
    pages = list(s3.get_paginator("list_parts").paginate(**it, PaginationConfig={"PageSize": 2}))
    assert [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]] == [(1, 1), (2, 2), (3, 3)]
    assert s3.list_parts(**it, PartNumberMarker=2**31 - 1)["IsTruncated"] is False
    refused("InvalidArgument", 400, s3.list_parts, **it, MaxParts=-1)
    s3.delete_bucket(Bucket=bucket)


def test_parts_are_copied_from_objects(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source ü", Body=b"0123456789")
    upload = Uploading(s3, bucket, ChecksumAlgorithm="SHA256")
    copy: dict[str, Any] = {**upload.it, "PartNumber": 1, "CopySource": {"Bucket": bucket, "Key": "source ü"}}
    refused("InvalidArgument", 400, s3.upload_part_copy, **copy, CopySourceRange="bytes=5-10")
    refused("PreconditionFailed", 412, s3.upload_part_copy, **copy, CopySourceIfMatch='"other"')
    result = s3.upload_part_copy(**copy, CopySourceRange="bytes=2-5")["CopyPartResult"]
    assert result["ETag"] == f'"{hashlib.md5(b"2345").hexdigest()}"'
    part = {"PartNumber": 1, "ETag": result["ETag"], "ChecksumSHA256": result["ChecksumSHA256"]}
    answer = upload.complete(part)
    inner = hashlib.sha256(hashlib.sha256(b"2345").digest()).digest()
    assert answer["ChecksumSHA256"] == base64.b64encode(inner).decode() + "-1"
    assert s3.get_object(**upload.object)["Body"].read() == b"2345"


def test_the_checksum_of_the_whole_can_be_wanted(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = [upload.part(1, b"a" * 5 * MIB), upload.part(2, b"the end")]
    whole = zlib.crc32(b"a" * 5 * MIB + b"the end").to_bytes(4, "big")
    upload.refuses("BadDigest", *parts, ChecksumCRC32="AAAAAA==")
    answer = upload.complete(*parts, ChecksumCRC32=base64.b64encode(whole).decode())
    assert (answer["ChecksumCRC32"], answer["ChecksumType"]) == (base64.b64encode(whole).decode(), "FULL_OBJECT")
    got = s3.get_object(**upload.object, ChecksumMode="ENABLED")
    assert got["ChecksumCRC32"] == answer["ChecksumCRC32"]
    assert len(got["Body"].read()) == 5 * MIB + 7


def test_an_upload_completes_on_conditions(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    part = upload.part(1, b"x")
    s3.put_object(**upload.object, Body=b"there first")
    call, named = s3.complete_multipart_upload, {"MultipartUpload": {"Parts": [part]}}
    refused("PreconditionFailed", 412, call, **upload.it, **named, IfNoneMatch="*")
    upload.complete(part)
    assert s3.get_object(**upload.object)["Body"].read() == b"x"


def test_parts_may_be_checked_by_crc64nvme(client):
    """What AWS's command line sends unless told otherwise; the object's checksum is that of the whole."""
    s3, crc = client("s3"), anycrc.Model("CRC64-NVME")
    s3.create_bucket(Bucket="crc64")
    bodies = [b"a" * (5 << 20), b"b"]
    kind = {"ChecksumAlgorithm": "CRC64NVME"}
    with pytest.raises(ClientError, match="The COMPOSITE checksum type cannot be used with the crc64nvme"):
        s3.create_multipart_upload(Bucket="crc64", Key="k", **kind, ChecksumType="COMPOSITE")
    upload = s3.create_multipart_upload(Bucket="crc64", Key="k", **kind)["UploadId"]
    parts = []
    for number, body in enumerate(bodies, start=1):
        checksum = base64.b64encode(crc.calc(body).to_bytes(8, "big")).decode()
        it = {"Bucket": "crc64", "Key": "k", "UploadId": upload, "PartNumber": number}
        etag = s3.upload_part(**it, Body=body, ChecksumCRC64NVME=checksum)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag, "ChecksumCRC64NVME": checksum})
    done = s3.complete_multipart_upload(
        Bucket="crc64", Key="k", UploadId=upload, MultipartUpload={"Parts": parts}, ChecksumType="FULL_OBJECT"
    )
    assert done["ChecksumCRC64NVME"] == base64.b64encode(crc.calc(b"".join(bodies)).to_bytes(8, "big")).decode()
    assert done["ChecksumType"] == "FULL_OBJECT"
