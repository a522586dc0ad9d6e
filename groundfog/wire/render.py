"""Result to response: botocore's request serializer, turned round.

The serializer is given a mirrored operation whose input is our output.
"""

import base64
import functools
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from xml.etree import ElementTree

from botocore.model import Shape, ShapeResolver, StructureShape
from botocore.serialize import SERIALIZERS

from groundfog.wire import eventstream, model, query
from groundfog.wire.fit import Fitter
from groundfog.wire.model import Member, Operation
from groundfog.wire.refusal import Refusal
from groundfog.wire.request import Request
from groundfog.wire.route import Dialect, Routed

_SERIALIZERS = {name: made(timestamp_precision="millisecond") for name, made in SERIALIZERS.items()}


@dataclass
class Response:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] = b""


def render(result: Mapping[str, Any] | None, routed: Routed, request: Request) -> Response:
    operation = routed.operation
    values = _fitter(operation.service).fit(operation.output, result or {}) if operation.output else {}
    status = operation.model.http.get("responseCode", 200)
    if routed.protocol.startswith("rest"):
        return _rest(operation, routed.protocol, values, status)
    if routed.protocol == "query":
        body = query.render(operation, values, request.id)
        return Response(status, {"content-type": "text/xml"}, _legal(body))
    body = _SERIALIZERS[routed.protocol].serialize_to_request(values, operation.mirrored)["body"]
    return Response(status, _rpc_headers(routed.protocol, request), body)


@functools.cache
def _fitter(service: str) -> Fitter:
    return Fitter()


def _rpc_headers(protocol: str, request: Request) -> dict[str, str]:
    if protocol == "json":
        version = "1.0" if "1.0" in request.headers.get("content-type", "") else "1.1"
        return {"content-type": f"application/x-amz-json-{version}"}
    return {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}


def _rest(operation: Operation, protocol: str, values: dict[str, Any], status: int) -> Response:
    stream = _stream(operation.answer, values) if operation.answer else None
    for name in operation.status_members:
        status = values.pop(name, status)
    if "ContentRange" in values:
        status = 206
    written = _SERIALIZERS[protocol].serialize_to_request(values, operation.mirrored)
    headers = {name.lower(): value for name, value in written["headers"].items()}
    if stream is not None:
        headers.setdefault("content-type", stream.content_type)
        return Response(status, headers, stream.body)
    body = written["body"] or b""
    if protocol == "rest-xml":
        return _xml(operation, status, headers, values, body)
    if body:
        headers.setdefault("content-type", "application/json")
    return Response(status, headers, body)


class _Stream(NamedTuple):
    """An answer whose body is not written here."""

    body: bytes | AsyncIterator[bytes]
    content_type: str


def _stream(answer: Member, values: dict[str, Any]) -> _Stream | None:
    """Taken out of the values, where the answer is one."""
    if answer.shape.serialization.get("eventstream"):
        return _Stream(eventstream.written(answer.shape, values.pop(answer.name)), eventstream.CONTENT_TYPE)
    if answer.shape.type_name == "blob":
        return _Stream(values.pop(answer.name, b""), "binary/octet-stream")
    return None


def _xml(operation: Operation, status: int, headers: dict[str, str], values: dict[str, Any], body: bytes) -> Response:
    if operation.name == "GetBucketLocation":
        root = ElementTree.Element("LocationConstraint", {"xmlns": model.S3_NAMESPACE})
        root.text = values.get("LocationConstraint") or None
        body = ElementTree.tostring(root)
    elif not body and operation.has_document and status not in (204, 304):
        body = ElementTree.tostring(ElementTree.Element(operation.root, {"xmlns": model.S3_NAMESPACE}))
    if operation.answer and operation.answer.shape.type_name == "string":
        return Response(status, headers, body)
    if body:
        headers.setdefault("content-type", "application/xml")
        body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + _legal(body)
    return Response(status, headers, body)


def _legal(xml: bytes) -> bytes:
    """S3 keys may hold what XML may not; S3 writes it as a reference all the same, and so do we."""
    return _ILLEGAL.sub(lambda found: b"&#x%x;" % found[0][0], xml)


_ILLEGAL = re.compile(rb"[\x00-\x08\x0b-\x1f]")


