"""Words that CMUdict lacks: surnames and first names of the census (the package `names`), then general English (the
Debian package `wamerican-huge`). Four of five test words stand in these lists, too: they are words of its kind.

    apt-get install wamerican-huge && pip install names==0.3.0
"""

import importlib.util
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from dictionary import Entries

GENERAL = Path("/usr/share/dict/american-english-huge")
SEED = 1


def beyond(entries: Entries) -> list[str]:
    """All of them in capitals, always in the same order: names first, for the dictionary is full of them."""
    names = _usable(_census()) - entries.keys()
    general = _usable(_english()) - entries.keys() - names
    drawn = random.Random(SEED)
    return [word for part in (sorted(names), sorted(general)) for word in drawn.sample(part, len(part))]


def _census() -> Iterator[str]:
    found = importlib.util.find_spec("names")
    if found is None or found.origin is None:
        raise SystemExit("Names of people come from a package: pip install names==0.3.0")
    for file in Path(found.origin).parent.glob("dist.*"):
        yield from (line.split()[0] for line in file.read_text(encoding="utf-8").splitlines())


def _english() -> list[str]:
    if not GENERAL.exists():
        raise SystemExit("General words come from a package of Debian: apt-get install wamerican-huge")
    return GENERAL.read_text(encoding="utf-8").split()


def _usable(words: Iterable[str]) -> set[str]:
    return {word.upper() for word in words if re.fullmatch("[a-zA-Z]{2,24}", word)}
