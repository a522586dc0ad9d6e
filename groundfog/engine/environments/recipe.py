"""What an environment is to hold, and where it came to lie."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

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
    """One that is ready. `readable` are all folders that its programs must see."""

    python: str
    readable: tuple[str, ...]
    variables: Mapping[str, str]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Environment":
        return cls(**{**document, "readable": tuple(document["readable"])})

    def around(self, program: Program) -> Program:
        """The program, in this environment. Its own variables count for more than the environment's."""
        return Program(
            **{
                **asdict(program),
                "python": self.python,
                "readable": (*program.readable, *self.readable),
                "environment": {**self.variables, **program.environment},
            }
        )


def digest(*parts: Any) -> str:
    """A name for what is made of these parts, and of nothing else."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]
