"""What models, endpoint configurations, endpoints and jobs have in common: names, ARNs, tags, lists, refusals."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from groundfog.engine import Engine
from groundfog.engine.errors import Busy, Missing, Taken, Unfit
from groundfog.engine.resources import Document, Resource, SortBy, Wanted
from groundfog.wire.caller import Caller, Parameters
from groundfog.wire.refusal import Refusal

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_SORT: dict[str, SortBy] = {"Name": "name", "CreationTime": "created", "Status": "status"}
_ENDED = ("Completed", "Failed", "Stopped")
_PAGE = 10
"""AWS's page where the caller names no size."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    kind: str
    """As the engine and ARNs call it: `endpoint-config`."""
    noun: str
    """As AWS's messages call it: `endpoint configuration`."""
    member: str
    """Its name in requests: `EndpointConfigName`."""
    lowers: bool = True
    """Whether ARNs have the name in lower case; jobs' have it as it was given."""

    def arn(self, caller: Caller, name: str) -> str:
        return caller.arn("sagemaker", f"{self.kind}/{name.lower() if self.lowers else name}")

    def name(self, request: Parameters) -> str:
        """Of the one that is to be made."""
        name: str = request[self.member]
        if not _NAME.fullmatch(name):
            at = self.member[0].lower() + self.member[1:]
            raise Refusal(
                "ValidationException",
                f"1 validation error detected: Value '{name}' at '{at}' failed to satisfy constraint: "
                f"Member must satisfy regular expression pattern: ^{_NAME.pattern}",
            )
        return name

    def add(self, engine: Engine, caller: Caller, request: Parameters, document: Document) -> Resource:
        name = self.name(request)
        try:
            return engine.resources.add(self.kind, name, document, tags=self.tags(request))
        except Taken:
            raise self.taken(caller, name) from None

    def asked(self, engine: Engine, caller: Caller, request: Parameters) -> Resource:
        """The one that the request names."""
        return self.find(engine, caller, request[self.member])

    def find(self, engine: Engine, caller: Caller, name: str) -> Resource:
        try:
            return engine.resources.find(self.kind, name)
        except Missing:
            raise self.missing(caller, name) from None

    def delete(self, engine: Engine, caller: Caller, name: str) -> None:
        try:
            engine.resources.delete(self.kind, name)
        except Missing:
            raise self.missing(caller, name) from None

    @staticmethod
    def tags(request: Parameters) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}

    def page(self, engine: Engine, request: Parameters) -> tuple[list[Resource], dict[str, str]]:
        """The resources, and the token's member of the answer."""
        wanted = Wanted(
            name_contains=request.get("NameContains"),
            status=request.get("StatusEquals"),
            created_after=_seconds(request.get("CreationTimeAfter")),
            created_before=_seconds(request.get("CreationTimeBefore")),
            modified_after=_seconds(request.get("LastModifiedTimeAfter")),
            modified_before=_seconds(request.get("LastModifiedTimeBefore")),
            sort_by=_SORT[request.get("SortBy", "CreationTime")],
            descending=request.get("SortOrder", "Descending") == "Descending",
            limit=request.get("MaxResults", _PAGE),
            after=request.get("NextToken"),
        )
        try:
            found, token = engine.resources.page(self.kind, wanted)
        except Unfit as unfit:
            raise Refusal("ValidationException", str(unfit)) from None
        return found, {} if token is None else {"NextToken": token}

    def missing(self, caller: Caller, name: str) -> Refusal:
        return Refusal("ValidationException", f'Could not find {self.noun} "{self.arn(caller, name)}".')

    def taken(self, caller: Caller, name: str) -> Refusal:
        return Refusal("ValidationException", f'Cannot create already existing {self.noun} "{self.arn(caller, name)}".')


@dataclass(frozen=True, kw_only=True)
class JobKind(Kind):
    lowers: bool = False

    def stop(self, job: Resource, stop: Callable[[str], None]) -> None:
        """`stop` raises Busy for one that ends or has ended."""
        try:
            stop(job.name)
        except Busy as busy:
            raise Invalid(f"The request was rejected because the {self.noun} is in status {busy}.") from None

    def delete_ended(self, engine: Engine, caller: Caller, job: Resource) -> None:
        """What it wrote to S3 and to the logs stays."""
        if job.status not in _ENDED:
            raise Refusal("ResourceInUse", f"The {self.noun} {self.arn(caller, job.name)} is in status {job.status}.")
        engine.resources.delete(self.kind, job.name)

    def missing(self, caller: Caller, name: str) -> Refusal:
        return Invalid("Requested resource not found.")

    def taken(self, caller: Caller, name: str) -> Refusal:
        return Refusal(
            "ResourceInUse",
            f"{self.noun.capitalize()} names must be unique within an AWS account and region, and a {self.noun} with "
            f"this name already exists ({self.arn(caller, name)})",
        )


MODEL = Kind(kind="model", noun="model", member="ModelName")
ENDPOINT_CONFIG = Kind(kind="endpoint-config", noun="endpoint configuration", member="EndpointConfigName")
ENDPOINT = Kind(kind="endpoint", noun="endpoint", member="EndpointName")
TRAINING_JOB = JobKind(kind="training-job", noun="training job", member="TrainingJobName")
PROCESSING_JOB = JobKind(kind="processing-job", noun="processing job", member="ProcessingJobName")
TRANSFORM_JOB = JobKind(kind="transform-job", noun="transform job", member="TransformJobName")


class Invalid(Refusal):
    """What AWS's models allow and AWS does not."""

    def __init__(self, text: str) -> None:
        super().__init__("ValidationException", text)


class Unwritten(Refusal):
    """What would change what happens, and nothing here heeds, is not passed over in silence."""

    def __init__(self, what: str) -> None:
        super().__init__("NotImplemented", f"{what} is not implemented.", 501)

    @staticmethod
    def refuse(request: Parameters, members: Collection[str], where: str) -> None:
        for member in members:
            if request.get(member):
                raise Unwritten(f"{member} of {where}")


def _seconds(moment: Any) -> float | None:
    return moment.timestamp() if isinstance(moment, datetime) else moment
