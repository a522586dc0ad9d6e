"""Tags, on whatever has an ARN."""

import re

from groundfog.engine import Engine
from groundfog.engine.errors import Missing
from groundfog.engine.resources import Wanted
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_KINDS = ("training-job", "processing-job", "transform-job", "model", "endpoint-config", "endpoint")
_ARN = re.compile(
    r"arn:aws[a-z\-]*:sagemaker:(?P<region>[a-z0-9\-]*):(?P<account>\d{12}):(?P<kind>[a-z\-]+)/(?P<name>.+)"
)
_MOST = 50


def add_tags(engine: Engine, caller: Caller, request: Parameters) -> Result:
    kind, name = _named(engine, caller, request["ResourceArn"])
    given = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    if len(engine.resources.tags(kind, name) | given) > _MOST:
        raise Refusal("ValidationException", f"A resource can have at most {_MOST} tags.")
    if any(key.lower().startswith("aws:") for key in given):
        raise Refusal("ValidationException", "Tag keys must not begin with aws:, which AWS keeps for itself.")
    engine.resources.tag(kind, name, given)
    return {"Tags": _listed(engine.resources.tags(kind, name))}


def list_tags(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """The smallest page that can be asked for holds all that a resource can have."""
    return {"Tags": _listed(engine.resources.tags(*_named(engine, caller, request["ResourceArn"])))}


def delete_tags(engine: Engine, caller: Caller, request: Parameters) -> Result:
    kind, name = _named(engine, caller, request["ResourceArn"])
    engine.resources.untag(kind, name, request["TagKeys"])
    return {}


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def _named(engine: Engine, caller: Caller, arn: str) -> tuple[str, str]:
    named = _ARN.fullmatch(arn)
    if named is None or named["kind"] not in _KINDS:
        raise Refusal("ValidationException", f"Invalid resource ARN: {arn}")
    if named["account"] != caller.account:
        raise Refusal("AccessDeniedException", f"{arn} belongs to another account.")
    try:
        engine.resources.find(named["kind"], named["name"])
    except Missing:
        return named["kind"], _in_lower_case(engine, named["kind"], named["name"], arn)
    return named["kind"], named["name"]


def _in_lower_case(engine: Engine, kind: str, name: str, arn: str) -> str:
    """ARNs of models and endpoints have the name in lower case, whatever case it was given in."""
    after: str | None = None
    while True:
        page, after = engine.resources.page(kind, Wanted(sort_by="name", limit=1000, after=after))
        for resource in page:
            if not kind.endswith("-job") and resource.name.lower() == name:
                return resource.name
        if after is None:
            raise Refusal("ValidationException", f'Could not find {kind} "{arn}".')
