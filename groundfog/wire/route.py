"""Which service, which operation, and in which protocol? The client decides that, and its request says so."""

import functools
import re
from typing import NamedTuple
from urllib.parse import unquote

from groundfog.wire import denials, model
from groundfog.wire.model import Operation
from groundfog.wire.refusal import Refusal
from groundfog.wire.request import Request
from groundfog.wire.sign import scope_of

_RPC_V2 = re.compile(r"/service/(?P<target>[^/]+)/operation/(?P<name>[^/]+)")
_VIRTUAL_HOST = re.compile(r"(?P<bucket>.+?)\.s3[.-][\w.-]+(:\d+)?", re.ASCII)


class Dialect(NamedTuple):
    """What can be told at a glance: how to answer, even if it is no. `name` is the operation's, where it is said."""

    protocol: str
    signing_name: str
    service: str | None = None
    name: str = ""

    @property
    def denials(self) -> denials.Denials:
        return {"query": denials.QUERY, "rest-xml": denials.S3}.get(self.protocol, denials.JSON)

    @property
    def services(self) -> list[str]:
        """Those that could be meant."""
        return [self.service] if self.service else model.REST.get(self.signing_name, [])


class Routed(NamedTuple):
    operation: Operation
    protocol: str
    labels: dict[str, str]
    """What stands in the path for each `{name}` of the operation's URI."""


_PREPARED: set[str] = set()


def is_prepared(service: str) -> bool:
    return service in _PREPARED


def prepare(service: str) -> None:
    """Takes a moment: the model is loaded and its paths are compiled."""
    model.load(service)
    _templates(service)
    _PREPARED.add(service)


def dialect(request: Request) -> Dialect:
    scope = scope_of(request)
    signing_name = scope[1] if scope else ""
    if target := request.headers.get("x-amz-target"):
        prefix, _, name = target.rpartition(".")
        return Dialect("json", signing_name, model.BY_TARGET.get(prefix), name)
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        said = _RPC_V2.fullmatch(request.path)
        service = model.BY_TARGET.get(said["target"]) if said else None
        return Dialect("smithy-rpc-v2-cbor", signing_name, service, said["name"] if said else "")
    if signing_name in model.QUERY or (not scope and _is_form(request)):
        return Dialect("query", signing_name, model.QUERY.get(signing_name))
    if signing_name == "s3" or (not scope and "json" not in request.headers.get("content-type", "")):
        return Dialect("rest-xml", "s3", "s3")
    return Dialect("rest-json", signing_name)


def _is_form(request: Request) -> bool:
    """What is signed in S3's old way is S3's, whatever its content type: urllib calls all that it sends a form."""
    return "AWSAccessKeyId" not in request.query and (
        request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        or "Action" in request.query
    )


async def route(request: Request, said: Dialect) -> Routed:
    if said.protocol.startswith("rest"):
        return _by_path(request, said)
    service, name = said.service, said.name
    if said.protocol == "query":
        name = (await request.form()).get("Action", "")
    if service is None:
        raise _unknown(request, said, name)
    expected = model.KNOWN[service].signing_name
    if said.signing_name != expected:
        raise said.denials.wrong_scope(f"Credential should be scoped to correct service: '{expected}'.")
    found = model.operation(service, name)
    if found is None:
        raise _unknown(request, said, name)
    return Routed(found, said.protocol, {})


def _by_path(request: Request, said: Dialect) -> Routed:
    for service in model.REST.get(said.signing_name, ()):
        path = _with_bucket(request) if service == "s3" else request.path
        for template in _templates(service).get(request.method, ()):
            matched = template.path.fullmatch(path)
            if matched and (operation := template.choose(request)):
                return Routed(
                    operation, said.protocol, {name: _decoded(text) for name, text in matched.groupdict().items()}
                )
    if said.signing_name and said.signing_name not in model.SIGNING_NAMES:
        raise Refusal("NotImplemented", f"The service {said.signing_name} is not implemented", 501)
    raise _unknown(request, said, "")


def _with_bucket(request: Request) -> str:
    host = _VIRTUAL_HOST.fullmatch(request.headers.get("host", ""))
    return f"/{host['bucket']}{request.path}" if host else request.path


class Rest(NamedTuple):
    """A REST operation: what its query string must say, and what tells it from others of the same path."""

    query: dict[str, str]
    demands: tuple[tuple[str, str], ...]
    operation: Operation

    def met(self, request: Request) -> bool:
        return all(
            name in (request.query if where == "querystring" else request.headers) for where, name in self.demands
        )


class Template(NamedTuple):
    path: re.Pattern[str]
    operations: list[Rest]

    def choose(self, request: Request) -> Operation | None:
        """Of the operations whose query string fits best, the one with most of its required members there."""
        fitting = [rest for rest in self.operations if _fits(rest.query, request)]
        if not fitting:
            return None
        best = max(len(rest.query) for rest in fitting)
        fitting = [rest for rest in fitting if len(rest.query) == best]
        met = [rest for rest in fitting if rest.met(request)]
        if met:
            return max(met, key=lambda rest: len(rest.demands)).operation
        return min(fitting, key=lambda rest: len(rest.demands)).operation


def _fits(query: dict[str, str], request: Request) -> bool:
    return all(name in request.query and (not value or value in request.query[name]) for name, value in query.items())


@functools.cache
def _templates(service: str) -> dict[str, list[Template]]:
    """By method, those with the longest fixed part first."""
    if not model.load(service).metadata["protocol"].startswith("rest"):
        return {}
    grouped: dict[tuple[str, str], list[Rest]] = {}
    for operation in model.operations(service):
        path, _, query = operation.model.http["requestUri"].partition("?")
        grouped.setdefault((operation.model.http["method"], path), []).append(_rest(operation, query))
    found: dict[str, list[Template]] = {}
    for method, path in sorted(grouped, key=lambda key: len(re.sub(r"\{.*?\}", "", key[1])), reverse=True):
        rests = sorted(grouped[method, path], key=lambda rest: rest.operation.model.deprecated)
        found.setdefault(method, []).append(Template(_pattern(path), rests))
    return found


def _rest(operation: Operation, query: str) -> Rest:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    fixed = {name: value for name, _, value in pairs if name != "x-id"}
    required = operation.input.required_members if operation.input else ()
    demands = [
        (member.location, member.key)
        for member in operation.located
        if member.name in required and member.location in ("querystring", "header")
    ]
    return Rest(fixed, tuple(demands), operation)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(\+?)\}", path.rstrip("/"))
    pattern = re.escape(parts[0])
    for name, greedy, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{'.+' if greedy else '[^/]+'})" + re.escape(literal)
    return re.compile(pattern if path.endswith("+}") else pattern + "/?")


def _unknown(request: Request, said: Dialect, name: str) -> Refusal:
    if said.protocol == "query":
        return Refusal("InvalidAction", f"Could not find operation {name}", 400)
    if said.protocol == "rest-xml":
        text = "The specified method is not allowed against this resource."
        return Refusal("MethodNotAllowed", text, 405, Method=request.method, ResourceType="")
    what = name or f"{request.method} {request.path}"
    return Refusal("UnknownOperationException", f"{what} is no operation that we know", 404)


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Refusal("InvalidURI", "Couldn't parse the specified URI.", 400) from None
