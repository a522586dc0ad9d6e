"""Pipe mode, one epoch of one channel: what is to be sent, piece after piece, and how it gets into the pipe."""

import contextlib
import errno
import fcntl
import io
import json
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from groundfog.engine.channels.channel import Channel, Share
from groundfog.engine.channels.choosing import below, manifest
from groundfog.engine.channels.dealing import dealt, shuffled
from groundfog.engine.channels.source import Item, Source
from groundfog.engine.channels.unpacking import unpacked
from groundfog.engine.errors import Missing, Unfit
from groundfog.opt_ml.records import LONGEST_PART, Bytes, framed

_PIPE = 1 << 20
"""Bytes that a pipe holds, where the machine allows it. By default it is 64 KiB, and each costs a switch of process."""
_AHEAD = 8 << 20
"""Bytes of an object that are asked of the disk before they are wanted."""
_SMALL = 64 << 10
"""What is copied together with its neighbours, since a call for each would take longer."""
_REFERENCE = "-ref"
"""So end the attributes of an augmented manifest that name an object, instead of being what is sent."""


@dataclass(frozen=True, slots=True)
class Reference:
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    text: bytes


Piece = Reference | bytes


def pour(source: Source[Item], channel: Channel, share: Share, epoch: int, pipe: int) -> None:
    """Raises Unfit with what the user can put right, and BrokenPipeError when the reader has had enough."""
    outlet = Outlet(pipe)
    for piece in pieces(source, channel, share, epoch):
        if isinstance(piece, bytes):
            outlet.write(*(framed(piece) if channel.is_wrapped else (piece,)))
        else:
            _send(outlet, source, channel, piece)
    outlet.flush()


def pieces(source: Source[Item], channel: Channel, share: Share, epoch: int) -> Iterator[Piece]:
    """What one host is sent in one epoch, in its order. Raises Unfit."""
    found = _found(source, channel)
    if channel.seed is not None:
        found = iter(shuffled(list(found), channel.seed, epoch))
    for one in dealt(found, share.of(channel)) if channel.is_sharded else found:
        if isinstance(one, Line):
            yield from _attributes(one, channel)
        else:
            yield one


def _found(source: Source[Item], channel: Channel) -> Iterator[Reference | Line]:
    """What is shuffled and dealt."""
    if channel.attributes:
        yield from _lines(source, channel)
    elif channel.is_manifest:
        bucket, prefix, names = manifest(source, channel)
        yield from (Reference(bucket, prefix + name) for name in names)
    else:
        yield from (Reference(item.bucket, item.key) for item in below(source, channel))


def _lines(source: Source[Item], channel: Channel) -> Iterator[Line]:
    raw = cast(io.RawIOBase, _opened(source, channel, Reference(channel.bucket, channel.prefix)))
    with io.BufferedReader(raw, 1 << 20) as file:
        for number, text in enumerate(file, start=1):
            if text.strip():
                yield Line(number, text)


def _attributes(line: Line, channel: Channel) -> Iterator[Piece]:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/augmented-manifest-stream.html"""
    place = f"line {line.number} of the augmented manifest {channel.uri}"
    try:
        document = json.loads(line.text)
    except ValueError:
        raise Unfit(f"{place} is no JSON") from None
    for name in channel.attributes:
        if not isinstance(document, dict) or name not in document:
            raise Unfit(f"{place} has no attribute {name!r}, which AttributeNames wants")
        value = document[name]
        yield _reference(value, f"{name!r} in {place}") if name.endswith(_REFERENCE) else _text(value)


def _reference(value: Any, place: str) -> Reference:
    scheme, _, rest = value.partition("://") if isinstance(value, str) else ("", "", "")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise Unfit(f"{place} is not s3://bucket/key, but {value!r}")
    return Reference(bucket, key)


def _text(value: Any) -> bytes:
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def _send(outlet: "Outlet", source: Source[Item], channel: Channel, piece: Reference) -> None:
    with _opened(source, channel, piece) as file:
        if channel.is_wrapped:
            try:
                outlet.write(*framed(_payload(file, channel, piece)))
            except ValueError as error:
                raise Unfit(f"{piece}, wrapped by RecordWrapperType: {error}") from None
        elif channel.is_gzipped:
            for block in unpacked(file, str(piece)):
                outlet.write(block)
        else:
            outlet.send(file)


def _payload(file: BinaryIO, channel: Channel, piece: Reference) -> bytes | mmap.mmap:
    """The whole object, which for a record cannot be helped; on disk it is the kernel's memory."""
    if channel.is_gzipped:
        return b"".join(unpacked(file, str(piece), most=LONGEST_PART))
    with contextlib.suppress(OSError):
        if os.fstat(file.fileno()).st_size > _SMALL:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return file.read()


def _opened(source: Source[Item], channel: Channel, piece: Reference) -> BinaryIO:
    try:
        return source.open(piece.bucket, piece.key)[1]
    except Missing:
        raise Unfit(f"{piece}, which belongs to channel {channel.name!r}, is not there") from None


class Outlet:
    """A pipe. Small pieces wait for their neighbours until `flush`."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._waiting = pipe, bytearray()
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)

    def write(self, *blocks: Bytes) -> None:
        for block in blocks:
            if len(block) <= _SMALL:
                self._waiting += block
            else:
                self.flush()
                self._write(memoryview(block))
        if len(self._waiting) > _PIPE:
            self.flush()

    def send(self, file: BinaryIO) -> None:
        """A whole file; one on disk moves from the page cache into the pipe without being seen by us."""
        size = _size_on_disk(file)
        if size is None or size <= _SMALL:
            while block := file.read(_PIPE):
                self.write(block)
            return
        self.flush()
        disk, at = file.fileno(), 0
        while at < size:
            # While the reader takes what it has, the disk brings what follows.
            os.posix_fadvise(disk, at, _AHEAD, os.POSIX_FADV_WILLNEED)
            moved = os.splice(disk, self._pipe, size - at)
            if moved == 0:
                raise OSError(errno.EIO, "an object became shorter while it was sent")
            at += moved

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, bytearray()
        self._write(memoryview(waiting))

    def _write(self, block: memoryview) -> None:
        while block:
            block = block[os.write(self._pipe, block) :]


def _size_on_disk(file: BinaryIO) -> int | None:
    try:
        return os.fstat(file.fileno()).st_size
    except OSError:
        return None
