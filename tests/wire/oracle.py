"""What botocore would send and read: requests of every operation, and values for every member of a shape."""

import asyncio
import base64
import datetime
import hashlib
import io
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest, HeadersDict, prepare_request_dict
from botocore.handlers import parse_get_bucket_location
from botocore.model import OperationModel, Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from groundfog.wire.chunked import ALGORITHMS, Hash
from groundfog.wire.model import Operation
from groundfog.wire.render import Response
from groundfog.wire.request import Request

WHEN = datetime.datetime(2024, 5, 17, 9, 30, tzinfo=datetime.UTC)


def filled(shape: Shape, seen: tuple[str, ...] = ()) -> Any:
    """A value with every member there; a shape inside itself is left out where it may be."""
    if shape.type_name == "structure":
        if shape.is_document_type:
            return {"any": ["thing", 1]}
        return _structure(shape, seen)
    if shape.type_name == "list":
        least = max(1, shape.metadata.get("min", 1))
        return [filled(shape.member, (*seen, shape.name)) for _ in range(least)]
    if shape.type_name == "map":
        least = shape.metadata.get("min", 1) or 1
        keys = shape.key.enum[:least] or [filled(shape.key) + "y" * extra for extra in range(least)]
        return {key: filled(shape.value, (*seen, shape.name)) for key in keys}
    return _scalar(shape)


def _structure(shape: Shape, seen: tuple[str, ...]) -> dict[str, Any]:
    inside = (*seen, shape.name)
    fitting = [name for name, member in shape.members.items() if not _leads_back(member, inside)]
    if shape.is_tagged_union:
        fitting = fitting[:1]
    return {name: _member(shape.members[name], inside) for name in fitting}


def _member(shape: Shape, seen: tuple[str, ...]) -> Any:
    """Headers hold no more than ASCII, and host names less."""
    value = filled(shape, seen)
    if shape.serialization.get("hostLabel"):
        return "host"
    return _ascii(value) if shape.serialization.get("location", "").startswith("header") else value


def _ascii(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.translate(_TOKEN): _ascii(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_ascii(item) for item in value]
    return value.replace("\u00fc", "u") if isinstance(value, str) else value


_TOKEN = dict.fromkeys(map(ord, ',<&"\u00fc'), "-")


def _leads_back(shape: Shape, seen: tuple[str, ...]) -> bool:
    while shape.type_name in ("list", "map"):
        shape = shape.member if shape.type_name == "list" else shape.value
    return shape.name in seen


def _scalar(shape: Shape) -> Any:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 10**6)
    if shape.type_name == "timestamp":
        return WHEN
    if shape.type_name == "blob":
        return b"\x00bytes\xff<&"
    if shape.type_name == "boolean":
        return True
    if shape.type_name in ("float", "double"):
        return min(max(1.5, least), float(most))
    if shape.type_name in ("integer", "long"):
        return min(max(7, least), most)
    return shape.enum[0] if shape.enum else ('x,<&"\u00fc' * max(1, least))[: max(least, min(most, 6))]


def honest(operation: Operation, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters with checksums and lengths that are true of the body: once for each kind of checksum."""
    if operation.payload and operation.payload.shape.type_name == "blob" and "ContentLength" in parameters:
        parameters = parameters | {"ContentLength": len(parameters[operation.payload.name])}
    if not operation.is_checksummed:
        return [parameters]
    plain = {name: value for name, value in parameters.items() if not name.startswith(("Checksum", "ContentMD5"))}
    body = _bytes(
        create_serializer("rest-xml", include_validation=False).serialize_to_request(plain, operation.model)["body"]
    )
    said = {"ContentMD5": _base64(hashlib.md5(body))} if "ContentMD5" in parameters else {}
    kinds = [name for name in parameters if name.removeprefix("Checksum").lower() in ALGORITHMS]
    one_each = [{name: _base64(_hashed(name, body))} for name in kinds] or [{}]
    algorithm = {name: parameters[name] for name in ("ChecksumAlgorithm",) if name in parameters}
    return [plain | said | one | algorithm for one in one_each]


def _hashed(name: str, body: bytes) -> Hash:
    hasher = ALGORITHMS[name.removeprefix("Checksum").lower()]()
    hasher.update(body)
    return hasher


def _base64(hasher: Hash) -> str:
    return base64.b64encode(hasher.digest()).decode()


def written(operation: Operation, protocol: str, parameters: dict[str, Any]) -> Request:
    """The request that a client makes, signature left out but for its scope."""
    model = operation.model
    sent = create_serializer(protocol, include_validation=False).serialize_to_request(parameters, model)
    prepare_request_dict(sent, "http://here")
    prepared = AWSRequest(
        sent["method"], sent["url"], sent["headers"], sent["body"], auth_path=sent.get("auth_path")
    ).prepare()
    return request(prepared, model.service_model.signing_name)


def request(prepared: Any, signing_name: str) -> Request:
    url = urlsplit(prepared.url)
    body = prepared.body or b""
    body = body if isinstance(body, bytes) else body.encode()
    scope = f"AWS4-HMAC-SHA256 Credential=a/20240517/eu-west-1/{signing_name}/aws4_request"
    headers = [(name.lower().encode(), _bytes(value)) for name, value in prepared.headers.items()]
    headers = [pair for pair in headers if pair[0] != b"content-length"]
    headers += [(b"authorization", scope.encode()), (b"content-length", str(len(body)).encode())]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    described = {"method": prepared.method, "raw_path": url.path.encode(), "query_string": url.query.encode()}
    return Request({"type": "http", "headers": headers, **described}, receive)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def read(response: Response, operation: OperationModel, protocol: str) -> dict[str, Any]:
    """What boto3 makes of an answer."""
    body = response.body if isinstance(response.body, bytes) else asyncio.run(_collected(response.body))
    shape = operation.output_shape
    answer: dict[str, Any] = {"status_code": response.status, "headers": HeadersDict(response.headers), "body": body}
    if operation.has_streaming_output:
        answer["body"] = io.BytesIO(body)
    found: dict[str, Any] = create_parser(protocol).parse(answer, shape)
    found.pop("ResponseMetadata", None)
    if operation.name == "GetBucketLocation":
        parse_get_bucket_location(found, SimpleNamespace(raw=body, content=body))
    if operation.has_streaming_output and shape:
        name = shape.serialization["payload"]
        found[name] = found[name].read()
    return found


async def _collected(parts: Any) -> bytes:
    return b"".join([part async for part in parts])
