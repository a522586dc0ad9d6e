"""Who am I, and who may I become. https://docs.aws.amazon.com/STS/latest/APIReference/"""

import hashlib
import re

from groundfog.engine import Engine
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_ROLE = re.compile(r"arn:aws[\w-]*:iam::(?P<account>\d{12}):role/(?:[\w+=,.@/-]*/)?(?P<name>[\w+=,.@-]{1,64})")


def get_caller_identity(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return {"UserId": _user_id(caller.identity), "Account": caller.account, "Arn": caller.identity}


def assume_role(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Any role of this account may be assumed by whoever holds a key: there is one owner."""
    role = _ROLE.fullmatch(request["RoleArn"])
    if role is None:
        raise Refusal("ValidationError", f"{request['RoleArn']} is invalid")
    if role["account"] != caller.account or not engine.resources.has("role", role["name"]):
        raise Refusal(
            "AccessDenied",
            f"User: {caller.identity} is not authorized to perform: sts:AssumeRole on resource: {request['RoleArn']}",
            403,
        )
    identity = f"arn:aws:sts::{caller.account}:assumed-role/{role['name']}/{request['RoleSessionName']}"
    return {
        "Credentials": _lend(engine, caller, identity, request.get("DurationSeconds", 3600)),
        "AssumedRoleUser": {"AssumedRoleId": _user_id(identity), "Arn": identity},
    }


def get_session_token(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return {"Credentials": _lend(engine, caller, caller.identity, request.get("DurationSeconds", 43200))}


def _lend(engine: Engine, caller: Caller, identity: str, seconds: int) -> dict[str, object]:
    pair = engine.keys.lend(identity, seconds, lender=caller.access_key)
    return {
        "AccessKeyId": pair.access_key,
        "SecretAccessKey": pair.secret,
        "SessionToken": pair.token,
        "Expiration": pair.expires,
    }


def _user_id(identity: str) -> str:
    """AWS's form for an assumed role: a stable id of the role, a colon, and the session's name."""
    _, role, session = identity.rsplit("/", 2)
    return f"AROA{hashlib.sha256(role.encode()).hexdigest()[:17].upper()}:{session}"
