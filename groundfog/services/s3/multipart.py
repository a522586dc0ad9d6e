"""Objects that come in parts."""

import asyncio
import itertools
from typing import Any
from urllib.parse import quote

from groundfog.engine import Engine
from groundfog.engine.objects import NoUpload, Object, Part, Upload
from groundfog.engine.objects.blobs import Draft
from groundfog.services.s3.buckets import Owner
from groundfog.services.s3.checksums import Digests, Joined
from groundfog.services.s3.conditions import WriteConditions
from groundfog.services.s3.listings import Limit, Text
from groundfog.services.s3.objects import LARGEST_PUT
from groundfog.services.s3.properties import CHECKSUMS, Checksums, Encryption, Given
from groundfog.services.s3.refusals import EntityTooLarge, InvalidArgument, InvalidRequest, MalformedXML, Refusing
from groundfog.services.s3.streams import Incoming
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.chunked import Body
from groundfog.wire.refusal import Refusal

_SMALLEST_PART = 5 << 20
_MOST_PARTS = 10_000


class PartNumber(int):
    def __new__(cls, number: int) -> "PartNumber":
        if not 1 <= number <= _MOST_PARTS:
            raise InvalidArgument(
                f"Part number must be an integer between 1 and {_MOST_PARTS}, inclusive", "partNumber", number
            )
        return super().__new__(cls, number)


