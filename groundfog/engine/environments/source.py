"""What a source directory asks to be installed: its requirements.txt, and itself where it has a setup.py.

It is written by a user: what of it pip takes for an option, a path or an address, pip takes behind the wall.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from groundfog.engine.archive import contents
from groundfog.engine.environments.recipe import digest

REQUIREMENTS = "requirements.txt"
MOST_BYTES = 1 << 20
"""Of requirements."""
_LOCAL = re.compile(r"^\s*[-.]|/|file:|\.(?:whl|zip|tar|tgz)", re.MULTILINE)
"""A line that may lead to another file of the directory: an option, a path. Better one too many than one too few."""


@dataclass(frozen=True)
class Wanted:
    """`arguments` are pip's; `name` is another whenever what they lead to is."""

    arguments: tuple[str, ...]
    name: str


def wanted(code: Path) -> Wanted | None:
    """None where there is nothing to install."""
    file = code / REQUIREMENTS
    requirements = _text(file) if file.is_file() and not file.is_symlink() else ""
    asks = any(line.strip() and not line.lstrip().startswith("#") for line in requirements.splitlines())
    listed = ("-r", REQUIREMENTS) if asks else ()
    if (code / "setup.py").is_file():
        return Wanted((".", *listed), digest(".", _fingerprint(code)))
    if not asks:
        return None
    return Wanted(listed, digest(requirements, _fingerprint(code) if _LOCAL.search(requirements) else ""))


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(MOST_BYTES).decode("utf-8", "replace")


def _fingerprint(folder: Path) -> str:
    """Of every file and its name."""
    seen = hashlib.sha256()
    for path, name in contents(folder):
        if path.is_file():
            with path.open("rb") as file:
                seen.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    return seen.hexdigest()
