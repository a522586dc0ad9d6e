"""Files that hold bytes, nothing more: written once, never changed, found by a name that is never used again.

    blobs/<start>/<thousand>/<number>      e.g. 7/0/12: the 13th blob that the 7th start of a store wrote

A blob that no row of the index names does not exist: one that is being written, or was when the process was killed.
So there is nothing to rename, and what earlier starts left behind is swept away.
"""

import errno
import fcntl
import hashlib
import itertools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

BLOCK = 1 << 20


class Blobs:
    def __init__(self, root: Path, *, durable: bool) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root, self.durable = root, durable
        self._start, self._lock = _new_start(root)
        self._numbers = itertools.count()
        self._numbers_lock = threading.Lock()

    def draft(self) -> "Draft":
        """A new blob, to be written. Touches no disk yet."""
        with self._numbers_lock:
            number = next(self._numbers)
        return Draft(self, f"{self._start}/{number // 1000}/{number}")

    def path(self, name: str) -> Path:
        return self.root / name

    def remove(self, names: list[str]) -> None:
        """Whoever has one open, or a hard link to it, keeps the bytes."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def sweep(self, in_use: Callable[[list[str]], set[str]]) -> None:
        """Remove what starts that have ended left and nobody names. Running starts hold their folder's lock."""
        for start in self.earlier_starts():
            folder = os.open(start, os.O_RDONLY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for thousand in start.iterdir():
                    names = [f"{start.name}/{thousand.name}/{blob.name}" for blob in thousand.iterdir()]
                    kept = in_use(names)
                    self.remove([name for name in names if name not in kept])
                    _remove_if_empty(thousand)
                _remove_if_empty(start)
            except BlockingIOError:
                pass
            finally:
                os.close(folder)

    def earlier_starts(self) -> list[Path]:
        return [start for start in self.root.iterdir() if int(start.name) < int(self._start)]

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Draft:
    """A blob that is being written; `with draft:` discards it unless it was kept.

    Not for several threads at once.
    """

    def __init__(self, blobs: Blobs, name: str) -> None:
        self.name, self.size = name, 0
        self._blobs, self._where = blobs, f"{blobs.root}/{name}"
        self._file: BinaryIO | None = None
        self._md5: hashlib._Hash | None = hashlib.md5(usedforsecurity=False)
        self._linked = self._kept = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._open().write(data)
        self.size += len(data)
        if self._md5 is not None:
            self._md5.update(data)

    def write_file(self, source: Path, offset: int = 0, length: int | None = None) -> None:
        """Copy from a file in blocks."""
        with source.open("rb", buffering=0) as file:
            for block in blocks(file, offset, source.stat().st_size - offset if length is None else length):
                self.write(block)

    def append(self, source: Path) -> None:
        """Let the kernel copy a whole file to the end. The bytes are not seen, so there is no MD5 afterwards."""
        self._md5 = None
        self.size += _copy_in_kernel(source, self._open())

    def link(self, source: Path) -> None:
        """Become another blob's bytes, without copying where the file system can."""
        self._md5 = None
        self._make_folder()
        link_or_copy(source, self.path)
        self._linked = True
        self.size = self.path.stat().st_size

    @property
    def path(self) -> Path:
        return Path(self._where)

    def flush(self) -> None:
        """Now `path` can be read."""
        self._open().flush()

    @property
    def md5(self) -> str:
        """Of what was written so far, in hex."""
        if self._md5 is None:
            raise ValueError("this blob's bytes were copied unseen")
        return self._md5.hexdigest()

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Complete on disk; inside, a row may come to name it. From the end on it is kept."""
        if not self._linked:
            file = self._open()
            file.flush()
            if self._blobs.durable:
                os.fsync(file.fileno())
            file.close()
        if self._blobs.durable:
            _sync_folder(self.path.parent)
        yield
        self._kept = True

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept:
            self.discard()

    def _open(self) -> BinaryIO:
        if self._file is None:
            try:
                self._file = _create(self._where)
            except FileNotFoundError:
                self._make_folder()
                self._file = _create(self._where)
        return self._file

    def _make_folder(self) -> None:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        if self._blobs.durable:
            _sync_folder(folder.parent)
            _sync_folder(folder.parent.parent)


def blocks(file: BinaryIO, offset: int, length: int) -> Iterator[bytes]:
    """`length` bytes from `offset`, at most BLOCK at a time."""
    file.seek(offset)
    while length > 0 and (block := file.read(min(BLOCK, length))):
        length -= len(block)
        yield block


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link, or a copy where there can be none: another file system, or too many links already."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
            raise
        shutil.copyfile(source, target)


def _create(path: str) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "wb")


def _copy_in_kernel(source: Path, target: BinaryIO) -> int:
    with source.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        copied = 0
        while copied < size:
            step = _copy_some(file.fileno(), target.fileno(), size - copied)
            if step == 0:
                raise OSError(errno.EIO, "a blob became shorter", str(source))
            copied += step
    return copied


def _copy_some(source: int, target: int, count: int) -> int:
    try:
        return os.copy_file_range(source, target, count)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            raise
        return os.sendfile(target, source, None, count)


def _new_start(root: Path) -> tuple[str, int | None]:
    """A folder that nobody had before, and the lock on it, which ends with this process at the latest."""
    number = 1 + max((int(start.name) for start in root.iterdir()), default=0)
    while True:
        folder = root / str(number)
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            continue
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return folder.name, lock


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
            raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
