"""Compiled steps: small C++ sources, built with the machine's own compiler the first time they are wanted.

    library("training")      training.cpp as a ctypes.CDLL, None where it cannot be had

A source is plain C++ with `extern "C"` functions over raw pointers and knows nothing of torch, so it builds in seconds.
It never is the only text of what it computes: whoever asks for a library has the same in PyTorch, goes on with that
where there is None, and tests one against the other. Not in here: anything for a GPU.

What is built lies in the first of these folders that has it, or that can be written to:

    kernels/__pycache__                beside the sources, as Python's own compiled files
    ~/.cache/groundfog/kernels         where the package belongs to somebody else
    a folder of one's own in /tmp      where there is no home either, as in a sandbox

Its name has a hash of the sources, the compiler's flags and the processor's features, so that a change of any of them
builds anew and no machine ever loads what another one's processor was told to run.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

enabled = True
"""Set to False, PyTorch alone computes: to compare, and to look for a fault."""

_SOURCES = Path(__file__).parent
_COMPILERS = ("g++", "clang++", "c++")
_FLAGS = ("-std=gnu++17", "-O3", "-march=native", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math")
_SHARED = ("-fPIC", "-shared")
_PATIENCE_S = 120


def library(name: str) -> ctypes.CDLL | None:
    """The functions of `<name>.cpp`; asked for twice, it is the same object."""
    return _library(name) if enabled else None


@functools.cache
def _library(name: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(_built(name)))
    except (OSError, subprocess.SubprocessError) as fault:
        log.info("kernels/%s.cpp is not used, PyTorch does its work: %s", name, fault)
        return None


def _built(name: str) -> Path:
    file = f"{name}-{_key(name)}.so"
    for folder in _folders():
        if os.access(folder / file, os.R_OK) and _is_ours(folder):
            return folder / file
    for folder in _folders():
        if _can_be_written(folder):
            return _compile(_SOURCES / f"{name}.cpp", folder / file)
    raise OSError("no folder for what is compiled can be written to")


def _key(name: str) -> str:
    parts = [source.read_bytes() for source in (_SOURCES / f"{name}.cpp", *sorted(_SOURCES.glob("*.h")))]
    parts += [" ".join(_FLAGS + _SHARED).encode(), _processor().encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _processor() -> str:
    """What -march=native goes by."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    known = {line for line in lines if line.startswith(("model name", "cpu family", "model\t", "flags", "Features"))}
    return platform.machine() + "".join(sorted(known))


def _folders() -> Iterator[Path]:
    yield _SOURCES / "__pycache__"
    yield Path("~/.cache/groundfog/kernels").expanduser()
    yield Path(tempfile.gettempdir()) / f"groundfog-kernels-{os.getuid()}"


def _can_be_written(folder: Path) -> bool:
    try:
        # Jobs run as users of their own, and are to find what was built before them.
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK) and _is_ours(folder)


def _is_ours(folder: Path) -> bool:
    """Whether nobody else could have put a library there: in /tmp any user may make a folder of any name."""
    # A link of somebody else's could lead to a folder of ours now, and elsewhere a moment later.
    status = folder.lstat()
    trusted = {os.getuid(), 0, _SOURCES.stat().st_uid}
    return status.st_uid in trusted and not status.st_mode & stat.S_IWOTH


def _compile(source: Path, target: Path) -> Path:
    """Under a name of its own first: of several processes that build at once, each puts a whole file there."""
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise OSError(f"there is no compiler, none of {', '.join(_COMPILERS)}")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / target.name
        ran = subprocess.run(
            [compiler, *_FLAGS, *_SHARED, str(source), "-o", str(made)],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
        )
        if ran.returncode:
            raise OSError(f"{compiler} says {ran.stderr.strip()[-500:] or ran.returncode}")
        made.rename(target)
    return target
