"""Buckets."""

import hashlib
import re

from groundfog.engine import Engine
from groundfog.engine.errors import Busy, Taken
from groundfog.services.s3.refusals import Refusing
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d+")
_CLASSIC = "us-east-1"


class Owner(dict[str, str]):
    """Whom listings name as the owner of everything: the account, as S3's canonical user id."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(ID=hashlib.sha256(caller.account.encode()).hexdigest())


def create_bucket(engine: Engine, caller: Caller, request: Parameters) -> Result:
    bucket = request["Bucket"]
    with Refusing(caller, request):
        if not _is_name(bucket):
            raise Refusal("InvalidBucketName", "The specified bucket is not valid.", 400, BucketName=bucket)
        region = _region(caller, request.get("CreateBucketConfiguration", {}).get("LocationConstraint"))
        if request.get("ObjectLockEnabledForBucket"):
            raise Refusal("NotImplemented", "Object Lock is not implemented", 501)
        try:
            engine.objects.create_bucket(bucket, region)
        except Taken:
            if not region == caller.region == _CLASSIC:
                raise _already_yours(bucket) from None
    return {"Location": f"/{bucket}", "BucketArn": f"arn:aws:s3:::{bucket}"}


def list_buckets(engine: Engine, caller: Caller, request: Parameters) -> Result:
    limit, prefix = request.get("MaxBuckets", 10_000), request.get("Prefix", "")
    found = engine.objects.buckets(
        prefix=prefix,
        after=request.get("ContinuationToken", ""),
        region=request.get("BucketRegion"),
        limit=limit + 1,
    )
    buckets = [
        {"Name": bucket.name, "CreationDate": bucket.created, "BucketRegion": bucket.region} for bucket in found[:limit]
    ]
    answer = {"Buckets": buckets, "Owner": Owner(caller)}
    if prefix:
        answer["Prefix"] = prefix
    if len(found) > limit:
        answer["ContinuationToken"] = found[limit - 1].name
    return answer


def head_bucket(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        bucket = engine.objects.find_bucket(request["Bucket"])
    return {
        "BucketRegion": bucket.region,
        "BucketArn": f"arn:aws:s3:::{bucket.name}",
        "AccessPointAlias": False,
    }


def get_bucket_location(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        region = engine.objects.find_bucket(request["Bucket"]).region
    return {"LocationConstraint": "" if region == _CLASSIC else region}


def get_bucket_versioning(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """A bucket whose versioning was never switched on has no status."""
    with Refusing(caller, request):
        engine.objects.find_bucket(request["Bucket"])
    return {}


def delete_bucket(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        try:
            engine.objects.delete_bucket(request["Bucket"])
        except Busy:
            raise Refusal(
                "BucketNotEmpty", "The bucket you tried to delete is not empty", 409, BucketName=request["Bucket"]
            ) from None
    return {}


def _is_name(bucket: str) -> bool:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
    return (
        _NAME.fullmatch(bucket) is not None
        and ".." not in bucket
        and not _ADDRESS.fullmatch(bucket)
        and not bucket.startswith(_RESERVED_STARTS)
        and not bucket.endswith(_RESERVED_ENDS)
    )


def _region(caller: Caller, constraint: str | None) -> str:
    if caller.region == _CLASSIC:
        if constraint == _CLASSIC or (not _REGION.fullmatch(constraint or _CLASSIC) and constraint != "EU"):
            raise Refusal(
                "InvalidLocationConstraint",
                "The specified location-constraint is not valid",
                400,
                LocationConstraint=constraint,
            )
        return "eu-west-1" if constraint == "EU" else constraint or _CLASSIC
    if constraint != caller.region:
        raise Refusal(
            "IllegalLocationConstraintException",
            f"The {constraint or 'unspecified'} location constraint is incompatible "
            "for the region specific endpoint this request was sent to.",
            400,
        )
    return caller.region


def _already_yours(bucket: str) -> Refusal:
    return Refusal(
        "BucketAlreadyOwnedByYou",
        "Your previous request to create the named bucket succeeded and you already own it.",
        409,
        BucketName=bucket,
    )
