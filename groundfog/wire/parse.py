"""Request to parameters: botocore's response parser, turned round.

A service reads a request as a client reads a response, so the values of a request are handed to botocore's own parser
with the input shape. What only requests have, values in the path and in the query string, is added here.
"""

import datetime
import email.utils
import functools
import io
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from xml.etree import ElementTree

from botocore.model import Shape
from botocore.parsers import PROTOCOL_PARSERS, ResponseParserError

from groundfog.wire import query
from groundfog.wire.caller import Parameters
from groundfog.wire.chunked import Body, unwrap
from groundfog.wire.model import Member, Operation
from groundfog.wire.refusal import Refusal
from groundfog.wire.request import BODY_LIMIT, Request
from groundfog.wire.route import Routed, form
from groundfog.wire.sign import Signed
from groundfog.wire.validate import Validator, WrongType, refusal

_MALFORMED = (
    ResponseParserError,
    WrongType,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    RecursionError,
    OverflowError,
)
"""What botocore's parser does with what no service would have sent."""


async def parse(request: Request, routed: Routed, signed: Signed) -> Parameters:
    """Parameters as boto3 takes them, valid by the model."""
    operation = routed.operation
    try:
        parameters = await read(request, routed, signed)
        wrong = violations(operation, parameters)
    except _MALFORMED as error:
        raise _malformed(operation, routed.protocol, error) from error
    if wrong:
        raise refusal(operation.service, wrong)
    return parameters


async def read(request: Request, routed: Routed, signed: Signed) -> Parameters:
    """Parameters as they were sent, be they valid or not."""
    if routed.operation.input is None:
        return {}
    parameters: Parameters = await _READ[routed.protocol](request, routed, signed)
    return parameters


def violations(operation: Operation, parameters: Parameters) -> list[str]:
    return _validator(operation.service).violations(operation.input, parameters) if operation.input else []


async def _json(request: Request, routed: Routed, signed: Signed) -> Any:
    return _value("json", routed.operation.input, _loads(await request.read()))


async def _cbor(request: Request, routed: Routed, signed: Signed) -> Any:
    body = await request.read()
    value = _CBOR.parse_data_item(Peekable(body)) if body else {}
    return _value("smithy-rpc-v2-cbor", routed.operation.input, value)


async def _query(request: Request, routed: Routed, signed: Signed) -> Any:
    return _FORM.read(routed.operation.input, query.tree(await form(request)))


async def _rest(request: Request, routed: Routed, signed: Signed) -> Any:
    """Parameters from everywhere: path, query string, headers and the body."""
    operation, protocol = routed.operation, routed.protocol
    assert operation.input
    body = unwrap(request, signed)
    parameters = _located(request, routed, body)
    payload = operation.payload
    if payload is None:
        if len(operation.located) < len(operation.input.members):
            parameters |= _from_document(protocol, operation.input, await body.read(BODY_LIMIT))
        elif body.length:
            await body.read(BODY_LIMIT)
    elif payload.shape.type_name == "blob":
        parameters[payload.name] = body
    elif raw := await body.read(BODY_LIMIT):
        whole = payload.shape.type_name == "string"
        parameters[payload.name] = raw.decode() if whole else _from_document(protocol, payload.shape, raw)
    return parameters


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
    for member in routed.operation.located:
        if member.location == "uri":
            found[member.name] = _value(routed.protocol, member.shape, routed.labels[member.key])
        elif member.location == "querystring":
            if (value := _from_query(member, request, routed)) is not None:
                found[member.name] = value
        elif member.location == "headers":
            prefix = member.key.lower()
            named = {name[len(prefix) :]: text for name, text in request.headers.items() if name.startswith(prefix)}
            if named:
                found[member.name] = named
        elif (text := _header(member.key.lower(), request, body)) is not None:
            value = _unlisted(text) if member.shape.type_name == "list" else text
            found[member.name] = _value(routed.protocol, member.shape, value)
    return found


def _from_query(member: Member, request: Request, routed: Routed) -> Any:
    if member.shape.type_name == "map":
        return _map_from_query(member, request, routed) or None
    values = request.query.get(member.key)
    if values is None:
        return None
    return _value(routed.protocol, member.shape, values if member.shape.type_name == "list" else values[0])


def _map_from_query(member: Member, request: Request, routed: Routed) -> dict[str, Any]:
    """A map takes every parameter that no other member is named for."""
    others = {
        other.key for other in routed.operation.located if other.location == "querystring" and other is not member
    }
    many = member.shape.value.type_name == "list"
    return {name: values if many else values[0] for name, values in request.query.items() if name not in others}


def _header(name: str, request: Request, body: Body) -> str | None:
    """As the client meant it: aws-chunked and its length are how the body travels, not what it is."""
    text = request.headers.get(name)
    if name == "content-length" and body.length is not None:
        return str(body.length)
    if name == "content-encoding" and text is not None:
        codings = [coding.strip() for coding in text.split(",") if coding.strip() != "aws-chunked"]
        return ",".join(codings) or None
    return text


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
        return _value(protocol, shape, _loads(raw))
    return _value(protocol, shape, _xml(raw, shape)) if raw else {}


def _loads(raw: bytes) -> Any:
    value = json.loads(raw, parse_constant=_no_constant) if raw else {}
    if not isinstance(value, dict):
        raise WrongType("Start of structure or map found where not expected.")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _xml(raw: bytes, shape: Shape) -> ElementTree.Element:
    """No document type, hence no entities: https://owasp.org/www-community/vulnerabilities/XML_External_Entity_(XXE)_Processing"""
    parser = ElementTree.XMLParser(target=_NoDoctype())  # noqa: S314
    try:
        parser.feed(raw)
        root = parser.close()
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    expected = shape.serialization.get("name")
    if expected and root.tag.rpartition("}")[2] != expected:
        raise ValueError(f"{root.tag} found where {expected} was expected")
    return root


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("a document type is not accepted")


class Peekable(io.BytesIO):
    def peek(self, size: int, /) -> bytes:
        return self.getvalue()[self.tell() : self.tell() + size]


def _timestamp(value: Any) -> datetime.datetime:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _from_text(value)
    return datetime.datetime.fromtimestamp(value, datetime.UTC)


def _from_text(text: str) -> datetime.datetime:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        found = email.utils.parsedate_to_datetime(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


_PARSERS = {protocol: made(timestamp_parser=_timestamp) for protocol, made in PROTOCOL_PARSERS.items()}
_CBOR = _PARSERS["smithy-rpc-v2-cbor"]


def _value(protocol: str, shape: Shape | None, value: Any) -> Any:
    return _PARSERS[protocol]._parse_shape(shape, value)


_FORM = query.Reader(_PARSERS["query"]._parse_shape)


@functools.cache
def _validator(service: str) -> Validator:
    return Validator()


def _malformed(operation: Operation, protocol: str, error: Exception) -> Refusal:
    text = str(error) or type(error).__name__
    if protocol == "rest-xml":
        described = "The XML you provided was not well-formed or did not validate against our published schema"
        return Refusal("MalformedXML", described, 400)
    if protocol == "query":
        return Refusal("MalformedInput", text, 400)
    return Refusal("SerializationException", text, 400)
