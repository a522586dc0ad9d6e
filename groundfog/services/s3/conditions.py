"""If-Match and its kin: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html"""

import math
from dataclasses import dataclass
from datetime import datetime

from groundfog.engine.objects import Object
from groundfog.services.s3.refusals import NoSuchKey, NotImplementedHeader, NotModified, PreconditionFailed
from groundfog.wire.caller import Parameters


@dataclass(frozen=True)
class ReadConditions:
    """A condition on the ETag outweighs its twin on the time. Raises what AWS answers if one does not hold."""

    match: str | None
    none_match: str | None
    unmodified_since: datetime | None
    modified_since: datetime | None

    @classmethod
    def of(cls, request: Parameters, prefix: str = "") -> "ReadConditions":
        names = ("IfMatch", "IfNoneMatch", "IfUnmodifiedSince", "IfModifiedSince")
        return cls(*(request.get(prefix + name) for name in names))

    def check(self, found: Object) -> None:
        self._check_match(found)
        if self._is_unchanged(found):
            raise NotModified(found.etag)

    def check_copy(self, found: Object) -> None:
        """Copying has no 304: everything is a failed condition."""
        self._check_match(found)
        if self._is_unchanged(found):
            raise PreconditionFailed(
                "x-amz-copy-source-If-None-Match" if self.none_match else "x-amz-copy-source-If-Modified-Since"
            )

    def _check_match(self, found: Object) -> None:
        if self.match is not None:
            if not _matches(self.match, found):
                raise PreconditionFailed("If-Match")
        elif self.unmodified_since is not None and _seconds(found) > _floor(self.unmodified_since):
            raise PreconditionFailed("If-Unmodified-Since")

    def _is_unchanged(self, found: Object) -> bool:
        if self.none_match is not None:
            return _matches(self.none_match, found)
        return self.modified_since is not None and _seconds(found) <= _floor(self.modified_since)


@dataclass(frozen=True)
class WriteConditions:
    """The engine's guard: looks at what a write would replace."""

    key: str
    match: str | None
    none_match: str | None

    @classmethod
    def of(cls, request: Parameters) -> "WriteConditions":
        if request.get("IfNoneMatch", "*") != "*":
            raise NotImplementedHeader("If-None-Match")
        return cls(request["Key"], request.get("IfMatch"), request.get("IfNoneMatch"))

    def __call__(self, there: Object | None) -> None:
        if self.none_match is not None and there is not None:
            raise PreconditionFailed("If-None-Match")
        if self.match is not None:
            if there is None:
                raise NoSuchKey(self.key)
            if not _matches(self.match, there):
                raise PreconditionFailed("If-Match")


@dataclass(frozen=True)
class DeleteConditions:
    """The engine's guard again. What is not there is deleted already, whatever the conditions."""

    etag: str | None
    modified: datetime | None
    size: int | None

    def __call__(self, there: Object | None) -> None:
        if there is None:
            return
        if self.etag is not None and not _matches(self.etag, there):
            raise PreconditionFailed("If-Match")
        if self.modified is not None and _seconds(there) != _floor(self.modified):
            raise PreconditionFailed("x-amz-if-match-last-modified-time")
        if self.size is not None and there.size != self.size:
            raise PreconditionFailed("x-amz-if-match-size")


def _matches(wanted: str, found: Object) -> bool:
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in wanted.split(",")}
    return "*" in tags or found.etag in tags


def _seconds(found: Object) -> int:
    """HTTP's times have no fractions."""
    return math.floor(found.modified)


def _floor(moment: datetime) -> int:
    return math.floor(moment.timestamp())