def refuse(refusal: Refusal, dialect: Dialect, request: Request) -> Response:
    """An error as the client's protocol has it."""
    shape = _error_shape(dialect.service, refusal.code)
    status = refusal.status or _status_of(shape)
    if dialect.protocol == "rest-xml":
        return _s3_error(refusal, status, request)
    if dialect.protocol == "query":
        return Response(status, {"content-type": "text/xml"}, _query_error(refusal, shape, status, request))
    values = _error_values(refusal, shape)
    headers = _error_headers(refusal, shape, status, dialect)
    if dialect.protocol == "smithy-rpc-v2-cbor":
        body = bytearray()
        _SERIALIZERS[dialect.protocol]._serialize_data_item(body, values, shape)
        return Response(status, headers | _rpc_headers(dialect.protocol, request), bytes(body))
    written: dict[str, Any] = {}
    _SERIALIZERS["json"]._serialize(written, values, shape)
    kind = {"content-type": "application/json"} if dialect.protocol == "rest-json" else _rpc_headers("json", request)
    return Response(status, headers | kind, json.dumps(written).encode())


def _s3_error(refusal: Refusal, status: int, request: Request) -> Response:
    if status == 304:
        return Response(status, {name.lower(): str(value) for name, value in refusal.fields.items()})
    if request.method == "HEAD" or status == 204:
        return Response(status)
    fields = {"Code": refusal.code, "Message": refusal.message} | refusal.fields
    root = ElementTree.Element("Error")
    for name, value in (fields | {"RequestId": request.id, "HostId": host_id(request.id)}).items():
        ElementTree.SubElement(root, name).text = str(value)
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + _legal(ElementTree.tostring(root, encoding="utf-8"))
    return Response(status, {"content-type": "application/xml"}, body)


def _query_error(refusal: Refusal, shape: Shape, status: int, request: Request) -> bytes:
    sender = "Sender" if status < 500 else "Receiver"
    fields = {"Type": sender, "Code": _code_of(shape), "Message": refusal.message}
    root = ElementTree.Element("ErrorResponse")
    error = ElementTree.SubElement(root, "Error")
    for name, value in (fields | refusal.fields).items():
        ElementTree.SubElement(error, name).text = str(value)
    ElementTree.SubElement(root, "RequestId").text = request.id
    return _legal(ElementTree.tostring(root, encoding="utf-8"))


def host_id(request_id: str) -> str:
    return base64.b64encode(request_id.encode()).decode()


def _code_of(shape: Shape) -> str:
    """Query clients know an error by its code, which need not be the name of its shape."""
    return str(shape.metadata.get("error", {}).get("code", shape.name))


def _status_of(shape: Shape) -> int:
    error = shape.metadata.get("error", {})
    return int(error.get("httpStatusCode", 500 if shape.metadata.get("fault") else 400))


def _error_values(refusal: Refusal, shape: Shape) -> dict[str, Any]:
    message = "message" if "message" in shape.members else "Message"
    fields = {name: value for name, value in refusal.fields.items() if name in shape.members}
    return {"__type": shape.name, message: refusal.message} | fields


def _error_headers(refusal: Refusal, shape: Shape, status: int, dialect: Dialect) -> dict[str, str]:
    headers = {"x-amzn-errortype": shape.name}
    if dialect.service and model.load(dialect.service).is_query_compatible:
        headers["x-amzn-query-error"] = f"{_code_of(shape)};{'Sender' if status < 500 else 'Receiver'}"
    for name, member in shape.members.items():
        if member.serialization.get("location") == "header" and name in refusal.fields:
            headers[member.serialization.get("name", name).lower()] = str(refusal.fields[name])
    return headers


@functools.lru_cache(maxsize=1024)
def _error_shape(service: str | None, code: str) -> Shape:
    """As the service's model has it, with room for the code and, where the model forgot it, for the text."""
    modelled = model.errors(service).get(code) if service else None
    described: dict[str, Any] = dict(modelled._shape_model) if modelled else {"type": "structure", "members": {}}
    members = {"__type": {"shape": "__text"}} | described["members"]
    if not {"message", "Message"} & members.keys():
        members["message"] = {"shape": "__text"}
    shapes = model.load(service)._service_description["shapes"] if service and modelled else {}
    resolver = ShapeResolver({**shapes, "__text": {"type": "string"}})
    return StructureShape(modelled.name if modelled else code, described | {"members": members}, resolver)
