"""Where a machine keeps its hosts: a folder for each actor, which holds it locked for as long as it lives."""

import fcntl
import os
import stat
import tempfile
from pathlib import Path

from groundfog.engine.launch.ray.watch import clear


def claim(name: str) -> tuple[Path, int]:
    """A folder of this name, and its lock, to be kept. What actors have left whose machine went down is cleared up."""
    ours = _ours()
    with (ours / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for folder in ours.iterdir():
            if folder.is_dir() and not _is_held(folder):
                clear(folder)
        folder = ours / name
        folder.mkdir(exist_ok=True, mode=0o700)
        held = os.open(folder / "held", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        return folder, held


def _is_held(folder: Path) -> bool:
    try:
        with (folder / "held").open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _ours() -> Path:
    """Ours alone, on a machine where others may write to /tmp too. Raises PermissionError."""
    folder = Path(tempfile.gettempdir()) / f"groundfog-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not ours alone")
    return folder
