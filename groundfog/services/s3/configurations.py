"""How a bucket is set up: its tags, which it keeps, and what it has none of, in the words in which S3 says so.

Everything here is signed by the one owner, so an ACL is always the default one. Reading a setting that a bucket does
not have is answered as S3 answers for a bucket that was never given it; giving it one is not implemented.
"""

from typing import Any

from groundfog.engine import Engine
from groundfog.services.s3.buckets import Owner
from groundfog.services.s3.properties import Tags
from groundfog.services.s3.refusals import InvalidRequest, MalformedXML, Refusing
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_MOST_TAGS = 50


def get_bucket_tagging(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        tags = engine.objects.find_bucket(request["Bucket"]).tags
    if not tags:
        raise _none("NoSuchTagSet", "The TagSet does not exist", request)
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def put_bucket_tagging(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        engine.objects.tag_bucket(request["Bucket"], Tags.of_set(request["Tagging"]["TagSet"], _MOST_TAGS, of="Bucket"))
    return {}


def delete_bucket_tagging(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        engine.objects.tag_bucket(request["Bucket"], {})
    return {}


def get_bucket_acl(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    return _owners_alone(caller)


def put_bucket_acl(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    _refuse_other_grants(caller, request)
    return {}


def get_object_acl(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        engine.objects.find(request["Bucket"], request["Key"])
    return _owners_alone(caller)


def put_object_acl(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        engine.objects.find(request["Bucket"], request["Key"])
    _refuse_other_grants(caller, request)
    return {}


def get_bucket_ownership_controls(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}


def get_bucket_request_payment(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    return {"Payer": "BucketOwner"}


def get_bucket_logging(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    return {}


def get_bucket_notification_configuration(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    return {}


def get_bucket_accelerate_configuration(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    return {}


def get_bucket_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    raise _none("NoSuchBucketPolicy", "The bucket policy does not exist", request)


def get_bucket_policy_status(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    raise _none("NoSuchBucketPolicy", "The bucket policy does not exist", request)


def get_bucket_encryption(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Blobs lie on the disk as they are."""
    _need(engine, caller, request)
    text = "The server side encryption configuration was not found"
    raise _none("ServerSideEncryptionConfigurationNotFoundError", text, request)


def get_public_access_block(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    text = "The public access block configuration was not found"
    raise _none("NoSuchPublicAccessBlockConfiguration", text, request)


def get_bucket_cors(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    raise _none("NoSuchCORSConfiguration", "The CORS configuration does not exist", request)


def get_bucket_lifecycle_configuration(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    raise _none("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", request)


def get_bucket_replication(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    text = "The replication configuration was not found"
    raise _none("ReplicationConfigurationNotFoundError", text, request)


def get_bucket_website(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    text = "The specified bucket does not have a website configuration"
    raise _none("NoSuchWebsiteConfiguration", text, request)


def get_object_lock_configuration(engine: Engine, caller: Caller, request: Parameters) -> Result:
    _need(engine, caller, request)
    text = "Object Lock configuration does not exist for this bucket"
    raise _none("ObjectLockConfigurationNotFoundError", text, request)


def get_object_legal_hold(engine: Engine, caller: Caller, request: Parameters) -> Result:
    raise _no_lock(engine, caller, request)


def get_object_retention(engine: Engine, caller: Caller, request: Parameters) -> Result:
    raise _no_lock(engine, caller, request)


def delete_bucket_cors(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return _stays_away(engine, caller, request)


def delete_bucket_encryption(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return _stays_away(engine, caller, request)


def delete_bucket_lifecycle(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return _stays_away(engine, caller, request)


def delete_bucket_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return _stays_away(engine, caller, request)


def delete_bucket_replication(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return _stays_away(engine, caller, request)


def delete_bucket_website(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return _stays_away(engine, caller, request)


def delete_public_access_block(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return _stays_away(engine, caller, request)


def _stays_away(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Deleting what is not there is no error in S3, and nothing of the kind can have been put."""
    _need(engine, caller, request)
    return {}


def _no_lock(engine: Engine, caller: Caller, request: Parameters) -> Refusal:
    with Refusing(caller, request):
        engine.objects.find(request["Bucket"], request["Key"])
    return InvalidRequest("Bucket is missing Object Lock Configuration")


def _need(engine: Engine, caller: Caller, request: Parameters) -> None:
    with Refusing(caller, request):
        engine.objects.find_bucket(request["Bucket"])


def _none(code: str, text: str, request: Parameters) -> Refusal:
    return Refusal(code, text, 404, BucketName=request["Bucket"])


def _owners_alone(caller: Caller) -> dict[str, Any]:
    grantee = {**Owner(caller), "Type": "CanonicalUser"}
    return {"Owner": Owner(caller), "Grants": [{"Grantee": grantee, "Permission": "FULL_CONTROL"}]}


def _refuse_other_grants(caller: Caller, request: Parameters) -> None:
    """`Refusing` has looked at headers; a policy in the body may repeat the default ACL and nothing else."""
    policy = request.get("AccessControlPolicy")
    if policy is None:
        if "ACL" not in request:
            raise MalformedXML
        return
    granted = [(grant.get("Grantee", {}).get("ID"), grant.get("Permission")) for grant in policy.get("Grants", [])]
    if granted != [(Owner(caller)["ID"], "FULL_CONTROL")]:
        raise Refusal("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)
