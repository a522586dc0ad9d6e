"""Buckets and objects, as boto3 sees them."""

import datetime
import hashlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def s3(client: Callable[..., Any]) -> Any:
    return client("s3")


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    name = f"story-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    yield name


def refused(code: str, status: int, call: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    return dict(response["Error"])


def test_a_bucket_is_made_found_listed_and_deleted(s3: Any, bucket: str) -> None:
    headed = s3.head_bucket(Bucket=bucket)
    assert headed["BucketRegion"] == "us-east-1"
    assert headed["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    listed = s3.list_buckets(Prefix=bucket)
    assert [found["Name"] for found in listed["Buckets"]] == [bucket]
    assert bucket in [found["Name"] for found in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=bucket, Key="k")
    refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    refused("404", 404, s3.head_bucket, Bucket=bucket)
    error = refused("NoSuchBucket", 404, s3.delete_bucket, Bucket=bucket)
    assert (error["Message"], error["BucketName"]) == ("The specified bucket does not exist", bucket)


def test_making_a_bucket_again_is_fine_in_the_oldest_region_only(server: Any, s3: Any, bucket: str) -> None:
    assert s3.create_bucket(Bucket=bucket)["Location"] == f"/{bucket}"
    elsewhere = server.client("s3", signature_version="s3v4")
    abroad = f"{bucket}-eu"
    place = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket=abroad, CreateBucketConfiguration=place)
    refused("BucketAlreadyOwnedByYou", 409, s3.create_bucket, Bucket=abroad, CreateBucketConfiguration=place)
    assert elsewhere.get_bucket_location(Bucket=abroad)["LocationConstraint"] == "eu-west-1"
    assert elsewhere.head_bucket(Bucket=abroad)["BucketRegion"] == "eu-west-1"
    wrong = {"LocationConstraint": "us-east-1"}
    refused("InvalidLocationConstraint", 400, s3.create_bucket, Bucket=abroad, CreateBucketConfiguration=wrong)


@pytest.mark.parametrize("name", ["Upper", "under_score", "dots..dots", "192.168.1.1", "-dash", "xn--x", "x--ol-s3"])
def test_a_name_that_is_no_bucket_name_is_refused(s3: Any, name: str) -> None:
    error = refused("InvalidBucketName", 400, s3.create_bucket, Bucket=name)
    assert error["Message"] == "The specified bucket is not valid."


def test_an_object_comes_back_as_it_was_put(s3: Any, bucket: str) -> None:
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    put = s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"hello",
        ContentType="text/plain",
        ContentEncoding="identity",
        ContentDisposition="attachment",
        ContentLanguage="en",
        CacheControl="no-cache",
        Expires=expires,
        Metadata={"colour": "green"},
        ServerSideEncryption="aws:kms",
        Tagging="a=b&c=d%20e",
    )
    assert put["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    assert put["ServerSideEncryption"] == "aws:kms"
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"hello"
    headed = s3.head_object(Bucket=bucket, Key="k")
    for answer in (got, headed):
        assert answer["ETag"] == put["ETag"]
        assert answer["ContentLength"] == 5
        assert answer["ContentType"] == "text/plain"
        assert answer["ContentEncoding"] == "identity"
        assert answer["ContentDisposition"] == "attachment"
        assert answer["ContentLanguage"] == "en"
        assert answer["CacheControl"] == "no-cache"
        assert answer["Expires"] == expires
        assert answer["Metadata"] == {"colour": "green"}
        assert answer["ServerSideEncryption"] == "aws:kms"
        assert abs(answer["LastModified"] - datetime.datetime.now(datetime.UTC)) < HOUR
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d e"}]


def test_what_is_not_there_is_named(s3: Any, bucket: str) -> None:
    error = refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")
    assert (error["Message"], error["Key"]) == ("The specified key does not exist.", "k")
    refused("404", 404, s3.head_object, Bucket=bucket, Key="k")
    refused("NoSuchBucket", 404, s3.get_object, Bucket=f"{bucket}-not", Key="k")
    refused("NoSuchBucket", 404, s3.put_object, Bucket=f"{bucket}-not", Key="k", Body=b"x" * 2_000_000)
    refused("NoSuchBucket", 404, s3.put_object, Bucket=f"{bucket}-not", Key="k", Body=b"x")
    assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_keys_are_not_paths(s3: Any, bucket: str) -> None:
    keys = ["a", "a/", "a/b", "a/b/c", "x//y", "../x", "a b+c%2F", "ü/é", "k" * 1024, "~", "'()*!"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert all(s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode() for key in keys)
    listed = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(keys, key=str.encode)
    error = refused("KeyTooLongError", 400, s3.put_object, Bucket=bucket, Key="ü" * 513)
    assert (error["Size"], error["MaxSizeAllowed"]) == ("1026", "1024")


@pytest.mark.parametrize(
    ("wanted", "bytes_", "where"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-5", b"2345", "bytes 2-5/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-30", b"0123456789", "bytes 0-9/10"),
        ("bytes=5-500", b"56789", "bytes 5-9/10"),
        ("bytes=5-2", b"0123456789", None),
        ("bytes=0-1,4-5", b"0123456789", None),
        ("lines=1-2", b"0123456789", None),
    ],
)
def test_a_range_is_a_part_of_the_bytes(s3: Any, bucket: str, wanted: str, bytes_: bytes, where: str | None) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    got = s3.get_object(Bucket=bucket, Key="k", Range=wanted)
    assert got["Body"].read() == bytes_
    assert got.get("ContentRange") == where
    assert got["ResponseMetadata"]["HTTPStatusCode"] == (206 if where else 200)
    assert s3.head_object(Bucket=bucket, Key="k", Range=wanted)["ContentLength"] == len(bytes_)


@pytest.mark.parametrize(
    ("body", "wanted"), [(b"0123456789", "bytes=10-"), (b"0123456789", "bytes=-0"), (b"", "bytes=0-")]
)
def test_a_range_behind_the_end_cannot_be_had(s3: Any, bucket: str, body: bytes, wanted: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    error = refused("InvalidRange", 416, s3.get_object, Bucket=bucket, Key="k", Range=wanted)
    assert error["ActualObjectSize"] == str(len(body))


def test_reading_on_conditions(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    it = {"Bucket": bucket, "Key": "k"}
    for call in (s3.get_object, s3.head_object):
        call(**it, IfMatch=etag)
        call(**it, IfNoneMatch='"other"')
        call(**it, IfModifiedSince=modified - HOUR)
        call(**it, IfUnmodifiedSince=modified)
        # The ETag outweighs the time.
        call(**it, IfMatch=etag, IfUnmodifiedSince=modified - HOUR)
        call(**it, IfNoneMatch='"other"', IfModifiedSince=modified)
        refused("304", 304, call, **it, IfNoneMatch=etag)
        refused("304", 304, call, **it, IfModifiedSince=modified)
        refused("304", 304, call, **it, IfNoneMatch=etag, IfModifiedSince=modified - HOUR)
    refused("PreconditionFailed", 412, s3.get_object, **it, IfMatch='"other"')
    refused("PreconditionFailed", 412, s3.get_object, **it, IfUnmodifiedSince=modified - HOUR)


def test_writing_on_conditions(s3: Any, bucket: str) -> None:
    it = {"Bucket": bucket, "Key": "k"}
    refused("NoSuchKey", 404, s3.put_object, **it, Body=b"1", IfMatch='"other"')
    first = s3.put_object(**it, Body=b"1", IfNoneMatch="*")["ETag"]
    error = refused("PreconditionFailed", 412, s3.put_object, **it, Body=b"2", IfNoneMatch="*")
    assert error["Condition"] == "If-None-Match"
    second = s3.put_object(**it, Body=b"2", IfMatch=first)["ETag"]
    refused("PreconditionFailed", 412, s3.put_object, **it, Body=b"3", IfMatch=first)
    refused("PreconditionFailed", 412, s3.delete_object, **it, IfMatch=first)
    assert s3.get_object(**it)["Body"].read() == b"2"
    s3.delete_object(**it, IfMatch=second)
    refused("NoSuchKey", 404, s3.get_object, **it)


def test_many_are_deleted_at_once(s3: Any, bucket: str) -> None:
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"k{number}")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k0"}, {"Key": "never was"}]})
    assert answer["Deleted"] == [{"Key": "k0"}, {"Key": "never was"}]
    long = "k" * 1025
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "k1"}, {"Key": long}, {"Key": "k2", "ETag": "x"}], "Quiet": True}
    )
    assert "Deleted" not in answer
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [
        (long, "KeyTooLongError"),
        ("k2", "PreconditionFailed"),
    ]
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k2", "k3", "k4"]
    none = {"Objects": [{"Key": "k"}] * 1001}
    refused("MalformedXML", 400, s3.delete_objects, Bucket=bucket, Delete=none)
    refused("NoSuchBucket", 404, s3.delete_objects, Bucket=f"{bucket}-not", Delete={"Objects": [{"Key": "k"}]})


