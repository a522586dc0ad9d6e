"""Managed policies: one version each."""

import hashlib
import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from groundfog.engine import Engine
from groundfog.engine.errors import Missing, Taken
from groundfog.engine.resources import Resource, Wanted
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal


def create_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    try:
        json.loads(request["PolicyDocument"])["Statement"]
    except (ValueError, KeyError, TypeError):
        raise Refusal(
            "MalformedPolicyDocument", "The policy is not in valid JSON format, or has no Statement."
        ) from None
    document = {
        "Path": request.get("Path", "/"),
        "Description": request.get("Description", ""),
        "Document": request["PolicyDocument"],
    }
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
    try:
        policy = engine.resources.add("policy", request["PolicyName"], document, tags=tags)
    except Taken:
        raise Refusal(
            "EntityAlreadyExists",
            f"A policy called {request['PolicyName']} already exists. Duplicate names are not allowed.",
        ) from None
    return {"Policy": _policy(caller, policy)}


def get_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    policy = _find(engine, caller, request)
    return {"Policy": _policy(caller, policy) | {"Description": policy.document["Description"]}}


def get_policy_version(engine: Engine, caller: Caller, request: Parameters) -> Result:
    policy = _find(engine, caller, request)
    if request["VersionId"] != "v1":
        raise Refusal(
            "NoSuchEntity", f"Policy {request['PolicyArn']} version {request['VersionId']} does not exist.", 404
        )
    return {"PolicyVersion": {**_version(policy), "Document": quote(policy.document["Document"])}}


def list_policy_versions(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return {"Versions": [_version(_find(engine, caller, request))], "IsTruncated": False}


def list_policies(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Those of this account. AWS's own managed policies are attachable by ARN, but not listed."""
    if request.get("Scope") == "AWS":
        return {"Policies": [], "IsTruncated": False}
    wanted = Wanted(sort_by="name", descending=False, limit=request.get("MaxItems", 100), after=request.get("Marker"))
    found, marker = engine.resources.page("policy", wanted)
    prefix = request.get("PathPrefix", "/")
    policies = [_policy(caller, policy) for policy in found if policy.document["Path"].startswith(prefix)]
    return {"Policies": policies, "IsTruncated": marker is not None} | ({"Marker": marker} if marker else {})


def delete_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    policy = _find(engine, caller, request)
    after: str | None = None
    while True:
        roles, after = engine.resources.page("role", Wanted(sort_by="name", descending=False, after=after))
        if any(request["PolicyArn"] in role.document["Attached"] for role in roles):
            raise Refusal("DeleteConflict", "Cannot delete a policy attached to entities.", 409)
        if after is None:
            break
    engine.resources.delete("policy", policy.name)
    return None


def _find(engine: Engine, caller: Caller, request: Parameters) -> Resource:
    """By the whole ARN: another account's policy of the same name is another policy."""
    arn: str = request["PolicyArn"]
    with suppress(Missing):
        policy = engine.resources.find("policy", arn.rpartition("/")[2])
        if _arn(caller, policy) == arn:
            return policy
    raise Refusal("NoSuchEntity", f"Policy {arn} was not found.", 404)


def _arn(caller: Caller, policy: Resource) -> str:
    return f"arn:aws:iam::{caller.account}:policy{policy.document['Path']}{policy.name}"


def _version(policy: Resource) -> dict[str, Any]:
    return {"VersionId": "v1", "IsDefaultVersion": True, "CreateDate": policy.created}


def _policy(caller: Caller, policy: Resource) -> dict[str, Any]:
    path = policy.document["Path"]
    return {
        "PolicyName": policy.name,
        "PolicyId": f"ANPA{hashlib.sha256(policy.name.encode()).hexdigest()[:17].upper()}",
        "Arn": _arn(caller, policy),
        "Path": path,
        "DefaultVersionId": "v1",
        "IsAttachable": True,
        "CreateDate": policy.created,
        "UpdateDate": policy.modified,
    }
