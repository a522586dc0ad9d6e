"""What goes from one machine to another: a host's folders in a tar, a piece at a time."""

import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from groundfog.engine.archive import clear, contents, unpack

PIECE = 8 << 20


def wrap(root: Path, folders: Iterable[Path], parcel: Path) -> None:
    """What programs have left is packed with suspicion: see `archive.contents`."""
    with tarfile.open(parcel, "w", dereference=True) as tar:
        for folder in folders:
            top = folder.relative_to(root).as_posix()
            if folder.is_symlink() or not folder.is_dir():
                continue
            tar.add(folder, top, recursive=False)
            for path, name in contents(folder):
                tar.add(path, f"{top}/{name}", recursive=False)


def unwrap(parcel: Path, root: Path, folders: Iterable[Path]) -> None:
    """These folders are then as they were where they were packed. Raises Unfit for what is no parcel."""
    for folder in folders:
        folder.mkdir(exist_ok=True)
        clear(folder)
    unpack(parcel, root)


def changed(folder: Path) -> str:
    """Another text whenever something in the folder is another."""
    with tempfile.SpooledTemporaryFile() as seen:
        for path, name in contents(folder):
            about = path.stat()
            seen.write(f"{name} {about.st_size} {about.st_mtime_ns}\n".encode())
        seen.seek(0)
        return _digest(seen)


@contextmanager
def pieces(parcel: Path) -> Iterator[Iterator[bytes]]:
    with parcel.open("rb") as file:
        yield iter(lambda: file.read(PIECE), b"")


def put(parcel: Path, offset: int, piece: bytes) -> None:
    """At 0 a new parcel begins."""
    with os.fdopen(os.open(parcel, os.O_WRONLY | os.O_CREAT, 0o600), "r+b") as file:
        file.truncate(offset)
        file.seek(offset)
        file.write(piece)


def take(parcel: Path, offset: int) -> bytes:
    with parcel.open("rb") as file:
        file.seek(offset)
        return file.read(PIECE)


def _digest(file: IO[bytes]) -> str:
    import hashlib

    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
