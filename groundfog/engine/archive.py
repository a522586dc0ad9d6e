"""`model.tar.gz` and `output.tar.gz`: written from what a program left, read with suspicion.

Neither way is a link ever followed out of its folder, and unpacking makes no links at all: what the archive calls a
link becomes a copy of a file that it held before.
"""

import gzip
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from groundfog.engine.errors import Unfit

MOST_MEMBERS = 100_000
MOST_BYTES = 64 << 30
DEEPEST = 200
"""Folders within one another."""
_QUICK = 1
"""Weights hardly compress: a higher level costs minutes and gains a percent."""


def pack(folders: Sequence[Path], file: Path) -> int:
    """Everything below the folders, as `merged` has it; returns how many files. Links that leave them are left out."""
    packed = 0
    with (
        file.open("wb") as raw,
        gzip.GzipFile("", "wb", _QUICK, raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", dereference=True) as tar,
    ):
        for path, name in merged(folders):
            tar.add(path, name, recursive=False, filter=_anonymous)
            packed += path.is_file()
    return packed


def unpack(file: Path, folder: Path, *, most_members: int = MOST_MEMBERS, most_bytes: int = MOST_BYTES) -> None:
    """Fill the folder with what a tar (gzip, bzip2, xz or plain) holds. Raises Unfit, and then it is half full."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(file, mode="r:*") as tar:
            for number, member in enumerate(tar):
                if number >= most_members:
                    raise Unfit(f"the archive holds more than {most_members} members")
                most_bytes -= _extract(tar, member, folder, most_bytes)
    except tarfile.ReadError as error:
        # Of a file that is nothing it knows, tarfile says how each format took it, in five lines.
        said = "it begins as none" if "\n" in str(error) else str(error)
        raise Unfit(f"it is no readable tar archive ({said})") from None
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise Unfit(f"it is no readable tar archive ({error})") from None
    except OSError as error:
        raise Unfit(f"it cannot be unpacked ({error})") from None


def merged(folders: Sequence[Path]) -> list[tuple[Path, str]]:
    """What the folders hold together, in the order of names within each. What several have is the first one's.

    Raises Unfit for more than the disk could hold: files with holes have any length, and would be read for days.
    """
    taken: dict[str, bool] = {}
    found: list[tuple[Path, str]] = []
    for folder in folders:
        room = shutil.disk_usage(folder).total
        for path, name in contents(folder):
            room -= path.stat().st_size
            if room < 0:
                raise Unfit(f"{name} and what comes before it are longer than the disk is large")
            above = (str(parent) for parent in PurePosixPath(name).parents)
            if name not in taken and not any(taken.get(parent) for parent in above):
                taken[name] = path.is_file()
                found.append((path, name))
    return found


def contents(folder: Path, root: Path | None = None) -> Iterator[tuple[Path, str]]:
    """Real path and name of files and folders; sockets, pipes and links that lead elsewhere are no part of a model."""
    root = root or folder
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        name = path.relative_to(root).as_posix()
        if entry.is_symlink():
            target = path.resolve()
            if target.is_file() and target.is_relative_to(root.resolve()):
                yield target, name
        elif entry.is_dir():
            if name.count("/") >= DEEPEST:
                raise Unfit(f"there are folders within one another, more than {DEEPEST} deep: {name[:100]}…")
            yield path, name
            yield from contents(path, root)
        elif entry.is_file():
            yield path, name


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whose file it was is nobody's business."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, most_bytes: int) -> int:
    """Returns how many bytes it wrote."""
    target = folder / _inside(member.name, member.name)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.isfile():
        body = tar.extractfile(member)
        assert body is not None
        return _write(body, target, most_bytes, executable=bool(member.mode & 0o100))
    if member.issym() or member.islnk():
        beside = PurePosixPath(member.name).parent if member.issym() else PurePosixPath()
        origin = folder / _inside(str(beside / member.linkname), member.name)
        if not origin.is_file():
            raise Unfit(f"{member.name!r} is a link to {member.linkname!r}, which is no file earlier in the archive")
        with origin.open("rb") as body:
            return _write(body, target, most_bytes, executable=os.access(origin, os.X_OK))
    raise Unfit(f"{member.name!r} is neither a file nor a folder")


def _inside(name: str, blamed: str) -> Path:
    """Lexically: nothing that is unpacked is a link, so the text is the whole truth."""
    if "\0" in name or name.startswith("/"):
        raise Unfit(f"{blamed!r} leads out of the archive")
    normal = PurePosixPath(os.path.normpath(name))
    if ".." in normal.parts:
        raise Unfit(f"{blamed!r} leads out of the archive")
    return Path(normal)


def _write(body: IO[bytes], target: Path, most_bytes: int, *, executable: bool) -> int:
    target.unlink(missing_ok=True)
    written = 0
    with target.open("xb") as file:
        while chunk := body.read(1 << 20):
            written += len(chunk)
            if written > most_bytes:
                raise Unfit("what the archive holds is larger than what is allowed")
            file.write(chunk)
    target.chmod(0o755 if executable else 0o644)
    return written


def clear(folder: Path) -> None:
    """Empty a folder but keep it: it may be mounted where a program waits for it."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
