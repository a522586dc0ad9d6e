"""Roles, their inline policies and the managed ones that are attached to them."""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from groundfog.engine import Engine
from groundfog.engine.errors import Missing, Taken
from groundfog.engine.resources import Document, Resource, Wanted
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal


def create_role(engine: Engine, caller: Caller, request: Parameters) -> Result:
    document = {
        "Path": request.get("Path", "/"),
        "AssumeRolePolicyDocument": _policy(request["AssumeRolePolicyDocument"]),
        "Description": request.get("Description"),
        "MaxSessionDuration": request.get("MaxSessionDuration", 3600),
        "Inline": {},
        "Attached": [],
    }
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
    try:
        role = engine.resources.add("role", request["RoleName"], document, tags=tags)
    except Taken:
        raise Refusal("EntityAlreadyExists", f"Role with name {request['RoleName']} already exists.") from None
    return {"Role": _role(engine, caller, role)}


def get_role(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return {"Role": _role(engine, caller, _find(engine, request))}


def list_roles(engine: Engine, caller: Caller, request: Parameters) -> Result:
    wanted = Wanted(sort_by="name", descending=False, limit=request.get("MaxItems", 100), after=request.get("Marker"))
    found, marker = engine.resources.page("role", wanted)
    prefix = request.get("PathPrefix", "/")
    roles = [_role(engine, caller, role) for role in found if role.document["Path"].startswith(prefix)]
    return {"Roles": roles, "IsTruncated": marker is not None} | ({"Marker": marker} if marker else {})


def delete_role(engine: Engine, caller: Caller, request: Parameters) -> Result:
    role = _find(engine, request)
    for what, left in (("policies", role.document["Inline"]), ("attached policies", role.document["Attached"])):
        if left:
            raise Refusal("DeleteConflict", f"Cannot delete entity, must detach or delete all {what} first.")
    engine.resources.delete("role", role.name)
    return None


def update_role(engine: Engine, caller: Caller, request: Parameters) -> Result:
    given = {name: request[name] for name in ("Description", "MaxSessionDuration") if name in request}
    _change(engine, request, lambda document: document | given)
    return {}


def update_assume_role_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    policy = _policy(request["PolicyDocument"])
    _change(engine, request, lambda document: document | {"AssumeRolePolicyDocument": policy})
    return None


def tag_role(engine: Engine, caller: Caller, request: Parameters) -> Result:
    role = _find(engine, request)
    engine.resources.tag("role", role.name, {tag["Key"]: tag["Value"] for tag in request["Tags"]})
    return None


def untag_role(engine: Engine, caller: Caller, request: Parameters) -> Result:
    engine.resources.untag("role", _find(engine, request).name, request["TagKeys"])
    return None


def list_role_tags(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return {"Tags": _tags(engine, _find(engine, request)), "IsTruncated": False}


def put_role_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    policy = {request["PolicyName"]: _policy(request["PolicyDocument"])}
    _change(engine, request, lambda document: document | {"Inline": document["Inline"] | policy})
    return None


def get_role_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    role = _find(engine, request)
    policy = _inline(role.document, request)
    return {"RoleName": role.name, "PolicyName": request["PolicyName"], "PolicyDocument": quote(policy)}


def list_role_policies(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return {"PolicyNames": sorted(_find(engine, request).document["Inline"]), "IsTruncated": False}


def delete_role_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    def without(document: Document) -> Document:
        _inline(document, request)
        left = {name: policy for name, policy in document["Inline"].items() if name != request["PolicyName"]}
        return document | {"Inline": left}

    _change(engine, request, without)
    return None


def attach_role_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """AWS's own managed policies can be attached by name; ours must have been created."""
    arn = request["PolicyArn"]
    ours = arn.startswith(f"arn:aws:iam::{caller.account}:policy/")
    there = ours and engine.resources.has("policy", arn.rpartition("/")[2])
    if not there and not arn.startswith("arn:aws:iam::aws:policy/"):
        raise Refusal("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", 404)
    _change(engine, request, lambda document: document | {"Attached": sorted({*document["Attached"], arn})})
    return None


def detach_role_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    arn = request["PolicyArn"]

    def without(document: Document) -> Document:
        if arn not in document["Attached"]:
            raise Refusal("NoSuchEntity", f"Policy {arn} was not found.", 404)
        return document | {"Attached": [attached for attached in document["Attached"] if attached != arn]}

    _change(engine, request, without)
    return None


def list_attached_role_policies(engine: Engine, caller: Caller, request: Parameters) -> Result:
    attached = _find(engine, request).document["Attached"]
    policies = [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in attached]
    return {"AttachedPolicies": policies, "IsTruncated": False}


def list_instance_profiles_for_role(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """None: there are no machines to put them on. Whoever deletes a role asks first."""
    _find(engine, request)
    return {"InstanceProfiles": [], "IsTruncated": False}


def _find(engine: Engine, request: Parameters) -> Resource:
    try:
        return engine.resources.find("role", request["RoleName"])
    except Missing:
        raise _no_role(request) from None


def _change(engine: Engine, request: Parameters, change: Callable[[Document], Document]) -> None:
    try:
        engine.resources.change("role", request["RoleName"], change)
    except Missing:
        raise _no_role(request) from None


def _no_role(request: Parameters) -> Refusal:
    return Refusal("NoSuchEntity", f"The role with name {request['RoleName']} cannot be found.", 404)


def _inline(document: Document, request: Parameters) -> str:
    policy: str | None = document["Inline"].get(request["PolicyName"])
    if policy is None:
        raise Refusal("NoSuchEntity", f"The role policy with name {request['PolicyName']} cannot be found.", 404)
    return policy


def _policy(text: str) -> str:
    try:
        statements = json.loads(text)["Statement"]
    except (ValueError, KeyError, TypeError):
        statements = None
    if not isinstance(statements, list | dict):
        raise Refusal("MalformedPolicyDocument", "The policy is not in valid JSON format, or has no Statement.")
    return text


def _role(engine: Engine, caller: Caller, role: Resource) -> dict[str, Any]:
    kept = role.document
    described = {
        "Path": kept["Path"],
        "RoleName": role.name,
        "RoleId": f"AROA{hashlib.sha256(role.name.encode()).hexdigest()[:17].upper()}",
        "Arn": f"arn:aws:iam::{caller.account}:role{kept['Path']}{role.name}",
        "CreateDate": role.created,
        "AssumeRolePolicyDocument": quote(kept["AssumeRolePolicyDocument"]),
        "Description": kept["Description"],
        "MaxSessionDuration": kept["MaxSessionDuration"],
        "Tags": _tags(engine, role),
    }
    return {name: value for name, value in described.items() if value is not None}


def _tags(engine: Engine, role: Resource) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in engine.resources.tags("role", role.name).items()]
