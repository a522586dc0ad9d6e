"""GetObjectAttributes."""

from typing import Any

from groundfog.engine import Engine
from groundfog.engine.objects import Object
from groundfog.services.s3.listings import Limit
from groundfog.services.s3.properties import Checksums
from groundfog.services.s3.refusals import Refusing
from groundfog.wire.caller import Caller, Parameters, Result


def get_object_attributes(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        found = engine.objects.find(request["Bucket"], request["Key"])
    checksums = Checksums(found.properties)
    every: dict[str, Any] = {
        "ETag": found.etag,
        "ObjectSize": found.size,
        "StorageClass": found.properties.get("StorageClass", "STANDARD"),
    }
    if checksums:
        every["Checksum"] = checksums
    if found.parts:
        every["ObjectParts"] = _parts(found, request)
    return {
        "LastModified": found.modified,
        **{name: every[name] for name in request["ObjectAttributes"] if name in every},
    }


def _parts(found: Object, request: Parameters) -> dict[str, Any]:
    limit, after = Limit(request, "MaxParts"), max(int(request.get("PartNumberMarker", 0)), 0)
    numbered = list(enumerate(found.parts, 1))[after:]
    return {
        "TotalPartsCount": len(found.parts),
        "PartNumberMarker": after,
        "NextPartNumberMarker": numbered[:limit][-1][0] if numbered[:limit] else 0,
        "MaxParts": limit,
        "IsTruncated": len(numbered) > limit,
        "Parts": [{"PartNumber": number, "Size": size} for number, size in numbered[:limit]],
    }
