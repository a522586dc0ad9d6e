"""What S3 says no to, in its own words."""

from types import TracebackType

from groundfog.engine.errors import Missing
from groundfog.engine.objects import NoBucket, NoUpload
from groundfog.wire.caller import Caller, Parameters
from groundfog.wire.refusal import Refusal

KEY_BYTES = 1024

_CANNED = {"private", "bucket-owner-full-control"}
_LACKING = {
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "CopySourceSSECustomerAlgorithm": "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "WriteOffsetBytes": "x-amz-write-offset-bytes",
    "MFA": "x-amz-mfa",
    "IfMatchInitiatedTime": "x-amz-if-match-initiated-time",
}
_LOCKS = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus", "ObjectLockEventHold")
_GRANTS = ("GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP")


class NoSuchBucket(Refusal):
    def __init__(self, bucket: str) -> None:
        super().__init__("NoSuchBucket", "The specified bucket does not exist", 404, BucketName=bucket)


class NoSuchKey(Refusal):
    def __init__(self, key: str) -> None:
        super().__init__("NoSuchKey", "The specified key does not exist.", 404, Key=key)


class NoSuchUpload(Refusal):
    def __init__(self, upload: str) -> None:
        super().__init__(
            "NoSuchUpload",
            "The specified upload does not exist. "
            "The upload ID may be invalid, or the upload may have been aborted or completed.",
            404,
            UploadId=upload,
        )


class InvalidArgument(Refusal):
    def __init__(self, message: str, name: str, value: object) -> None:
        super().__init__("InvalidArgument", message, 400, ArgumentName=name, ArgumentValue=str(value))


class InvalidRequest(Refusal):
    def __init__(self, message: str) -> None:
        super().__init__("InvalidRequest", message, 400)


class MalformedXML(Refusal):
    def __init__(self) -> None:
        super().__init__(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
            400,
        )


class PreconditionFailed(Refusal):
    def __init__(self, condition: str) -> None:
        super().__init__(
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
            412,
            Condition=condition,
        )


class NotModified(Refusal):
    """Has no body: its fields are headers."""

    def __init__(self, etag: str) -> None:
        super().__init__("NotModified", "Not Modified", 304, ETag=f'"{etag}"')


class InvalidRange(Refusal):
    def __init__(self, wanted: str, size: int) -> None:
        super().__init__(
            "InvalidRange",
            "The requested range is not satisfiable",
            416,
            RangeRequested=wanted,
            ActualObjectSize=size,
        )


class EntityTooLarge(Refusal):
    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            400,
            ProposedSize=size,
            MaxSizeAllowed=limit,
        )


class NotImplementedHeader(Refusal):
    def __init__(self, header: str) -> None:
        super().__init__(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            501,
            Header=header,
        )


class Refusing:
    """`with Refusing(caller, request):` refuses what no operation here does, and says the engine's no as S3 does."""

    def __init__(self, caller: Caller, request: Parameters) -> None:
        self._account, self._request = caller.account, request

    def __enter__(self) -> None:
        request = self._request
        for name in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
            if request.get(name, self._account) != self._account:
                raise Refusal("AccessDenied", "Access Denied", 403)
        if "Key" in request:
            self._check_key(request["Key"])
        if request.get("VersionId", "null") != "null":
            raise InvalidArgument("Invalid version id specified", "versionId", request["VersionId"])
        for name, header in _LACKING.items():
            if name in request:
                raise NotImplementedHeader(header)
        if any(name in request for name in _LOCKS):
            raise InvalidRequest("Bucket is missing Object Lock Configuration")
        if request.get("ACL", "private") not in _CANNED or any(name in request for name in _GRANTS):
            raise Refusal("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, NoBucket):
            raise NoSuchBucket(str(error)) from None
        if isinstance(error, NoUpload):
            raise NoSuchUpload(str(error)) from None
        if isinstance(error, Missing):
            raise NoSuchKey(str(error)) from None

    def _check_key(self, key: str) -> None:
        size = len(key.encode())
        if size > KEY_BYTES:
            raise Refusal("KeyTooLongError", "Your key is too long", 400, Size=size, MaxSizeAllowed=KEY_BYTES)
