"""Channels: from objects to a job's input folder.

The part of a key that follows the channel's prefix becomes the path. Keys are not paths, though: what would leave the
folder, or be a file and a folder at once, is refused. This is File mode; Pipe mode's FIFOs would be made here too.
"""

import gzip
import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from groundfog.engine.archive import clear
from groundfog.engine.errors import Missing, Unfit
from groundfog.engine.objects import Object, Objects

MOST_BYTES = 1 << 40
"""Of one object that is unpacked."""


class Interrupted(Exception):
    """Whoever wanted the channel does not want it any more."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """Which objects. `if_empty` is what to say if there are none."""

    name: str
    bucket: str
    prefix: str
    is_manifest: bool = False
    is_gzipped: bool = False
    if_empty: str


@dataclass
class _Paths:
    """What is in the folder already."""

    files: set[Path] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)

    def take(self, relative: str, key: str) -> Path:
        """Raises Unfit if the key is no place for a file."""
        parts = relative.split("/")
        if "\0" in relative or any(part in ("", ".", "..") for part in parts):
            raise Unfit(f"the key {key!r} cannot be a path below the channel's folder")
        if any(len(part.encode("utf-8", "replace")) > 255 for part in parts):
            raise Unfit(f"the key {key!r} has a part of more than 255 bytes, which no file's name may have")
        path = Path(relative)
        if path in self.files or path in self.folders or not self.files.isdisjoint(path.parents):
            raise Unfit(f"the key {key!r} would be a file where another key needs a folder, or the same file twice")
        self.files.add(path)
        self.folders.update(path.parents)
        return path


def fill(
    objects: Objects, channel: Channel, folder: Path, *, link: bool, interrupted: Callable[[], bool] = lambda: False
) -> None:
    """Into a folder that is empty then, whatever an earlier try left. Raises Unfit with what the user can put right.

    With `link`, files are the objects' own: for programs that cannot write to them.
    """
    folder.mkdir(exist_ok=True)
    clear(folder)
    paths = _Paths()
    try:
        for found, relative in chosen(objects, channel):
            if interrupted():
                raise Interrupted
            target = folder / paths.take(relative.removesuffix(".gz") if channel.is_gzipped else relative, found.key)
            target.parent.mkdir(parents=True, exist_ok=True)
            if channel.is_gzipped:
                _unpack(objects, found, target)
            else:
                objects.fetch(found, target, link=link)
    except Missing:
        # The bucket is not there, or an object went while it was fetched.
        raise Unfit(channel.if_empty) from None
    if not paths.files:
        raise Unfit(channel.if_empty)


def chosen(objects: Objects, channel: Channel, after: str = "") -> Iterator[tuple[Object, str]]:
    """Objects and their paths, from the one after the key `after`. Raises Unfit, Missing."""
    if channel.is_manifest:
        yield from _named_by_manifest(objects, channel, after)
        return
    while page := objects.page(channel.bucket, channel.prefix, after):
        for found in page:
            if not (found.key.endswith("/") and found.size == 0):
                yield found, _below(channel.prefix, found.key)
        after = page[-1].key


def _below(prefix: str, key: str) -> str:
    """What of the key is the path: `train` means the folder `train/`, the object `train`, or all that begins so."""
    if prefix and key != prefix and (prefix.endswith("/") or key.startswith(f"{prefix}/")):
        return key[len(prefix) :] if prefix.endswith("/") else key[len(prefix) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def _named_by_manifest(objects: Objects, channel: Channel, after: str) -> Iterator[tuple[Object, str]]:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html"""
    uri = f"s3://{channel.bucket}/{channel.prefix}"
    try:
        manifest = json.loads(objects.read(channel.bucket, channel.prefix))
        start = manifest[0]["prefix"]
        names = manifest[1:]
        if not isinstance(start, str) or not all(isinstance(name, str) for name in names):
            raise TypeError
    except Missing:
        raise Unfit(channel.if_empty) from None
    except (ValueError, TypeError, KeyError, IndexError):
        raise Unfit(f'{uri} is no manifest: a JSON list of {{"prefix": "s3://..."}} and the names below it') from None
    bucket, _, prefix = start.removeprefix("s3://").partition("/")
    begun = [number for number, name in enumerate(names, start=1) if prefix + name == after]
    for name in names[begun[-1] if begun else 0 :]:
        try:
            yield objects.find(bucket, prefix + name), name
        except Missing:
            raise Unfit(f"{start}{name}, which the manifest {uri} names, is not there") from None


def _unpack(objects: Objects, found: Object, target: Path) -> None:
    _, packed = objects.open(found.bucket, found.key)
    try:
        with packed, gzip.open(packed) as unpacked, target.open("xb") as file:
            shutil.copyfileobj(_Limited(unpacked, found.key), file, 1 << 20)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Unfit(f"{found.key!r} is not gzipped as CompressionType says ({error})") from None


class _Limited:
    def __init__(self, file: gzip.GzipFile, key: str) -> None:
        self._file, self._key, self._room = file, key, MOST_BYTES

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._room -= len(data)
        if self._room < 0:
            raise Unfit(f"{self._key!r} is too large when unpacked")
        return data
