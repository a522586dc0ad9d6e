"""Pythons of this machine: the server's own, those on the path, and those that pyenv, uv and conda keep."""

import functools
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundfog.engine.errors import Unfit

_KEPT = (
    "~/.pyenv/versions/{version}*/bin/python",
    "~/.local/share/uv/python/cpython-{version}*/bin/python{version}",
    "~/miniconda3/envs/*/bin/python{version}",
    "~/anaconda3/envs/*/bin/python{version}",
    "/opt/python/*/bin/python{version}",
    "/opt/python{version}/bin/python{version}",
)
"""Beside the path; `{version}` as in 3.11."""
_ASK = """
import ensurepip, json, os, sys, venv
executable = getattr(sys, "_base_executable", None) or sys.executable
bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
found = [os.path.join(bundled, name) for name in sorted(os.listdir(bundled)) if name.startswith("pip-")]
site = os.path.join(sys.base_prefix, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
found += [site] * os.path.isdir(os.path.join(site, "pip"))
print(json.dumps([os.path.realpath(executable), list(sys.version_info[:3]), sys.base_prefix, found[-1]]))
"""


@dataclass(frozen=True)
class Python:
    """`pip` is where it is installed for this Python, and else the wheel that comes with it."""

    executable: Path
    version: tuple[int, int, int]
    prefix: Path
    pip: Path

    @property
    def short(self) -> str:
        return "{}.{}".format(*self.version)

    @property
    def site_packages(self) -> Path:
        """Below an environment's folder."""
        return Path("lib", f"python{self.short}", "site-packages")


def find(versions: Sequence[str]) -> Python:
    """The server's own, if it is one of these versions, else the first of them that is here. Raises Unfit."""
    own = "{}.{}".format(*sys.version_info)
    for version in (own,) if own in versions or not versions else versions:
        for executable in _candidates(version):
            python = _ask(executable)
            if python is not None and python.short == version:
                return python
    wanted = " or ".join(versions or [own])
    raise Unfit(
        f"Python {wanted} is not on the machine {socket.gethostname()}, or without its venv and ensurepip (Debian: "
        "python3-venv). Install it, or name another version in images.toml."
    )


def _candidates(version: str) -> Iterator[Path]:
    if version == "{}.{}".format(*sys.version_info):
        yield Path(sys.executable)
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield Path(on_path)
    for pattern in _KEPT:
        below = Path(pattern.format(version=version)).expanduser()
        yield from sorted(Path("/").glob(str(below).lstrip("/")))


@functools.cache
def _ask(executable: Path) -> Python | None:
    try:
        asked = subprocess.run([executable, "-I", "-c", _ASK], capture_output=True, text=True, timeout=60)
        real, version, prefix, pip = json.loads(asked.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Python(Path(real), tuple(version), Path(prefix), Path(pip))
