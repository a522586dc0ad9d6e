"""Listings, as boto3 sees them."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

KEYS = ["a", "b/1", "b/2", "b/3/4", "c\x01d", "c d+e", "d/", "d/é", "z"]


@pytest.fixture(scope="module")
def s3(client: Callable[..., Any]) -> Any:
    return client("s3")


@pytest.fixture(scope="module")
def bucket(s3: Any) -> str:
    name = f"story-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    for key in KEYS:
        s3.put_object(Bucket=name, Key=key, Body=b"12345")
    return name


def keys(answer: dict[str, Any]) -> list[str]:
    return [found["Key"] for found in answer.get("Contents", [])]


def prefixes(answer: dict[str, Any]) -> list[str]:
    return [found["Prefix"] for found in answer.get("CommonPrefixes", [])]


@pytest.mark.parametrize("version", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_pages_together_are_everything(s3: Any, bucket: str, version: str, size: int) -> None:
    pages = list(s3.get_paginator(version).paginate(Bucket=bucket, PaginationConfig={"PageSize": size}))
    assert [key for page in pages for key in keys(page)] == KEYS
    assert len(pages) == -(-len(KEYS) // size)
    assert all(page["MaxKeys"] == size for page in pages)


@pytest.mark.parametrize("version", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_folders_are_rolled_up(s3: Any, bucket: str, version: str, size: int) -> None:
    paginator = s3.get_paginator(version)
    pages = list(paginator.paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}))
    assert [key for page in pages for key in keys(page)] == ["a", "c\x01d", "c d+e", "z"]
    assert [prefix for page in pages for prefix in prefixes(page)] == ["b/", "d/"]
    assert all(len(keys(page)) + len(prefixes(page)) <= size for page in pages)
    within = s3.list_objects_v2(Bucket=bucket, Prefix="b/", Delimiter="/")
    assert (keys(within), prefixes(within), within["KeyCount"]) == (["b/1", "b/2"], ["b/3/"], 3)


def test_an_entry_says_what_the_object_is(s3: Any, bucket: str) -> None:
    (entry,) = s3.list_objects_v2(Bucket=bucket, Prefix="a", FetchOwner=True)["Contents"]
    headed = s3.head_object(Bucket=bucket, Key="a")
    assert (entry["ETag"], entry["Size"], entry["StorageClass"]) == (headed["ETag"], 5, "STANDARD")
    assert entry["LastModified"].replace(microsecond=0) == headed["LastModified"]
    assert entry["Owner"]["ID"]
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket, Prefix="a")["Contents"][0]


def test_a_listing_starts_where_it_is_told(s3: Any, bucket: str) -> None:
    assert keys(s3.list_objects_v2(Bucket=bucket, StartAfter="b/2", MaxKeys=2)) == ["b/3/4", "c\x01d"]
    assert keys(s3.list_objects(Bucket=bucket, Marker="d/")) == ["d/é", "z"]
    answer = s3.list_objects_v2(Bucket=bucket, StartAfter="b/", Delimiter="/")
    assert prefixes(answer) == ["d/"]
    nothing = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (nothing["KeyCount"], nothing["IsTruncated"], nothing["MaxKeys"]) == (0, False, 0)
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)["MaxKeys"] == 1000


def test_texts_come_quoted_when_asked_for(s3: Any, bucket: str) -> None:
    quoted = s3.list_objects_v2(Bucket=bucket, Prefix="c", EncodingType="url")
    assert [found["Key"] for found in quoted["Contents"]] == ["c%01d", "c%20d%2Be"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"ContinuationToken": "not a token"}, "InvalidArgument"),
        ({"MaxKeys": -1}, "InvalidArgument"),
        ({"Bucket": "not-there-at-all"}, "NoSuchBucket"),
    ],
)
def test_a_wrong_question_is_refused(s3: Any, bucket: str, wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(**{"Bucket": bucket, **wrong})
    assert caught.value.response["Error"]["Code"] == code
