"""What the index keeps. Times are seconds since the epoch; an etag is bare, without quotes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Row
from typing import Any, TypedDict

from groundfog.engine.errors import Missing

UNTYPED = "binary/octet-stream"
"""The content type of what was put without one."""


class NoBucket(Missing):
    """Not even the bucket is there."""


class NoUpload(Missing):
    """There never was this upload, or it has ended."""


class Attributes(TypedDict, total=False):
    """What a writer gives with the bytes and gets back with them."""

    content_type: str
    metadata: Mapping[str, str]
    tags: Mapping[str, str]
    properties: Mapping[str, Any]
    """Whatever else a service wants to keep; JSON."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    name: str
    region: str
    created: float
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Object:
    bucket: str
    key: str
    size: int
    etag: str
    """MD5 in hex; of an object that came in parts, AWS's MD5 of MD5s with the number of parts: `...-3`."""
    modified: float
    blobs: Path
    name: str
    """Where the bytes are, as `blob` says it: listings make thousands of these, and few paths."""
    content_type: str = UNTYPED
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[int, ...] = ()
    """Sizes of the parts in which it came."""
    upload: str | None = None
    """The upload that made it."""

    @property
    def blob(self) -> Path:
        """A file that never changes. Gone, if the object was replaced since: `Objects.open` minds that."""
        return self.blobs / self.name

    @property
    def attributes(self) -> Attributes:
        """To give to a copy."""
        return {
            "content_type": self.content_type,
            "metadata": self.metadata,
            "tags": self.tags,
            "properties": self.properties,
        }


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An object on its way, in parts."""

    id: str
    bucket: str
    key: str
    created: float
    attributes: Attributes


@dataclass(frozen=True, kw_only=True)
class Part:
    number: int
    size: int
    etag: str
    modified: float
    blob: str
    checksums: Mapping[str, str]


def bucket_of(row: Row) -> Bucket:
    tags = json.loads(row["tags"] or "{}")
    return Bucket(name=row["name"], region=row["region"], created=row["created"], tags=tags)


def object_of(row: Row, blobs: Path) -> Object:
    attributes = json.loads(row["attributes"])
    if "parts" in attributes:
        attributes["parts"] = tuple(attributes["parts"])
    return Object(
        bucket=row["bucket"],
        key=row["key"],
        size=row["size"],
        etag=row["etag"],
        modified=row["modified"],
        blobs=blobs,
        name=row["blob"],
        **attributes,
    )


def upload_of(row: Row) -> Upload:
    return Upload(
        id=row["id"],
        bucket=row["bucket"],
        key=row["key"],
        created=row["created"],
        attributes=json.loads(row["attributes"]),
    )


def part_of(row: Row) -> Part:
    return Part(
        number=row["number"],
        size=row["size"],
        etag=row["etag"],
        modified=row["modified"],
        blob=row["blob"],
        checksums=json.loads(row["checksums"]),
    )
