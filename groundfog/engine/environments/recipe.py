"""What an environment is to hold, and where it came to lie."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from groundfog.engine.launch import Program


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A Python of one of these versions (none: any), and packages as pip's requirements name them."""

    python: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    """Distributions that are not installed again where the server has them in the same Python: they are large."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What programs find in their environment."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Recipe":
        """What `asdict` made of one, also by way of JSON."""
        lists = {name: tuple(value) for name, value in document.items() if isinstance(value, list | tuple)}
        return cls(**{**document, **lists})


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One that is ready; or one that is made where its program runs, of this `recipe`, and has nothing else yet."""

    python: str = ""
    readable: tuple[str, ...] = ()
    """All folders that its programs must see."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """A program's own count for more."""
    recipe: Recipe | None = None
    code: str = ""
    """Where in the host's directory the source directory lies that adds to the recipe; empty: none does."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Environment":
        recipe = document.get("recipe")
        read = {"readable": tuple(document["readable"]), "recipe": Recipe.read(recipe) if recipe else None}
        return cls(**{**document, **read})

    def around(self, program: Program) -> Program:
        """The program, in this environment."""
        if self.recipe is not None:
            return self._later(program, "around")
        return replace(self._in_sight(program), python=self.python)

    def beside(self, program: Program) -> Program:
        """The program in our own Python, told where this one is, in which its workers run."""
        if self.recipe is not None:
            return self._later(program, "beside")
        return replace(self._in_sight(program), arguments=(*program.arguments, "--python", self.python))

    def _in_sight(self, program: Program) -> Program:
        given = {**self.variables, **program.environment}
        return replace(program, readable=(*program.readable, *self.readable), environment=given)

    def _later(self, program: Program, way: Literal["around", "beside"]) -> Program:
        return replace(program, awaits={"way": way, "code": self.code, "recipe": asdict(self.recipe or Recipe())})


def digest(*parts: Any) -> str:
    """A name for what is made of these parts, and of nothing else."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]
