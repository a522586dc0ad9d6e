"""Which environment an image stands for: the images.toml of this package, and before it the one in the home.

[[image]]
repository = "pytorch-training"   # the name's last part; * and ? stand for others
tag = "2.*"                       # or a list of them; without it, every tag
kind = "training"                 # or "inference"; without it, both
toolkit = "pytorch"               # whose conventions inference code follows
python = ["3.11", "3.12"]         # any of these; without it, any
packages = ["torch==2.13.0"]      # as in a requirements.txt
shared = ["torch"]                # not installed again where the server has it
variables = { NAME = "value" }
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from groundfog.engine.environments.recipe import Recipe
from groundfog.engine.errors import Unfit

Kind = Literal["training", "inference"]
_OURS = Path(__file__).with_name("images.toml")
_LISTS = ("python", "packages", "shared")
_CHOICES = {
    "kind": ("training", "inference"),
    "toolkit": ("huggingface", "pytorch", "sklearn", "xgboost", "mxnet"),
}


@dataclass(frozen=True, kw_only=True)
class Profile:
    repository: str
    tags: tuple[str, ...] = ("*",)
    kind: Kind | None = None
    toolkit: str = "pytorch"
    recipe: Recipe = field(default_factory=Recipe)

    def fits(self, repository: str, tag: str, kind: Kind) -> bool:
        is_named = fnmatchcase(repository, self.repository) and any(fnmatchcase(tag, one) for one in self.tags)
        return is_named and self.kind in (None, kind)


class Profiles:
    """`own` is a user's images.toml, which need not be there. It is read again whenever it has changed."""

    def __init__(self, own: Path | None = None) -> None:
        self._own = own
        self._ours = read(_OURS)
        self._read: tuple[float, Sequence[Profile]] = (0.0, ())

    def find(self, repository: str, tag: str, kind: Kind) -> Profile | None:
        """Raises Unfit if the user's file cannot be read, and why."""
        known = (*self._users(), *self._ours)
        return next((profile for profile in known if profile.fits(repository, tag, kind)), None)

    @property
    def names(self) -> list[str]:
        return sorted({profile.repository for profile in (*self._users(), *self._ours)})

    @property
    def place(self) -> str:
        """Where users add theirs."""
        return str(self._own or _OURS)

    def _users(self) -> Sequence[Profile]:
        if self._own is None or not self._own.exists():
            return ()
        changed = self._own.stat().st_mtime
        if changed != self._read[0]:
            self._read = (changed, read(self._own))
        return self._read[1]


def read(file: Path) -> Sequence[Profile]:
    """Raises Unfit, and says where."""
    try:
        document = tomllib.loads(file.read_text())
        unknown = document.keys() - {"image"}
        entries = document.get("image", [])
        if unknown or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{sorted(unknown or {'image'})[0]!r} is unknown: profiles begin with [[image]]")
        return [_profile(entry) for entry in entries]
    except (OSError, ValueError) as error:
        raise Unfit(f"{file} cannot be used: {error}") from None


def _profile(entry: dict[str, Any]) -> Profile:
    name = entry.get("repository")
    if not isinstance(name, str) or not name:
        raise ValueError("an image needs a repository")
    tags = entry.get("tag", "*")
    tags = [tags] if isinstance(tags, str) else tags
    _check({**entry, "tag": tags}, name)
    recipe = Recipe(**{key: tuple(entry.get(key, ())) for key in _LISTS}, variables=entry.get("variables", {}))
    given = {key: entry[key] for key in ("repository", *_CHOICES) if key in entry}
    return Profile(**given, tags=tuple(tags), recipe=recipe)


def _check(entry: dict[str, Any], name: str) -> None:
    """Raises ValueError with what is wrong."""
    unknown = entry.keys() - {"repository", "tag", "variables", *_LISTS, *_CHOICES}
    if unknown:
        raise ValueError(f"an image has no {sorted(unknown)[0]!r}")
    for key in ("tag", *_LISTS):
        if not _are_texts(entry.get(key, [])):
            raise ValueError(f"{key} of {name} must be a list of texts")
    for key, choices in _CHOICES.items():
        if entry.get(key, choices[0]) not in choices:
            raise ValueError(f"{key} of {name} must be one of {', '.join(choices)}")
    variables = entry.get("variables", {})
    if not isinstance(variables, dict) or not _are_texts(list(variables.values())):
        raise ValueError(f"variables of {name} must be texts by name")


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
