"""What tools ask a bucket on the way: versions, ACLs, tags, and settings that it was never given."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from served import Server

NEVER_GIVEN = {
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_policy_status": "NoSuchBucketPolicy",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_tagging": "NoSuchTagSet",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    "get_public_access_block": "NoSuchPublicAccessBlockConfiguration",
}
DEFAULTS = {
    "get_bucket_accelerate_configuration": {},
    "get_bucket_logging": {},
    "get_bucket_notification_configuration": {},
    "get_bucket_ownership_controls": {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
    "get_bucket_request_payment": {"Payer": "BucketOwner"},
}


@pytest.fixture
def s3(client: Callable[..., Any]) -> Any:
    return client("s3")


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    name = f"set-up-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    yield name


def refusal(call: Callable[..., Any], **parameters: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(("operation", "code"), NEVER_GIVEN.items())
def test_a_bucket_says_what_it_was_never_given(s3: Any, bucket: str, operation: str, code: str) -> None:
    assert refusal(getattr(s3, operation), Bucket=bucket) == (code, 404)
    assert refusal(getattr(s3, operation), Bucket="no-such-bucket") == ("NoSuchBucket", 404)


@pytest.mark.parametrize(("operation", "expected"), DEFAULTS.items())
def test_a_new_bucket_has_the_settings_of_every_new_bucket(
    s3: Any, bucket: str, operation: str, expected: dict[str, Any]
) -> None:
    answer = getattr(s3, operation)(Bucket=bucket)
    answer.pop("ResponseMetadata")
    assert answer == expected
    assert refusal(getattr(s3, operation), Bucket="no-such-bucket") == ("NoSuchBucket", 404)


@pytest.mark.parametrize(
    "operation",
    [
        "delete_bucket_cors",
        "delete_bucket_encryption",
        "delete_bucket_lifecycle",
        "delete_bucket_policy",
        "delete_bucket_replication",
        "delete_bucket_website",
        "delete_public_access_block",
    ],
)
def test_deleting_what_was_never_given_is_no_error(s3: Any, bucket: str, operation: str) -> None:
    assert getattr(s3, operation)(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(getattr(s3, operation), Bucket="no-such-bucket") == ("NoSuchBucket", 404)


def test_no_object_is_locked(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    for operation in (s3.get_object_legal_hold, s3.get_object_retention):
        assert refusal(operation, Bucket=bucket, Key="k") == ("InvalidRequest", 400)
        assert refusal(operation, Bucket=bucket, Key="none") == ("NoSuchKey", 404)


def test_an_acl_gives_everything_to_the_owner_and_nothing_to_others(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    for answer in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        [grant] = answer["Grants"]
        assert grant["Permission"] == "FULL_CONTROL"
        assert grant["Grantee"] == {"ID": answer["Owner"]["ID"], "Type": "CanonicalUser"}
    owner, grants = answer["Owner"], answer["Grants"]
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={"Owner": owner, "Grants": grants})
    lacking = ("AccessControlListNotSupported", 400)
    assert refusal(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == lacking
    everyone = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
    policy = {"Owner": owner, "Grants": [*grants, {"Grantee": everyone, "Permission": "READ"}]}
    assert refusal(s3.put_object_acl, Bucket=bucket, Key="k", AccessControlPolicy=policy) == lacking
    assert refusal(s3.get_object_acl, Bucket=bucket, Key="none") == ("NoSuchKey", 404)


def test_a_bucket_keeps_its_tags(own_server: Callable[..., Server]) -> None:
    server = own_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="tagged")
    tags = [{"Key": "team", "Value": "sounds"}, {"Key": "année", "Value": ""}]
    s3.put_bucket_tagging(Bucket="tagged", Tagging={"TagSet": tags})
    server.kill()
    server.start()
    s3 = server.client("s3")
    assert s3.get_bucket_tagging(Bucket="tagged")["TagSet"] == tags
    many = [{"Key": str(number), "Value": ""} for number in range(51)]
    assert refusal(s3.put_bucket_tagging, Bucket="tagged", Tagging={"TagSet": many}) == ("BadRequest", 400)
    s3.delete_bucket_tagging(Bucket="tagged")
    assert refusal(s3.get_bucket_tagging, Bucket="tagged") == ("NoSuchTagSet", 404)
    assert refusal(s3.put_bucket_tagging, Bucket="none", Tagging={"TagSet": tags}) == ("NoSuchBucket", 404)


def test_versions_are_paged_and_each_object_is_its_only_one(s3: Any, bucket: str) -> None:
    keys = ["a b", "d/1", "d/2", "e+%", "é"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"12")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    found = [version for page in pages for version in page["Versions"]]
    assert [version["Key"] for version in found] == keys
    assert {(version["VersionId"], version["IsLatest"], version["Size"]) for version in found} == {("null", True, 2)}
    rolled = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    assert [prefix["Prefix"] for prefix in rolled["CommonPrefixes"]] == ["d/"]
    assert len(rolled["Versions"]) == 3
    code, _ = refusal(s3.list_object_versions, Bucket=bucket, VersionIdMarker="null", KeyMarker="")
    assert code == "InvalidArgument"


def test_the_usual_way_to_empty_a_bucket_empties_it(server: Server, s3: Any, bucket: str) -> None:
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=str(number))
    given = server.environment
    found = boto3.resource(
        "s3",
        endpoint_url=server.url,
        region_name=given["AWS_REGION"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
    ).Bucket(bucket)
    found.object_versions.delete()
    found.delete()
    assert refusal(s3.head_bucket, Bucket=bucket) == ("404", 404)
