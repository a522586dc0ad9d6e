"""What a policy would allow. Here nothing is decided by policies: whoever holds a key may do all."""

import re
from itertools import product

from groundfog.engine import Engine
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_ACTION = re.compile(r"\*|[\w-]+:[\w*?-]+")


def simulate_principal_policy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Allowed, whatever the role's policies say, since that is what the operations will do."""
    _check_principal(engine, caller, request["PolicySourceArn"])
    for action in request["ActionNames"]:
        if not _ACTION.fullmatch(action):
            raise Refusal("InvalidInput", f"Invalid action name: {action}. It has to be of the form service:Operation.")
    asked = list(product(request["ActionNames"], request.get("ResourceArns") or ["*"]))
    first, most = _place(request.get("Marker"), len(asked)), request.get("MaxItems", 100)
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": "allowed",
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        for action, resource in asked[first : first + most]
    ]
    more = first + most < len(asked)
    return {"EvaluationResults": results, "IsTruncated": more} | ({"Marker": str(first + most)} if more else {})


def _check_principal(engine: Engine, caller: Caller, arn: str) -> None:
    ours = arn.startswith(f"arn:aws:iam::{caller.account}:role/")
    if not (ours and engine.resources.has("role", arn.rpartition("/")[2])):
        raise Refusal("NoSuchEntity", f"The principal {arn} cannot be found: it has to be a role of this account.", 404)


def _place(marker: str | None, among: int) -> int:
    if marker is None:
        return 0
    if not (marker.isascii() and marker.isdigit() and int(marker) < among):
        raise Refusal("InvalidInput", f"Invalid Marker: {marker[:64]}")
    return int(marker)
