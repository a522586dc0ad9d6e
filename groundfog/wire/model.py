"""Service models, as they ship inside botocore. Large ones take a tenth of a second to load: each waits its turn."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape


class Known(NamedTuple):
    """What tells a service's requests from others' before its model is loaded; a test compares this with the model."""

    signing_name: str
    target: str | None = None
    query: bool = False


KNOWN = {
    "s3": Known("s3"),
    "sagemaker": Known("sagemaker", "SageMaker"),
    "sagemaker-runtime": Known("sagemaker"),
    "sagemaker-a2i-runtime": Known("sagemaker"),
    "transcribe": Known("transcribe", "Transcribe"),
    "personalize": Known("personalize", "AmazonPersonalize"),
    "personalize-runtime": Known("personalize"),
    "personalize-events": Known("personalize"),
    "stepfunctions": Known("states", "AWSStepFunctions"),
    "events": Known("events", "AWSEvents"),
    "lambda": Known("lambda"),
    "logs": Known("logs", "Logs_20140328"),
    "cloudwatch": Known("monitoring", "GraniteServiceVersion20100801", query=True),
    "iam": Known("iam", query=True),
    "sts": Known("sts", query=True),
    "ecr": Known("ecr", "AmazonEC2ContainerRegistry_V20150921"),
    "cloudformation": Known("cloudformation", query=True),
}

BY_TARGET = {known.target: service for service, known in KNOWN.items() if known.target}
QUERY = {known.signing_name: service for service, known in KNOWN.items() if known.query}
SIGNING_NAMES = {known.signing_name for known in KNOWN.values()}
REST = {
    known.signing_name: [
        name for name, other in KNOWN.items() if other.signing_name == known.signing_name and not other.target
    ]
    for known in KNOWN.values()
    if not known.query
}

S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_S3_ROOTS = {
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAcl": "AccessControlPolicy",
    "GetObjectAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetObjectTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAttributes": "GetObjectAttributesResponse",
}
"""Names of S3's documents, where they are not `{Operation}Result`; botocore does not care, other clients do."""

_loader = Loader()


@functools.cache
def load(service: str) -> ServiceModel:
    return ServiceModel(_loader.load_service_model(service, "service-2"), service)


class Member(NamedTuple):
    """A member that has a place of its own; `key` is its name there (of headers: in lower case)."""

    name: str
    shape: Shape
    location: str
    key: str


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation of a service, with what the wire asks of it again and again."""

    service: str
    name: str
    model: OperationModel

    @functools.cached_property
    def method(self) -> str:
        """As boto3 names it."""
        return str(xform_name(self.name))

    @functools.cached_property
    def input(self) -> Shape | None:
        return self.model.input_shape

    @property
    def shape(self) -> Shape:
        """The input of an operation that has one."""
        assert self.input is not None
        return self.input

    @functools.cached_property
    def output(self) -> Shape | None:
        return self.model.output_shape

    @functools.cached_property
    def located(self) -> tuple[Member, ...]:
        """The members of the input that are not in the body."""
        return tuple(_located(self.input)) if self.input else ()

    @functools.cached_property
    def payload(self) -> Member | None:
        """The member of the input that is the whole body."""
        return _payload(self.input)

    @functools.cached_property
    def is_checksummed(self) -> bool:
        """Whether a checksum in a header is one of the body: CompleteMultipartUpload's is the whole object's."""
        return "requestAlgorithmMember" in (self.model.http_checksum or {})

    @functools.cached_property
    def answer(self) -> Member | None:
        """The member of the output that is the whole body."""
        return _payload(self.output)

    @functools.cached_property
    def status_members(self) -> tuple[str, ...]:
        """The members of the output that are the HTTP status."""
        return (
            tuple(member.name for member in _located(self.output) if member.location == "statusCode")
            if self.output
            else ()
        )

    @functools.cached_property
    def has_document(self) -> bool:
        """Whether the answer has a body even when there is nothing to say in it."""
        if self.output is None or self.answer is not None:
            return False
        return any("location" not in member.serialization for member in self.output.members.values())

    @property
    def root(self) -> str:
        """The name of the XML document that answers."""
        return _S3_ROOTS.get(self.name, f"{self.name}Result")

    @functools.cached_property
    def mirrored(self) -> OperationModel:
        """The operation turned round: its input is our output, so that botocore's serializer writes our answer."""
        described = self.model.service_model._service_description["operations"][self.name]
        mirrored: dict[str, Any] = {"name": self.name, "http": {"method": "POST", "requestUri": "/"}}
        if "output" in described:
            root = {"locationName": self.root, "xmlNamespace": {"uri": S3_NAMESPACE}}
            mirrored["input"] = root | described["output"]
        return _named(OperationModel(mirrored, self.model.service_model, self.name))


@functools.cache
def operation(service: str, name: str) -> Operation | None:
    described = load(service)
    return Operation(service, name, described.operation_model(name)) if name in described.operation_names else None


@functools.cache
def operations(service: str) -> tuple[Operation, ...]:
    return tuple(found for name in load(service).operation_names if (found := operation(service, name)))


@functools.cache
def errors(service: str) -> dict[str, Shape]:
    """The errors that a client can catch, by shape name and by the code that is sent for it."""
    found: dict[str, Shape] = {}
    for shape in load(service).error_shapes:
        found[shape.name] = shape
        found.setdefault(shape.metadata.get("error", {}).get("code", shape.name), shape)
    return found


def _located(shape: Shape) -> Iterator[Member]:
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        if location is not None:
            key = member.serialization.get("name", name)
            yield Member(name, member, location, key.lower() if location.startswith("header") else key)


def _payload(shape: Shape | None) -> Member | None:
    name = shape.serialization.get("payload") if shape else None
    return Member(name, shape.members[name], "payload", name) if shape and name else None


def _named(mirrored: OperationModel) -> OperationModel:
    for member, shape in mirrored.input_shape.members.items() if mirrored.input_shape else ():
        shape.serialization.setdefault("name", member)
    return mirrored
