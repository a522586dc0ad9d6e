"""What an endpoint is to run: variants, how many instances of each, and their shares of the requests."""

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from groundfog.engine.environments import Recipe
from groundfog.engine.jobs.code import Code
from groundfog.engine.launch import Program


@dataclass(frozen=True, kw_only=True)
class Variant:
    name: str
    program: Program
    model: tuple[str, str] | None
    """Bucket and key of the archive that becomes the model folder."""
    weight: float
    instances: int
    image: str
    """What the user called the program."""
    start_seconds: float | None = None
    """How long an instance may take until it answers its first ping; None: the house's own limit."""
    code: Code | None = None
    """The user's code, where the model's archive does not bring it."""
    recipe: Recipe | None = None
    """Of the environment in which the program runs the user's code; None: it runs none."""


@dataclass(frozen=True, kw_only=True)
class Queueing:
    """Requests wait in line, and their answers become objects: a bucket, and what their keys begin with."""

    answers: tuple[str, str]
    failures: tuple[str, str] | None
    at_once: int
    """At each instance."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    name: str
    """Of the configuration that it was made from."""
    variants: tuple[Variant, ...]
    queueing: Queueing | None = None
    """None where requests are answered at once."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """JSON that the owner wants kept with it."""
    generation: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Replicas belong to one generation: a new one is brought up beside the old."""

    def adjusted(self, weights: Mapping[str, float], instances: Mapping[str, int]) -> "Deployment":
        """The same generation with other shares or sizes for the named variants."""
        variants = tuple(
            dataclasses.replace(
                variant,
                weight=weights.get(variant.name, variant.weight),
                instances=instances.get(variant.name, variant.instances),
            )
            for variant in self.variants
        )
        return dataclasses.replace(self, variants=variants)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Deployment":
        variants = tuple(_variant(variant) for variant in document["variants"])
        return cls(**{**document, "variants": variants, "queueing": _queueing(document.get("queueing"))})


def _variant(document: Mapping[str, Any]) -> Variant:
    model = None if document["model"] is None else tuple(document["model"])
    code = Code(**document["code"]) if document.get("code") else None
    recipe = Recipe.read(document["recipe"]) if document.get("recipe") else None
    program = Program.read(document["program"])
    return Variant(**{**document, "program": program, "model": model, "code": code, "recipe": recipe})


def _queueing(document: Mapping[str, Any] | None) -> Queueing | None:
    if document is None:
        return None
    places = {name: None if document[name] is None else tuple(document[name]) for name in ("answers", "failures")}
    return Queueing(**{**document, **places})
