"""What stands with an object besides its bytes, from the requests that give it to the answers that return it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from groundfog.engine.objects import Attributes, Object
from groundfog.services.s3.refusals import InvalidArgument
from groundfog.wire.caller import Parameters
from groundfog.wire.refusal import Refusal

CHECKSUMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")

_DESCRIBING = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "Expires",
)
_STORING = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled", "StorageClass", "WebsiteRedirectLocation")
_METADATA_BYTES = 2048


class Given(dict[str, Any]):
    """The properties that a request gives: those that describe the object, and those of how it is stored.

    The engine keeps them under their AWS names, beside the checksums (`ChecksumCRC32`, ..., `ChecksumType`).
    """

    def __init__(self, request: Parameters) -> None:
        super().__init__({name: request[name] for name in (*_DESCRIBING, *_STORING) if name in request})
        if isinstance(self.get("Expires"), datetime):
            self["Expires"] = self["Expires"].timestamp()
        if self.get("StorageClass") == "STANDARD":
            del self["StorageClass"]
        if self.get("ContentEncoding"):
            self._drop_framing()
        self._request = request

    @property
    def attributes(self) -> Attributes:
        """For the engine."""
        given: Attributes = {"metadata": _metadata(self._request), "tags": Tags.of(self._request), "properties": self}
        if self._request.get("ContentType"):
            given["content_type"] = self._request["ContentType"]
        return given

    def copied(self, source: Object) -> Attributes:
        """For the engine, of a copy that is to be described as its source is."""
        described = {name: source.properties[name] for name in _DESCRIBING if name in source.properties}
        stored = {name: self[name] for name in _STORING if name in self}
        return {"content_type": source.content_type, "metadata": source.metadata, "properties": {**described, **stored}}

    def _drop_framing(self) -> None:
        """`aws-chunked` is how the bytes came, not how they are."""
        kept = [coding for coding in self["ContentEncoding"].split(",") if coding.strip() != "aws-chunked"]
        self["ContentEncoding"] = ",".join(kept).strip()
        if not self["ContentEncoding"]:
            del self["ContentEncoding"]


class Described(dict[str, Any]):
    """What GetObject and HeadObject say of an object, in members of their answers."""

    def __init__(self, found: Object, request: Parameters) -> None:
        kept = {name: value for name, value in found.properties.items() if not name.startswith("Checksum")}
        super().__init__(kept)
        self |= {
            "AcceptRanges": "bytes",
            "LastModified": found.modified,
            "ETag": f'"{found.etag}"',
            "ContentType": found.content_type,
            "Metadata": found.metadata,
        }
        if found.tags:
            self["TagCount"] = len(found.tags)
        for name, value in request.items():
            if name.startswith("Response"):
                self[name.removeprefix("Response")] = value


class Encryption(dict[str, Any]):
    """How an object is said to be encrypted: every answer to a write repeats it."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        names = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
        super().__init__({name: properties[name] for name in names if name in properties})


class Checksums(dict[str, Any]):
    """The checksums of an object, and whether they are of the whole or of its parts' checksums."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        super().__init__({name: value for name, value in properties.items() if name.startswith("Checksum")})

    @classmethod
    def of_whole(cls, values: Mapping[str, str]) -> "Checksums":
        """From base64 by algorithm, as the wire verified them."""
        if not values:
            return cls({})
        named = {f"Checksum{algorithm.upper()}": value for algorithm, value in values.items()}
        return cls({**named, "ChecksumType": "FULL_OBJECT"})

    @property
    def algorithms(self) -> list[str]:
        return [name.removeprefix("Checksum") for name in self if name != "ChecksumType"]


class Tags(dict[str, str]):
    LIMIT = 10

    @classmethod
    def of(cls, request: Parameters) -> "Tags":
        """From the header `x-amz-tagging`: a query string."""
        text = request.get("Tagging", "")
        try:
            pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
        except ValueError:
            pairs = [("", "")] * 2
        if len({key for key, _ in pairs}) < len(pairs):
            raise InvalidArgument(
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters "
                "without tag name duplicates.",
                "x-amz-tagging",
                text,
            )
        return cls(pairs).checked()

    @classmethod
    def of_set(cls, tags: list[dict[str, str]], limit: int = LIMIT, of: str = "Object") -> "Tags":
        if len({tag["Key"] for tag in tags}) < len(tags):
            raise Refusal("InvalidTag", "Cannot provide multiple Tags with the same key", 400)
        return cls((tag["Key"], tag["Value"]) for tag in tags).checked(limit, of)

    def checked(self, limit: int = LIMIT, of: str = "Object") -> "Tags":
        if len(self) > limit:
            raise Refusal("BadRequest", f"{of} tags cannot be greater than {limit}", 400)
        for key, value in self.items():
            if not 1 <= len(key) <= 128 or key.startswith("aws:"):
                raise Refusal("InvalidTag", "The TagKey you have provided is invalid", 400, TagKey=key)
            if len(value) > 256:
                raise Refusal("InvalidTag", "The TagValue you have provided is invalid", 400, TagKey=key)
        return self


def _metadata(request: Parameters) -> dict[str, str]:
    metadata: dict[str, str] = request.get("Metadata", {})
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > _METADATA_BYTES:
        raise Refusal(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            400,
            Size=size,
            MaxSizeAllowed=_METADATA_BYTES,
        )
    return metadata