def create_multipart_upload(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        given = Given(request).attributes
        checksum = _checksum_kind(request)
        given["properties"] = {**given["properties"], **checksum}
        upload = engine.objects.uploads.begin(request["Bucket"], request["Key"], **given)
    return {
        "Bucket": upload.bucket,
        "Key": upload.key,
        "UploadId": upload.id,
        **checksum,
        **Encryption(given["properties"]),
    }


async def upload_part(engine: Engine, caller: Caller, request: Parameters) -> Result:
    body: Body = request["Body"]
    with Refusing(caller, request):
        number = PartNumber(request["PartNumber"])
        upload = await asyncio.to_thread(_find, engine, request)
        if body.length is not None and body.length > LARGEST_PUT:
            raise EntityTooLarge(body.length, LARGEST_PUT)
        draft = engine.objects.draft()
        rest = await Incoming(body, draft).until_last_block()
        part = await asyncio.to_thread(_keep, engine, draft, rest, upload, number, body.checksums)
    return {"ETag": f'"{part.etag}"', **part.checksums, **Encryption(_properties(upload))}


def complete_multipart_upload(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        conditions = WriteConditions.of(request)
        try:
            upload = _find(engine, request)
        except NoUpload:
            kept = _completed_before(engine, request)
        else:
            kept = _complete(engine, request, upload, conditions)
    return {
        "Location": f"/{quote(kept.bucket)}/{quote(kept.key)}",
        "Bucket": kept.bucket,
        "Key": kept.key,
        "ETag": f'"{kept.etag}"',
        **Checksums(kept.properties),
        **Encryption(kept.properties),
    }


def abort_multipart_upload(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        engine.objects.uploads.abort(_find(engine, request))
    return {}


def list_parts(engine: Engine, caller: Caller, request: Parameters) -> Result:
    limit, after = Limit(request, "MaxParts"), min(int(request.get("PartNumberMarker", 0)), _MOST_PARTS)
    with Refusing(caller, request):
        upload = _find(engine, request)
        parts = engine.objects.uploads.parts(upload, after, limit + 1)
    answer: dict[str, Any] = {
        "Bucket": upload.bucket,
        "Key": upload.key,
        "UploadId": upload.id,
        "PartNumberMarker": after,
        "NextPartNumberMarker": parts[:limit][-1].number if parts[:limit] else 0,
        "MaxParts": limit,
        "IsTruncated": len(parts) > limit,
        "Parts": [_part(part) for part in parts[:limit]],
        "Initiator": Owner(caller),
        "Owner": Owner(caller),
        "StorageClass": _properties(upload).get("StorageClass", "STANDARD"),
    }
    return {**answer, **Checksums(_properties(upload))}


def list_multipart_uploads(engine: Engine, caller: Caller, request: Parameters) -> Result:
    if request.get("Delimiter"):
        raise Refusal("NotImplemented", "Rolling up uploads at a delimiter is not implemented", 501)
    limit = Limit(request, "MaxUploads")
    # A key marker alone stands behind all uploads of that key.
    key, id_ = request.get("KeyMarker", ""), request.get("UploadIdMarker") or ("\x7f" if "KeyMarker" in request else "")
    with Refusing(caller, request):
        engine.objects.find_bucket(request["Bucket"])
        found = engine.objects.uploads.page(request["Bucket"], request.get("Prefix", ""), (key, id_), limit + 1)
    text, uploads = Text(request), found[:limit]
    answer: dict[str, Any] = {
        "Bucket": request["Bucket"],
        "KeyMarker": text(request.get("KeyMarker", "")),
        "UploadIdMarker": request.get("UploadIdMarker", ""),
        "Prefix": text(request.get("Prefix", "")),
        "MaxUploads": limit,
        "IsTruncated": len(found) > limit,
        "Uploads": [_upload(upload, text, caller) for upload in uploads],
    }
    if "EncodingType" in request:
        answer["EncodingType"] = request["EncodingType"]
    if len(found) > limit and uploads:
        answer |= {"NextKeyMarker": text(uploads[-1].key), "NextUploadIdMarker": uploads[-1].id}
    return answer


def _checksum_kind(request: Parameters) -> dict[str, str]:
    """The algorithm that the upload is to have, and how its parts' checksums become one."""
    algorithm = request.get("ChecksumAlgorithm")
    if algorithm is None:
        if "ChecksumType" in request:
            raise InvalidRequest(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )
        return {}
    Digests(algorithm)
    kind = request.get("ChecksumType", "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")
    never = "COMPOSITE" if algorithm == "CRC64NVME" else "FULL_OBJECT" if algorithm.startswith("SHA") else None
    if kind == never:
        raise InvalidRequest(
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        )
    return {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}


def _find(engine: Engine, request: Parameters) -> Upload:
    return engine.objects.uploads.find(request["Bucket"], request["Key"], request["UploadId"])


def _keep(engine: Engine, draft: Draft, rest: bytes, upload: Upload, number: int, verified: dict[str, str]) -> Part:
    with draft:
        draft.write(rest)
        if draft.size > LARGEST_PUT:
            raise EntityTooLarge(draft.size, LARGEST_PUT)
        checksums = _checksums_of_part(draft, _properties(upload).get("ChecksumAlgorithm"), verified)
        return engine.objects.uploads.keep_part(draft, upload, number, checksums)


def _checksums_of_part(draft: Draft, wanted: str | None, verified: dict[str, str]) -> dict[str, str]:
    """Those that the client gave; the one that its upload wants, if it gave none."""
    given = {f"Checksum{algorithm.upper()}": value for algorithm, value in verified.items()}
    if wanted is None or f"Checksum{wanted}" in given:
        return given
    if given:
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {wanted.lower()}, "
            f"actual checksum Type: {next(iter(verified))}"
        )
    draft.flush()
    digests = Digests(wanted)
    digests.update_from(draft.path)
    return digests.members()


def _complete(engine: Engine, request: Parameters, upload: Upload, conditions: WriteConditions) -> Object:
    properties = _properties(upload)
    parts = _named_parts(engine, request, upload)
    joined = Joined(properties.get("ChecksumAlgorithm"), properties.get("ChecksumType"))

    def attributes(path: Any) -> Any:
        checksums = joined.members(parts, path)
        _check_declared(request, checksums)
        kept = {name: value for name, value in properties.items() if not name.startswith("Checksum")}
        return {**upload.attributes, "properties": {**kept, **checksums}}

    return engine.objects.uploads.complete(upload, parts, guard=conditions, attributes=attributes)


def _completed_before(engine: Engine, request: Parameters) -> Object:
    """A client that did not get our answer asks again, and gets it again."""
    upload = request["UploadId"]
    kept = [
        found for found in engine.objects.page(request["Bucket"], request["Key"], limit=1) if found.upload == upload
    ]
    if not kept or kept[0].key != request["Key"]:
        raise NoUpload(upload)
    return kept[0]


def _named_parts(engine: Engine, request: Parameters, upload: Upload) -> list[Part]:
    """The parts that the request names, in its order, which must be that of their numbers."""
    named = request.get("MultipartUpload", {}).get("Parts", [])
    if not named or any("PartNumber" not in each for each in named):
        raise MalformedXML
    numbers = [each["PartNumber"] for each in named]
    if any(before >= after for before, after in itertools.pairwise(numbers)):
        raise Refusal(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
            400,
            UploadId=upload.id,
        )
    there = {part.number: part for part in engine.objects.uploads.parts(upload)}
    parts = [_named_part(each, there.get(each["PartNumber"]), upload) for each in named]
    for part in parts[:-1]:
        if part.size < _SMALLEST_PART:
            raise _too_small(part)
    if request.get("MpuObjectSize", total := sum(part.size for part in parts)) != total:
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {request['MpuObjectSize']} does not match what was "
            f"computed: {total}"
        )
    return parts


def _named_part(named: dict[str, Any], part: Part | None, upload: Upload) -> Part:
    checksums = {f"Checksum{name}": named[f"Checksum{name}"] for name in CHECKSUMS if f"Checksum{name}" in named}
    if (
        part is None
        or named.get("ETag", "").strip('"') != part.etag
        or any(part.checksums.get(name, value) != value for name, value in checksums.items())
    ):
        raise Refusal(
            "InvalidPart",
            "One or more of the specified parts could not be found.  The part may not have been uploaded, "
            "or the specified entity tag may not match the part's entity tag.",
            400,
            UploadId=upload.id,
            PartNumber=named["PartNumber"],
            ETag=named.get("ETag", ""),
        )
    return part


def _check_declared(request: Parameters, checksums: dict[str, str]) -> None:
    for name, value in checksums.items():
        declared = request.get(name, value)
        # A composite checksum may be declared with or without the number of its parts.
        if declared not in (value, value.rpartition("-")[0]):
            raise Refusal(
                "BadDigest",
                f"The {name.removeprefix('Checksum').lower()} you specified did not match the calculated checksum.",
                400,
            )


def _too_small(part: Part) -> Refusal:
    return Refusal(
        "EntityTooSmall",
        "Your proposed upload is smaller than the minimum allowed size",
        400,
        ETag=part.etag,
        MinSizeAllowed=_SMALLEST_PART,
        PartNumber=part.number,
        ProposedSize=part.size,
    )


def _properties(upload: Upload) -> dict[str, Any]:
    return dict(upload.attributes.get("properties", {}))


def _part(part: Part) -> dict[str, Any]:
    return {
        "PartNumber": part.number,
        "LastModified": part.modified,
        "ETag": f'"{part.etag}"',
        "Size": part.size,
        **part.checksums,
    }


def _upload(upload: Upload, text: Text, caller: Caller) -> dict[str, Any]:
    return {
        "UploadId": upload.id,
        "Key": text(upload.key),
        "Initiated": upload.created,
        "StorageClass": _properties(upload).get("StorageClass", "STANDARD"),
        "Owner": Owner(caller),
        "Initiator": Owner(caller),
        **Checksums(_properties(upload)),
    }
