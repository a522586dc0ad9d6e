"""Data dealt out to channels of equal size, by S3 alone: whole objects, or the records in them."""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from groundfog.opt_ml.records import Bytes, RecordError, framed, recordio, text_lines, tfrecord, tfrecords

_PART = 8 << 20
"""Bytes that are sent at once; S3 takes no less than 5 MiB."""


class Unshardable(Exception):
    """The text says why, and what to do."""


@dataclass(frozen=True)
class Place:
    """What begins so, in a bucket."""

    bucket: str
    prefix: str

    @classmethod
    def read(cls, uri: str) -> "Place":
        scheme, _, rest = uri.partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise Unshardable(f"{uri} is no s3://bucket/prefix")
        return cls(bucket, prefix)

    def below(self, name: str) -> "Place":
        """The folder of this name in it."""
        start = self.prefix if not self.prefix or self.prefix.endswith("/") else f"{self.prefix}/"
        return Place(self.bucket, f"{start}{name}/")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass
class Shard:
    """What has come to one channel."""

    name: str
    place: Place
    objects: int = 0
    records: int = 0
    size: int = 0


@dataclass(frozen=True)
class Format:
    suffix: str
    read: Callable[[BinaryIO], Iterator[bytes]]
    write: Callable[[bytes], Iterable[Bytes]]


def format_of(name: str) -> Format:
    if name == "tfrecord":
        import anycrc

        crc = anycrc.Model("CRC32C").calc
        return Format("tfrecord", lambda file: tfrecords(file, crc), lambda payload: (tfrecord(payload, crc),))
    if name == "recordio":
        return Format("rec", recordio, framed)
    return Format("txt", text_lines, lambda line: (line, b"\n"))


def listed(s3: Any, place: Place) -> list[tuple[str, int]]:
    """Keys and sizes, in the order of the keys. Raises Unshardable where there is no such bucket."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix)
    try:
        found = [(entry["Key"], entry["Size"]) for page in pages for entry in page.get("Contents", ())]
    except s3.exceptions.NoSuchBucket:
        raise Unshardable(f"there is no bucket {place.bucket}") from None
    return [(key, size) for key, size in found if not (key.endswith("/") and size == 0)]


def balanced(sizes: Sequence[int], shards: int) -> list[int]:
    """For each thing, to which shard it goes: the largest first, each to the shard that has least."""
    loads, given = [(0, 0, shard) for shard in range(shards)], [0] * len(sizes)
    for thing in sorted(range(len(sizes)), key=lambda thing: -sizes[thing]):
        load, count, shard = min(loads)
        given[thing] = shard
        loads[shard] = (load + sizes[thing], count + 1, shard)
    return given


def deal_objects(s3: Any, source: Place, shards: Sequence[Shard]) -> None:
    """Copied inside S3; none of the bytes comes here. Raises Unshardable."""
    found = listed(s3, source)
    if not found:
        raise Unshardable(f"{source} holds nothing: no key begins so")
    if len(found) < len(shards):
        raise Unshardable(
            f"{source} holds {len(found)} objects, and {len(shards)} shards want at least one each: say what records "
            "they hold (--records), and these are dealt out instead"
        )
    start = source.prefix.rfind("/") + 1
    for (key, size), number in zip(found, balanced([size for _, size in found], len(shards)), strict=True):
        shard = shards[number]
        target = shard.place.prefix + key[start:]
        s3.copy_object(Bucket=shard.place.bucket, Key=target, CopySource={"Bucket": source.bucket, "Key": key})
        shard.objects, shard.size = shard.objects + 1, shard.size + size


def deal_records(s3: Any, source: Place, shards: Sequence[Shard], form: Format, hosts: int) -> None:
    """As cards are, over as many objects in each shard as there are hosts. Raises Unshardable, RecordError."""
    targets = [
        (shard, Upload(s3, shard.place.bucket, f"{shard.place.prefix}part-{host:05}.{form.suffix}"))
        for host in range(hosts)
        for shard in shards
    ]
    try:
        for (shard, upload), payload in zip(itertools.cycle(targets), _payloads(s3, source, form), strict=False):
            shard.records += 1
            shard.size += upload.write(form.write(payload))
        if any(upload.is_empty for _, upload in targets):
            raise Unshardable(f"{source} holds fewer records than {len(targets)} shards want")
        for shard, upload in targets:
            upload.finish()
            shard.objects += 1
    except BaseException:
        for _, upload in targets:
            upload.abort()
        raise


def _payloads(s3: Any, source: Place, form: Format) -> Iterator[bytes]:
    for key, _ in listed(s3, source):
        body = s3.get_object(Bucket=source.bucket, Key=key)["Body"]
        with io.BufferedReader(cast(io.RawIOBase, body), 1 << 20) as file:
            try:
                yield from form.read(file)
            except RecordError as error:
                raise Unshardable(f"s3://{source.bucket}/{key}: {error}") from None


class Upload:
    """An object that is written from its beginning to its end, however long it gets."""

    def __init__(self, s3: Any, bucket: str, key: str) -> None:
        self._s3, self._to = s3, {"Bucket": bucket, "Key": key}
        self._waiting, self._parts, self._id = bytearray(), list[dict[str, Any]](), ""
        self.is_empty = True

    def write(self, pieces: Iterable[Bytes]) -> int:
        """How many bytes it was."""
        before = len(self._waiting)
        for piece in pieces:
            self._waiting += piece
        written = len(self._waiting) - before
        self.is_empty = False
        if len(self._waiting) >= _PART:
            self._send()
        return written

    def finish(self) -> None:
        if not self._id:
            self._s3.put_object(Body=bytes(self._waiting), **self._to)
            return
        if self._waiting:
            self._send()
        self._s3.complete_multipart_upload(UploadId=self._id, MultipartUpload={"Parts": self._parts}, **self._to)

    def abort(self) -> None:
        """What is finished already stays."""
        if self._id:
            with contextlib.suppress(self._s3.exceptions.NoSuchUpload):
                self._s3.abort_multipart_upload(UploadId=self._id, **self._to)

    def _send(self) -> None:
        self._id = self._id or self._s3.create_multipart_upload(**self._to)["UploadId"]
        number = len(self._parts) + 1
        sent = self._s3.upload_part(Body=bytes(self._waiting), UploadId=self._id, PartNumber=number, **self._to)
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._waiting.clear()
