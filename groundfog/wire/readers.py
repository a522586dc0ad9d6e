"""Bytes to values: botocore's response parsers, on their guard, since a client may send what no service would.

`value(protocol, shape, raw)` turns what json, XML, CBOR or a header gave into what boto3 would give.
"""

import datetime
import email.utils
import io
import json
import re
from typing import Any
from xml.etree import ElementTree

from botocore.model import Shape
from botocore.parsers import PROTOCOL_PARSERS, ResponseParserError


class WrongType(Exception):
    """A value that its shape cannot hold."""


MALFORMED = (
    *(ResponseParserError, WrongType, ValueError, TypeError, AttributeError, KeyError, IndexError),
    *(RecursionError, OverflowError, OSError),
)
"""What botocore's parsers do with what no service would have sent. (OSError: a time beyond the calendar.)"""


class _Guarded:
    """Looks before it walks: botocore takes it for granted that a list is a list."""

    def _parse_shape(self, shape: Shape, node: Any) -> Any:
        expected = _CONTAINERS.get(shape.type_name)
        if expected is not None and node is not None and not isinstance(node, expected) and not shape.is_document_type:
            raise WrongType(f"{name_of(node)} can not be converted to {shape.type_name} {shape.name}")
        return super()._parse_shape(shape, node)  # type: ignore[misc]


_CONTAINERS: dict[str, type] = {"structure": dict, "map": dict, "list": list}


class _Json(_Guarded, PROTOCOL_PARSERS["json"]):  # type: ignore[misc]
    def _handle_float(self, shape: Shape, value: Any) -> Any:
        """Json has no word for infinity, so clients send a string."""
        return float(value) if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity") else value

    _handle_double = _handle_float


class _RestJson(_Guarded, PROTOCOL_PARSERS["rest-json"]):  # type: ignore[misc]
    pass


class _Cbor(_Guarded, PROTOCOL_PARSERS["smithy-rpc-v2-cbor"]):  # type: ignore[misc]
    pass


def value(protocol: str, shape: Shape, raw: Any) -> Any:
    return _READERS[protocol]._parse_shape(shape, raw)


def from_json(raw: bytes) -> Any:
    if not raw:
        return {}
    found = json.loads(raw, parse_constant=_no_constant)
    if found is None:
        raise WrongType("NULL_VALUE found where a structure was expected")
    if _SURROGATE.search(raw):
        json.dumps(found, ensure_ascii=False).encode()
    return found


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character pair: python would carry it on until somebody writes it down."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not json")


def from_cbor(raw: bytes) -> Any:
    return _READERS["smithy-rpc-v2-cbor"].parse_data_item(_Peekable(raw)) if raw else {}


class _Peekable(io.BytesIO):
    """Unlike io.BufferedReader, it sets no memory aside for the sizes that a client names."""

    def peek(self, size: int, /) -> bytes:
        with self.getbuffer() as view:
            return bytes(view[self.tell() : self.tell() + size])


def from_xml(raw: bytes, root_name: str | None) -> ElementTree.Element:
    """Without a document type, hence without entities, and no deeper than any shape is."""
    parser = ElementTree.XMLParser(target=_Plain())  # noqa: S314
    try:
        parser.feed(raw)
        root: ElementTree.Element = parser.close()
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    if root_name and root.tag.rpartition("}")[2] != root_name:
        raise ValueError(f"{root.tag} found where {root_name} was expected")
    return root


class _Plain(ElementTree.TreeBuilder):
    depth = 0

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("a document type is not accepted")

    def start(self, tag: str, attributes: dict[str, str], /) -> ElementTree.Element:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError("the document is too deep")
        return super().start(tag, attributes)

    def end(self, tag: str, /) -> ElementTree.Element:
        self.depth -= 1
        return super().end(tag)


_DEEPEST = 64


def _timestamp(said: Any) -> datetime.datetime:
    if isinstance(said, str):
        try:
            said = float(said)
        except ValueError:
            return _from_text(said)
    return datetime.datetime.fromtimestamp(said, datetime.UTC)


def _from_text(text: str) -> datetime.datetime:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        found = email.utils.parsedate_to_datetime(text)
    return found.astimezone(datetime.UTC) if found.tzinfo else found.replace(tzinfo=datetime.UTC)


_MADE = PROTOCOL_PARSERS | {"json": _Json, "rest-json": _RestJson, "smithy-rpc-v2-cbor": _Cbor}
_READERS = {protocol: made(timestamp_parser=_timestamp) for protocol, made in _MADE.items()}


def name_of(raw: Any) -> str:
    """As AWS's own reader calls what it found."""
    if isinstance(raw, bool):
        return "TRUE_VALUE" if raw else "FALSE_VALUE"
    return _NAMES.get(type(raw), type(raw).__name__)


_NAMES = {
    int: "NUMBER_VALUE",
    float: "NUMBER_VALUE",
    str: "STRING_VALUE",
    bytes: "BINARY_VALUE",
    list: "START_ARRAY",
    dict: "START_OBJECT",
}
