"""Objects and parts made of other objects."""

from typing import Any
from urllib.parse import unquote

from groundfog.engine import Engine
from groundfog.engine.objects import Attributes, Object
from groundfog.engine.objects.blobs import blocks
from groundfog.services.s3.checksums import Digests
from groundfog.services.s3.conditions import ReadConditions, WriteConditions
from groundfog.services.s3.multipart import PartNumber
from groundfog.services.s3.objects import LARGEST_PUT
from groundfog.services.s3.properties import Checksums, Encryption, Given, Tags
from groundfog.services.s3.ranges import Extent
from groundfog.services.s3.refusals import InvalidArgument, InvalidRequest, Refusing
from groundfog.wire.caller import Caller, Parameters, Result


def copy_object(engine: Engine, caller: Caller, request: Parameters) -> Result:
    source = _source(request)

    def attributes(found: Object) -> Attributes:
        ReadConditions.of(request, "CopySource").check_copy(found)
        if found.size > LARGEST_PUT:
            raise InvalidRequest(
                f"The specified copy source is larger than the maximum allowable size for a copy source: {LARGEST_PUT}"
            )
        if source == (request["Bucket"], request["Key"]):
            _refuse_copy_to_itself(request)
        return _attributes(found, request)

    with Refusing(caller, request):
        kept = engine.objects.copy(
            source, (request["Bucket"], request["Key"]), guard=WriteConditions.of(request), attributes=attributes
        )
    result = {"ETag": f'"{kept.etag}"', "LastModified": kept.modified, **Checksums(kept.properties)}
    return {"CopyObjectResult": result, **Encryption(kept.properties)}


def upload_part_copy(engine: Engine, caller: Caller, request: Parameters) -> Result:
    with Refusing(caller, request):
        number = PartNumber(request["PartNumber"])
        upload = engine.objects.uploads.find(request["Bucket"], request["Key"], request["UploadId"])
        source, file = engine.objects.open(*_source(request))
        properties = upload.attributes.get("properties", {})
        digests = Digests(properties.get("ChecksumAlgorithm"))
        with file, engine.objects.draft() as draft:
            ReadConditions.of(request, "CopySource").check_copy(source)
            extent = Extent.of_copy(source, request.get("CopySourceRange"))
            for block in blocks(file, extent.offset, extent.length):
                draft.write(block)
                digests.update(block)
            part = engine.objects.uploads.keep_part(draft, upload, number, digests.members())
    result = {"ETag": f'"{part.etag}"', "LastModified": part.modified, **part.checksums}
    return {"CopyPartResult": result, **Encryption(properties)}


def _source(request: Parameters) -> tuple[str, str]:
    """Bucket and key of `bucket/key?versionId=id`, percent-encoded, with or without a slash in front."""
    text: str = request["CopySource"]
    path, _, version = text.partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key or bucket.startswith("arn:"):
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey", "x-amz-copy-source", text
        )
    if version not in ("", "null"):
        raise InvalidArgument("Invalid version id specified", "versionId", version)
    return bucket, key


def _refuse_copy_to_itself(request: Parameters) -> None:
    changing = ("StorageClass", "ServerSideEncryption", "WebsiteRedirectLocation")
    if request.get("MetadataDirective") != "REPLACE" and not any(name in request for name in changing):
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )


def _attributes(found: Object, request: Parameters) -> Attributes:
    given = Given(request)
    attributes = given.attributes if request.get("MetadataDirective") == "REPLACE" else given.copied(found)
    attributes["tags"] = Tags.of(request) if request.get("TaggingDirective") == "REPLACE" else found.tags
    attributes["properties"] = {**attributes["properties"], **_checksums(found, request)}
    return attributes


def _checksums(found: Object, request: Parameters) -> dict[str, Any]:
    """Those of the source, unless they are of its parts or another one is asked for."""
    kept = Checksums(found.properties)
    wanted = request.get("ChecksumAlgorithm", kept.algorithms[0] if kept else None)
    if wanted is None or (kept.get("ChecksumType") == "FULL_OBJECT" and wanted in kept.algorithms):
        return kept
    digests = Digests(wanted)
    with found.blob.open("rb", buffering=0) as file:
        for block in blocks(file, 0, found.size):
            digests.update(block)
    return {**digests.members(), "ChecksumType": "FULL_OBJECT"}