def test_a_copy_keeps_or_replaces_what_describes_it(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a b/ü", Body=b"x", ContentType="text/a", Metadata={"a": "1"}, Tagging="t=1")
    source = {"Bucket": bucket, "Key": "a b/ü"}
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    s3.copy_object(
        Bucket=bucket,
        Key="replaced",
        CopySource=source,
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        ContentType="text/b",
        Metadata={"b": "2"},
        Tagging="u=2",
    )
    kept, replaced = (s3.get_object(Bucket=bucket, Key=key) for key in ("kept", "replaced"))
    assert kept["Body"].read() == replaced["Body"].read() == b"x"
    assert (kept["ContentType"], kept["Metadata"]) == ("text/a", {"a": "1"})
    assert (replaced["ContentType"], replaced["Metadata"]) == ("text/b", {"b": "2"})
    assert s3.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="replaced")["TagSet"] == [{"Key": "u", "Value": "2"}]


def test_a_copy_has_conditions_and_must_change_something(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    it = {"Bucket": bucket, "CopySource": f"{bucket}/k"}
    s3.copy_object(**it, Key="copy", CopySourceIfMatch=etag)
    refused("PreconditionFailed", 412, s3.copy_object, **it, Key="copy", CopySourceIfNoneMatch=etag)
    refused("PreconditionFailed", 412, s3.copy_object, **it, Key="copy", CopySourceIfMatch='"other"')
    refused("PreconditionFailed", 412, s3.copy_object, **it, Key="copy", IfNoneMatch="*")
    refused("InvalidRequest", 400, s3.copy_object, **it, Key="k")
    s3.copy_object(**it, Key="k", MetadataDirective="REPLACE", Metadata={"new": "yes"})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"new": "yes"}
    refused("NoSuchKey", 404, s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/nothing")
    refused("NoSuchBucket", 404, s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}-not/k")
    refused("InvalidArgument", 400, s3.copy_object, Bucket=bucket, Key="c", CopySource="no-key")


def test_checksums_are_kept_and_returned_when_asked_for(s3: Any, bucket: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm="SHA256")
    assert put["ChecksumSHA256"] == "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
    headed = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (headed["ChecksumSHA256"], headed["ChecksumType"]) == (put["ChecksumSHA256"], "FULL_OBJECT")
    assert "ChecksumSHA256" not in s3.get_object(Bucket=bucket, Key="k", Range="bytes=1-2", ChecksumMode="ENABLED")
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag", "Checksum", "ObjectSize"])
    assert attributes["Checksum"]["ChecksumSHA256"] == put["ChecksumSHA256"]
    assert (attributes["ObjectSize"], attributes["ETag"]) == (5, put["ETag"].strip('"'))
    copied = s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", ChecksumAlgorithm="CRC32")
    assert copied["CopyObjectResult"]["ChecksumCRC32"] == "NhCmhg=="
    refused("BadDigest", 400, s3.put_object, Bucket=bucket, Key="k", Body=b"hello", ChecksumCRC32="AAAAAA==")
    md5 = "1B2M2Y8AsgTpgAmY7PhCfg=="
    refused("BadDigest", 400, s3.put_object, Bucket=bucket, Key="k", Body=b"hello", ContentMD5=md5)
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"] == put["ETag"]


def test_an_answer_can_be_described_otherwise(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/a")
    got = s3.get_object(
        Bucket=bucket, Key="k", ResponseContentType="text/b", ResponseContentDisposition="attachment; filename=x"
    )
    assert (got["ContentType"], got["ContentDisposition"]) == ("text/b", "attachment; filename=x")


def test_tags_are_put_replaced_and_taken_away(s3: Any, bucket: str) -> None:
    it = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**it, Tagging="a=b")
    s3.put_object_tagging(**it, Tagging={"TagSet": [{"Key": "c", "Value": ""}]})
    assert s3.get_object_tagging(**it)["TagSet"] == [{"Key": "c", "Value": ""}]
    s3.delete_object_tagging(**it)
    assert s3.get_object_tagging(**it)["TagSet"] == []
    twice = {"TagSet": [{"Key": "c", "Value": ""}] * 2}
    refused("InvalidTag", 400, s3.put_object_tagging, **it, Tagging=twice)
    many = {"TagSet": [{"Key": str(number), "Value": ""} for number in range(11)]}
    refused("BadRequest", 400, s3.put_object_tagging, **it, Tagging=many)
    refused("NoSuchKey", 404, s3.get_object_tagging, Bucket=bucket, Key="other")


def test_what_we_lack_is_refused_and_not_ignored(s3: Any, bucket: str) -> None:
    it = {"Bucket": bucket, "Key": "k"}
    stranger = "123123123123"
    refused("AccessDenied", 403, s3.put_object, **it, ExpectedBucketOwner=stranger)
    refused("AccessControlListNotSupported", 400, s3.put_object, **it, ACL="public-read")
    refused("InvalidRequest", 400, s3.put_object, **it, ObjectLockLegalHoldStatus="ON")
    refused("InvalidArgument", 400, s3.get_object, **it, VersionId="abc")
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    refused("NotImplemented", 501, s3.put_object, **it, **key)
    refused("NotImplemented", 501, s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration={})
    s3.put_object(**it, ACL="bucket-owner-full-control")
