"""What a program at work has written into some of its folders, from its node to the mirror: only what is new.

The program may change anything at any moment, so files are found and opened as `mirrors/folder.py` does it. What did
not change stays the same file in the mirror, and what did is put in its place as a whole: others read there.
"""

import contextlib
import hashlib
import os
import shutil
import tarfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from groundfog.engine.archive import unpack
from groundfog.engine.mirrors.folder import Found, Mark, walk

Marks = Mapping[str, Mark]
"""By name, from the host's directory on."""


def outermost(folders: Iterable[str]) -> list[str]:
    """Those that do not lie in another of them."""
    kept: list[str] = []
    for folder in sorted(set(folders)):
        if not any(PurePosixPath(folder).is_relative_to(other) for other in kept):
            kept.append(folder)
    return kept


def kept(program: Mapping[str, Any]) -> list[str]:
    """Of an order."""
    return outermost(["opt_ml/checkpoints", *program.get("mirrored", ())])


def marks(directory: Path, folders: Sequence[str]) -> Marks:
    return {f"{folder}/{found.name}": found.mark for folder in folders for found in walk(directory, folder)}


def digest(directory: Path, folders: Sequence[str]) -> str:
    """Another text whenever something in the folders is another."""
    return hashlib.sha256(repr(sorted(marks(directory, folders).items())).encode()).hexdigest()


def wrap(directory: Path, folders: Sequence[str], known: Marks, parcel: Path) -> Marks:
    """Pack what is not as it was known, and tell what there is. Files that the disk could not hold are passed over."""
    found, room = dict[str, Mark](), shutil.disk_usage(directory).free
    with tarfile.open(parcel, "w") as tar:
        for folder in folders:
            for file in walk(directory, folder):
                name, (_, size, _) = f"{folder}/{file.name}", file.mark
                if known.get(name) != file.mark:
                    if size > room:
                        continue
                    room -= size
                    _add(tar, file, name)
                found[name] = file.mark
    return found


def merge(parcel: Path, directory: Path, folders: Sequence[str], names: Collection[str]) -> None:
    """Let the folders hold what is in the parcel, and of what they hold already no other names than these. Raises Unfit
    for what is no parcel."""
    incoming = directory / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    unpack(parcel, incoming)
    for folder in folders:
        for found in list(walk(directory, folder)):
            if f"{folder}/{found.name}" not in names:
                (directory / folder / found.name).unlink()
        for found in walk(incoming, folder):
            target = directory / folder / found.name
            _make_room(target, directory)
            (incoming / folder / found.name).replace(target)
    shutil.rmtree(incoming)


def _add(tar: tarfile.TarFile, found: Found, name: str) -> None:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(found.opened())
        except OSError:
            return  # It is no file any more.
        member, status = tarfile.TarInfo(name), os.fstat(file)
        member.size, member.mode = status.st_size, status.st_mode & 0o777
        tar.addfile(member, cast(IO[bytes], _AsLong(file)))


class _AsLong:
    """A file to read, as long as it was, even if it is cut short meanwhile."""

    def __init__(self, file: int) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return os.read(self._file, size).ljust(size, b"\0")


def _make_room(target: Path, directory: Path) -> None:
    """What was a file may be a folder now, and the other way round."""
    if target.is_dir():
        shutil.rmtree(target)
    for parent in reversed(target.relative_to(directory).parents):
        if (directory / parent).is_file():
            (directory / parent).unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
