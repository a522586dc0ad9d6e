"""Which bytes of an object are meant: `Range`, `PartNumber`, `x-amz-copy-source-range`."""

import re
from dataclasses import dataclass

from groundfog.engine.objects import Object
from groundfog.services.s3.refusals import InvalidArgument, InvalidRange, InvalidRequest
from groundfog.wire.caller import Parameters
from groundfog.wire.refusal import Refusal

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True)
class Extent:
    """`length` bytes from `offset`; `partial` if the answer is to be a 206."""

    offset: int
    length: int
    size: int
    partial: bool

    @classmethod
    def of(cls, found: Object, request: Parameters) -> "Extent":
        """Raises InvalidRange. A range that is no range at all, or several, is ignored, as S3 does."""
        if "PartNumber" in request:
            if "Range" in request:
                raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
            return cls._of_part(found, request["PartNumber"])
        wanted = request.get("Range", "")
        matched = _RANGE.fullmatch(wanted.strip())
        if matched is None or not _is_range(matched[1], matched[2]):
            return cls(0, found.size, found.size, False)
        first, last = _bounds(matched[1], matched[2], found.size)
        if first >= found.size:
            raise InvalidRange(wanted, found.size)
        return cls(first, last - first + 1, found.size, True)

    @classmethod
    def of_copy(cls, source: Object, wanted: str | None) -> "Extent":
        """Of UploadPartCopy, which takes `bytes=first-last` and nothing else."""
        if wanted is None:
            return cls(0, source.size, source.size, False)
        matched = _RANGE.fullmatch(wanted)
        if matched is None or not matched[1] or not matched[2] or int(matched[1]) > int(matched[2]):
            raise InvalidArgument(
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
                "zero-based offsets of the first and last bytes to copy",
                "x-amz-copy-source-range",
                wanted,
            )
        first, last = int(matched[1]), int(matched[2])
        if last >= source.size:
            raise InvalidArgument(
                f"Range specified is not valid for source object of size: {source.size}",
                "x-amz-copy-source-range",
                wanted,
            )
        return cls(first, last - first + 1, source.size, True)

    @classmethod
    def _of_part(cls, found: Object, number: int) -> "Extent":
        parts = found.parts or (found.size,)
        if not 1 <= number <= len(parts):
            raise Refusal(
                "InvalidPartNumber",
                "The requested partnumber is not satisfiable",
                416,
                PartNumberRequested=number,
                ActualPartCount=len(parts),
            )
        return cls(sum(parts[: number - 1]), parts[number - 1], found.size, found.size > 0)

    @property
    def content_range(self) -> str:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{self.size}"


def _is_range(first: str, last: str) -> bool:
    return bool(first or last) and not (first and last and int(first) > int(last))


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """`-n` is the last n bytes."""
    if not first:
        return (max(size - int(last), 0) if int(last) else size), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1
