"""Objects: put, get, head, delete."""

import asyncio
from typing import Any

from groundfog.engine import Engine
from groundfog.engine.objects import Object
from groundfog.engine.objects.blobs import BLOCK, Draft
from groundfog.services.s3.conditions import DeleteConditions, ReadConditions, WriteConditions
from groundfog.services.s3.properties import Checksums, Described, Encryption, Given
from groundfog.services.s3.ranges import Extent
from groundfog.services.s3.refusals import EntityTooLarge, MalformedXML, NoSuchBucket, Refusing
from groundfog.services.s3.streams import Incoming, Outgoing
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.chunked import Body
from groundfog.wire.refusal import Refusal

LARGEST_PUT = 5 << 30
"""A larger object has to come in parts."""

_MOST_AT_ONCE = 1000


async def put_object(engine: Engine, caller: Caller, request: Parameters) -> Result:
    body: Body = request["Body"]
    with Refusing(caller, request):
        given, conditions = Given(request).attributes, WriteConditions.of(request)
        if body.length is None or body.length > BLOCK:
            await asyncio.to_thread(_check_before, engine, request["Bucket"], body.length)
        draft = engine.objects.draft()
        rest = await Incoming(body, draft).until_last_block()
        checksums = Checksums.of_whole(body.checksums)
        given["properties"] = {**given["properties"], **checksums}
        kept = await asyncio.to_thread(_keep, engine, draft, rest, request, conditions, given)
    return {"ETag": f'"{kept.etag}"', **checksums, **Encryption(kept.properties)}


def get_object(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        found, file = engine.objects.open(request["Bucket"], request["Key"])
        try:
            extent = _extent(found, request)
        except BaseException:
            file.close()
            raise
    bytes_ = Outgoing(file, extent.offset, extent.length)
    return {
        **_describe(found, request, extent),
        "Body": bytes_.read() if extent.length <= BLOCK else bytes_.blocks(),
    }


def head_object(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        found = engine.objects.find(request["Bucket"], request["Key"])
        return _describe(found, request, _extent(found, request))


def delete_object(engine: Engine, caller: Caller, request: Parameters) -> Result:
    conditions = DeleteConditions(
        request.get("IfMatch"), request.get("IfMatchLastModifiedTime"), request.get("IfMatchSize")
    )
    with Refusing(caller, request):
        engine.objects.delete(request["Bucket"], request["Key"], guard=conditions)
    return {}


def delete_objects(engine: Engine, caller: Caller, request: Parameters) -> Result:
    wanted = request["Delete"]["Objects"]
    if not 1 <= len(wanted) <= _MOST_AT_ONCE:
        raise MalformedXML
    with Refusing(caller, request):
        engine.objects.find_bucket(request["Bucket"])
    deleted: list[dict[str, str]] = []
    errors: list[dict[str, str]] = []
    for each in wanted:
        conditions = DeleteConditions(each.get("ETag"), each.get("LastModifiedTime"), each.get("Size"))
        named = {name: each[name] for name in ("Key", "VersionId") if name in each}
        try:
            with Refusing(caller, named):
                engine.objects.delete(request["Bucket"], each["Key"], guard=conditions)
            deleted.append(named)
        except NoSuchBucket:
            raise
        except Refusal as refusal:
            errors.append({**named, "Code": refusal.code, "Message": refusal.message})
    quiet = request["Delete"].get("Quiet", False)
    return {"Deleted": [] if quiet else deleted, "Errors": errors}


def _check_before(engine: Engine, bucket: str, size: int | None) -> None:
    """What can be refused before the client sends its bytes (`Expect: 100-continue`)."""
    engine.objects.find_bucket(bucket)
    if size is not None and size > LARGEST_PUT:
        raise EntityTooLarge(size, LARGEST_PUT)


def _keep(
    engine: Engine, draft: Draft, rest: bytes, request: Parameters, conditions: WriteConditions, given: Any
) -> Object:
    with draft:
        draft.write(rest)
        if draft.size > LARGEST_PUT:
            raise EntityTooLarge(draft.size, LARGEST_PUT)
        return engine.objects.keep(draft, request["Bucket"], request["Key"], guard=conditions, **given)


def _extent(found: Object, request: Parameters) -> Extent:
    """The bytes that are asked for, if the conditions hold."""
    ReadConditions.of(request).check(found)
    return Extent.of(found, request)


def _describe(found: Object, request: Parameters, extent: Extent) -> dict[str, Any]:
    described: dict[str, Any] = Described(found, request)
    described["ContentLength"] = extent.length
    if extent.partial:
        described["ContentRange"] = extent.content_range
    if "PartNumber" in request and found.parts:
        described["PartsCount"] = len(found.parts)
    # A client would hold the checksum of the whole against the part that it got.
    if request.get("ChecksumMode") == "ENABLED" and extent.length == found.size:
        described |= Checksums(found.properties)
    return described
