"""A folder of a host and the objects that mirror it."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from groundfog.engine.channels import Interrupted
from groundfog.engine.errors import Missing, Unfit
from groundfog.engine.mirrors.folder import MOST_FILES, Found, Mark, mark_of, walk
from groundfog.engine.objects import Object, Objects
from groundfog.engine.resources import Document

_BLOCK = 1 << 20
_LONGEST_KEY = 1024
_MOST_ROUNDS = 3
_MOST_AT_END = 1_000_000
"""Files. While the program runs, fewer are looked at."""
_PLACES = {
    "/opt/ml/checkpoints": "opt_ml/checkpoints",
    "/opt/ml/model": "opt_ml/model",
    "/opt/ml/code": "opt_ml/code",
    "/opt/ml/output": "opt_ml/output",
    "/opt/ml/processing": "opt_ml/processing",
    "/tmp": "tmp",  # noqa: S108  the program's own
}
"""Where a program may write, and where that lies in its host's directory."""


@dataclass(frozen=True, kw_only=True)
class Mirror:
    path: str
    """The folder as the program sees it, and `check` has seen."""
    bucket: str
    prefix: str
    """Of the keys: empty, or with a `/` at its end."""
    fetched: bool = False
    """What is there is put into the folder before the program starts."""
    grows: bool = False
    """Files are written at their ends and are of use before they are complete: send them as they are. Others are sent
    when they have not changed for a round."""
    at_end: bool = False
    """Nothing is sent before the program has ended, and then only if it did well."""

    @classmethod
    def read(cls, document: Document) -> "Mirror":
        return cls(**document)

    @property
    def folder(self) -> str:
        """In the host's directory."""
        return _place(self.path)


def check(path: str) -> None:
    """Raises Unfit for what can be no mirror's path."""
    _place(path)


def _place(path: str) -> str:
    normal = PurePosixPath(path)
    for seen, place in _PLACES.items():
        if path.startswith("/") and normal.is_relative_to(seen) and ".." not in normal.parts:
            below = normal.relative_to(seen).parts
            if below or place != "tmp":
                return "/".join((place, *below))
    raise Unfit(f"{path} is no folder that can be mirrored: it must lie in {', '.join(_PLACES)}")


class Mirroring:
    """Of one host. What was sent is written down beside the host, for the next server to go on from."""

    def __init__(self, objects: Objects, mirror: Mirror, directory: Path) -> None:
        self._objects, self._mirror, self._directory = objects, mirror, directory
        digest = hashlib.sha256(json.dumps([mirror.path, mirror.bucket, mirror.prefix]).encode()).hexdigest()[:8]
        self._notes = directory / f"mirror-{digest}.json"
        self._sent = self._read()
        self._seen: dict[str, tuple[Mark, int]] = {}
        """Of what waits to be sent: what it was like in the last round, and for how many rounds it waits."""
        self._unwritten = False

    @property
    def path(self) -> str:
        return self._mirror.path

    @property
    def at_end(self) -> bool:
        return self._mirror.at_end

    def fetch(self, interrupted: Callable[[], bool]) -> None:
        """Into a new host. Raises Interrupted, and Unfit with what the user can put right."""
        folder, bucket = self._directory / self._mirror.folder, self._mirror.bucket
        if not self._objects.has_bucket(bucket):
            raise Unfit(f"The bucket {bucket}, where {self.path} is to be kept, does not exist")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise Unfit(f"{self.path} is to be kept, and an input has put a file in its place") from None
        if self._mirror.fetched:
            for found in self._objects_there():
                if interrupted():
                    raise Interrupted
                self._fetch_one(found, folder)
            self._sent = {found.name: found.mark for found in walk(self._directory, self._mirror.folder)}
        self._write()

    def send(self, *, last: bool = False, interrupted: Callable[[], bool] = lambda: False) -> None:
        """What is new and complete; the last time, when the program has ended well, all that is new.

        Nothing is ever deleted there, as little as on AWS. Raises Missing where the bucket is gone, OSError, and Unfit
        for more in the end than can be kept.
        """
        if self._mirror.at_end and not last:
            return
        most = _MOST_AT_END if last else MOST_FILES
        try:
            for number, found in enumerate(walk(self._directory, self._mirror.folder, most), start=1):
                if interrupted():
                    return
                if number == _MOST_AT_END:
                    raise Unfit(f"{self.path} holds {most:,} files or more: pack them, or leave fewer")
                self._consider(found, last)
        finally:
            if self._unwritten:
                self._write()

    def _consider(self, found: Found, last: bool) -> None:
        if self._sent.get(found.name) == found.mark or len(self._key(found.name).encode()) > _LONGEST_KEY:
            return
        if self._is_complete(found) or last or self._mirror.grows:
            # What is no file any more, or may not be read, is left alone: the program may do with it what it likes.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                self._send_one(found, complete=not self._mirror.grows)

    def _is_complete(self, found: Found) -> bool:
        """As far as one can tell: it has not changed for a round, or was put in the place of another as a whole.

        One that never rests is sent all the same in the end.
        """
        before, rounds = self._seen.get(found.name, (self._sent.get(found.name), 0))
        self._seen[found.name] = found.mark, rounds + 1
        if before is None:
            return False
        return before == found.mark or before[0] != found.mark[0] or rounds >= _MOST_ROUNDS

    def _send_one(self, found: Found, *, complete: bool) -> None:
        with found.opened() as file, self._objects.draft() as draft:
            status = os.fstat(file)
            left = status.st_size
            while left and (block := os.read(file, min(_BLOCK, left))):
                draft.write(block)
                left -= len(block)
            if complete and mark_of(os.fstat(file)) != mark_of(status):
                return
            self._objects.keep(draft, self._mirror.bucket, self._key(found.name))
            self._sent[found.name], self._unwritten = mark_of(status), True
            self._seen.pop(found.name, None)

    def _fetch_one(self, found: Object, folder: Path) -> None:
        relative = found.key.removeprefix(self._mirror.prefix)
        where = f"{found.key!r} in the bucket {found.bucket}"
        if "\0" in relative or any(part in ("", ".", "..") for part in relative.split("/")):
            raise Unfit(f"{where} cannot be a path below {self._mirror.path}")
        target = folder / relative
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._objects.fetch(found, target, link=False)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise Unfit(f"{where} would be a file where another key needs a folder") from None
        except Missing:
            pass  # It was deleted meanwhile.

    def _objects_there(self) -> Iterator[Object]:
        mirror, after = self._mirror, ""
        while page := self._objects.page(mirror.bucket, mirror.prefix, after):
            yield from (found for found in page if not found.key.endswith("/"))
            after = page[-1].key

    def _key(self, name: str) -> str:
        return self._mirror.prefix + name

    def _read(self) -> dict[str, Mark]:
        try:
            noted: dict[str, Any] = json.loads(self._notes.read_text())
        except FileNotFoundError:
            return {}
        return {name: (mark[0], mark[1], mark[2]) for name, mark in noted.items()}

    def _write(self) -> None:
        new = self._notes.with_suffix(".new")
        new.write_text(json.dumps(self._sent))
        new.replace(self._notes)
        self._unwritten = False
