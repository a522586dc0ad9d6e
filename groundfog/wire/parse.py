"""Request to parameters: botocore's response parser, turned round.

A service reads a request as a client reads a response, so the values of a request are handed to botocore's own parser
with the input shape. What only requests have, values in the path and in the query string, is added here.
"""

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any

from botocore.model import Shape

from groundfog.wire import query, readers
from groundfog.wire.caller import Parameters
from groundfog.wire.chunked import Body, unwrap
from groundfog.wire.model import Member, Operation
from groundfog.wire.refusal import Refusal
from groundfog.wire.request import BODY_LIMIT, Request
from groundfog.wire.route import Routed
from groundfog.wire.sign import Signed
from groundfog.wire.validate import Validator, Violation, refusal


async def parse(request: Request, routed: Routed, signed: Signed) -> Parameters:
    """Parameters as boto3 takes them, valid by the model."""
    operation = routed.operation
    try:
        parameters = await read(request, routed, signed)
        wrong = violations(operation, parameters)
    except readers.MALFORMED as error:
        raise _malformed(routed.protocol, error) from error
    if wrong:
        raise refusal(operation, wrong)
    return parameters


async def read(request: Request, routed: Routed, signed: Signed) -> Parameters:
    """Parameters as they were sent, be they valid or not."""
    if routed.operation.input is None:
        return {}
    parameters: Parameters = await _READ[routed.protocol](request, routed, signed)
    return parameters


def violations(operation: Operation, parameters: Parameters) -> list[Violation]:
    return _validator(operation.service).violations(operation.input, parameters) if operation.input else []


async def _json(request: Request, routed: Routed, signed: Signed) -> Any:
    return readers.value("json", routed.operation.shape, readers.from_json(await request.content()))


async def _cbor(request: Request, routed: Routed, signed: Signed) -> Any:
    return readers.value("smithy-rpc-v2-cbor", routed.operation.shape, readers.from_cbor(await request.content()))


async def _query(request: Request, routed: Routed, signed: Signed) -> Any:
    return query.read(routed.operation.shape, query.tree(await request.form()))


async def _rest(request: Request, routed: Routed, signed: Signed) -> Any:
    """Parameters from everywhere: path, query string, headers and the body."""
    operation, protocol = routed.operation, routed.protocol
    body = unwrap(request, signed, checksums=operation.is_checksummed)
    parameters = _located(request, routed, body)
    payload = operation.payload
    if payload is None:
        raw = await _whole(body, protocol)
        if len(operation.located) < len(operation.shape.members):
            parameters |= _from_document(protocol, operation.shape, raw)
    elif payload.shape.type_name == "blob":
        parameters[payload.name] = body
    elif raw := await _whole(body, protocol):
        whole = payload.shape.type_name == "string"
        parameters[payload.name] = raw.decode() if whole else _from_document(protocol, payload.shape, raw)
    return parameters


async def _whole(body: Body, protocol: str) -> bytes:
    if protocol != "rest-xml":
        return await body.read(BODY_LIMIT)
    if (body.length or 0) > _XML_LIMIT:
        raise Refusal("MaxMessageLengthExceeded", "Your request was too big.", 400)
    return await body.read(_XML_LIMIT)


_XML_LIMIT = 4 * 2**20

_READ: dict[str, Callable[[Request, Routed, Signed], Awaitable[Any]]] = {
    "json": _json,
    "rest-json": _rest,
    "rest-xml": _rest,
    "query": _query,
    "smithy-rpc-v2-cbor": _cbor,
}


def _located(request: Request, routed: Routed, body: Body) -> Parameters:
    """What is not in the body."""
    found: Parameters = {}
    headers = _meant(request.headers, body)
    for member in routed.operation.located:
        if member.location == "header":
            raw: Any = headers.get(member.key)
            if raw is not None and member.shape.type_name == "list":
                raw = _unlisted(raw)
        elif member.location == "querystring":
            values = request.query.get(member.key)
            raw = values if values is None or member.shape.type_name == "list" else values[0]
        elif member.location == "uri":
            raw = routed.labels[member.key]
        else:
            raw = {
                name[len(member.key) :]: text for name, text in headers.items() if name.startswith(member.key)
            } or None
        if raw is not None:
            found[member.name] = _converted(routed, member, raw)
    return found


def _converted(routed: Routed, member: Member, raw: Any) -> Any:
    if member.shape.type_name in ("string", "map"):
        return raw
    try:
        return readers.value(routed.protocol, member.shape, raw)
    except readers.MALFORMED as error:
        if routed.protocol != "rest-xml":
            raise readers.WrongType(f"{raw!r:.80} at '{member.name}' is no {member.shape.type_name}") from error
        text = f"Provided {member.key} not a {member.shape.type_name} or out of range"
        raise Refusal("InvalidArgument", text, 400, ArgumentName=member.key, ArgumentValue=raw) from error


def _meant(headers: dict[str, str], body: Body) -> dict[str, str]:
    """Headers as the client meant them: aws-chunked and its length are how a body travels, not what it is."""
    said = headers.get("content-encoding", "")
    if "aws-chunked" not in said and "x-amz-decoded-content-length" not in headers:
        return headers
    codings = [coding.strip() for coding in said.split(",")]
    kept = ",".join(coding for coding in codings if coding and coding != "aws-chunked")
    meant = {name: text for name, text in headers.items() if name != "content-encoding"}
    return meant | {"content-length": str(body.length)} | ({"content-encoding": kept} if kept else {})


def _unlisted(text: str) -> list[str]:
    """A list in a header: members with commas in them are quoted."""
    return [
        quoted.replace('\\"', '"') if quoted or not bare else bare.strip()
        for quoted, bare in _LISTED.findall(text)
        if quoted or bare.strip()
    ]


_LISTED = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)|([^,]+)')


def _from_document(protocol: str, shape: Shape, raw: bytes) -> Any:
    if protocol == "rest-json":
        return readers.value(protocol, shape, readers.from_json(raw))
    return readers.value(protocol, shape, readers.from_xml(raw, shape.serialization.get("name"))) if raw else {}


@functools.cache
def _validator(service: str) -> Validator:
    return Validator()


def _malformed(protocol: str, error: Exception) -> Refusal:
    if protocol == "rest-xml":
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        return Refusal("MalformedXML", text, 400)
    text = str(error) if isinstance(error, readers.WrongType | ValueError) else "The request could not be read"
    return Refusal("MalformedInput" if protocol == "query" else "SerializationException", text, 400)
