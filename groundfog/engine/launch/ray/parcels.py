"""What goes from one machine to another: a host's folders in a tar, a piece at a time."""

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from groundfog.engine.archive import clear, contents, unpack
from groundfog.engine.errors import Unfit
from groundfog.engine.sandbox import within

PIECE = 8 << 20


def wrap(directory: Path, folders: Iterable[str], parcel: Path) -> None:
    """What programs have left is packed with suspicion: see `archive.contents`. Not while they run."""
    with tarfile.open(parcel, "w", dereference=True) as tar:
        for folder in filter(lambda one: _is_there(directory, one), folders):
            tar.add(directory / folder, folder, recursive=False)
            for path, name in contents(directory / folder):
                tar.add(path, f"{folder}/{name}", recursive=False)


def _is_there(directory: Path, folder: str) -> bool:
    try:
        return within(directory, directory / folder).is_dir()
    except Unfit:
        return False


def unwrap(parcel: Path, directory: Path, folders: Iterable[str]) -> None:
    """These folders are then as they were where they were packed. Raises Unfit for what is no parcel."""
    for folder in folders:
        (directory / folder).mkdir(parents=True, exist_ok=True)
        clear(directory / folder)
    unpack(parcel, directory)


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
