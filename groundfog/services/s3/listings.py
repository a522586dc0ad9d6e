"""ListObjects, first and second version."""

import base64
import binascii
from typing import Any
from urllib.parse import quote

from groundfog.engine import Engine
from groundfog.engine.objects import Object, Page
from groundfog.services.s3.buckets import Owner
from groundfog.services.s3.properties import Checksums
from groundfog.services.s3.refusals import InvalidArgument, Refusing
from groundfog.wire.caller import Caller, Parameters, Result

_MOST = 1000


def list_objects(engine: Engine, caller: Caller, request: Parameters) -> Result:
    page, limit = _page(engine, caller, request, after=request.get("Marker", ""))
    text = Text(request)
    answer = _answer(request, page, limit, text, Owner(caller))
    answer["Marker"] = text(request.get("Marker", ""))
    # Without a delimiter the client goes on from the last key that it got.
    if page.last is not None and request.get("Delimiter"):
        answer["NextMarker"] = text(page.last)
    return answer


def list_objects_v2(engine: Engine, caller: Caller, request: Parameters) -> Result:
    token = request.get("ContinuationToken")
    after = request.get("StartAfter", "") if token is None else _after(token)
    page, limit = _page(engine, caller, request, after=after)
    text = Text(request)
    answer = _answer(request, page, limit, text, Owner(caller) if request.get("FetchOwner") else None)
    answer["KeyCount"] = len(page.objects) + len(page.prefixes)
    if token is not None:
        answer["ContinuationToken"] = token
    if "StartAfter" in request:
        answer["StartAfter"] = text(request["StartAfter"])
    if page.last is not None:
        answer["NextContinuationToken"] = _token(page.last)
    return answer


def list_object_versions(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Where no bucket has versions, each object is its only one, `null`: cleaners delete what this lists."""
    marker = request.get("KeyMarker", "")
    if request.get("VersionIdMarker") and not marker:
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
            "version-id-marker",
            request["VersionIdMarker"],
        )
    page, limit = _page(engine, caller, request, after=marker)
    text = Text(request)
    answer = _answer(request, page, limit, text, Owner(caller))
    answer["Versions"] = [{**entry, "VersionId": "null", "IsLatest": True} for entry in answer.pop("Contents")]
    answer |= {"KeyMarker": text(marker), "VersionIdMarker": request.get("VersionIdMarker", "")}
    if page.last is not None:
        answer |= {"NextKeyMarker": text(page.last), "NextVersionIdMarker": "null"}
    return answer


class Limit(int):
    """How many entries a page may have: what is asked for, 1000 at most."""

    def __new__(cls, request: Parameters, member: str) -> "Limit":
        wanted, name = request.get(member, _MOST), member[0].lower() + member[1:]
        if wanted < 0:
            raise InvalidArgument(f"Argument {name} must be an integer between 0 and 2147483647", name, wanted)
        return super().__new__(cls, min(wanted, _MOST))


class Text:
    """Keys as the client wants them: as they are, or quoted, since XML cannot hold every character."""

    def __init__(self, request: Parameters) -> None:
        encoding = request.get("EncodingType")
        if encoding not in (None, "url"):
            raise InvalidArgument("Invalid Encoding Method specified in Request", "encoding-type", encoding)
        self._quoted = encoding == "url"

    def __call__(self, text: str) -> str:
        return quote(text) if self._quoted else text


def _page(engine: Engine, caller: Caller, request: Parameters, after: str) -> tuple[Page, int]:
    limit = Limit(request, "MaxKeys")
    with Refusing(caller, request):
        engine.objects.find_bucket(request["Bucket"])
        if limit == 0:
            return Page(objects=[], prefixes=[], last=None), 0
        page = engine.objects.listing.page(
            request["Bucket"],
            prefix=request.get("Prefix", ""),
            delimiter=request.get("Delimiter", ""),
            after=after,
            limit=limit,
        )
    return page, limit


def _answer(request: Parameters, page: Page, limit: int, text: Text, owner: Owner | None) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "Name": request["Bucket"],
        "Prefix": text(request.get("Prefix", "")),
        "MaxKeys": limit,
        "IsTruncated": page.last is not None,
        "Contents": [_entry(found, text, owner) for found in page.objects],
        "CommonPrefixes": [{"Prefix": text(prefix)} for prefix in page.prefixes],
    }
    if request.get("Delimiter"):
        answer["Delimiter"] = text(request["Delimiter"])
    if "EncodingType" in request:
        answer["EncodingType"] = request["EncodingType"]
    return answer


def _entry(found: Object, text: Text, owner: Owner | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Key": text(found.key),
        "LastModified": found.modified,
        "ETag": f'"{found.etag}"',
        "Size": found.size,
        "StorageClass": found.properties.get("StorageClass", "STANDARD"),
    }
    checksums = Checksums(found.properties)
    if checksums:
        entry |= {"ChecksumAlgorithm": checksums.algorithms, "ChecksumType": checksums["ChecksumType"]}
    if owner is not None:
        entry["Owner"] = owner
    return entry


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _after(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise InvalidArgument("The continuation token provided is incorrect", "continuation-token", token) from None
