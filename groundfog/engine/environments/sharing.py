"""Distributions of the server's own that environments use too: torch is too large to be there for each of them.

Linked is each with what it needs, and nothing else that happens to be installed beside us.
"""

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def with_needs(names: Iterable[str]) -> dict[str, Distribution]:
    """Those that are installed, by name, and what they require, as far as that is installed."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        waiting += _needs(found[name])
    return dict(sorted(found.items()))


def link(distributions: Iterable[Distribution], folder: Path) -> None:
    """Make the folder one of modules, which holds these and nothing else."""
    folder.mkdir(parents=True)
    for one in distributions:
        for top in {file.parts[0] for file in one.files or () if file.parts[0] not in ("..", "__pycache__")}:
            target = folder / top
            if not target.is_symlink():
                target.symlink_to(str(one.locate_file(top)))


def _needs(one: Distribution) -> list[str]:
    """Markers but for extras are passed over: what is not for this machine is not installed here."""
    required = [text for text in one.requires or () if "extra ==" not in text.partition(";")[2]]
    return [named[0] for text in required if (named := _NAME.match(text))]
