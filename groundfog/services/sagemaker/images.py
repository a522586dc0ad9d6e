"""Which program an image URI means. A built-in algorithm is a folder in `groundfog/algorithms`, by repository name."""

import dataclasses
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from groundfog.engine import Engine
from groundfog.engine.environments import Recipe
from groundfog.engine.environments.profiles import Profile
from groundfog.engine.errors import Unfit
from groundfog.engine.jobs import Code
from groundfog.engine.launch import Program
from groundfog.engine.resources import Document
from groundfog.services.sagemaker.kinds import Invalid
from groundfog.wire.refusal import Refusal

_ALGORITHMS = Path(__file__).parents[2] / "algorithms"
_URI = re.compile(
    r"(?:(?P<registry>[^/]*[.:][^/]*)/)?(?P<repository>[^@:]+)(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>\w+:\w+))?"
)

_GRACE_SECONDS = 30.0
"""From SIGTERM to SIGKILL. https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
_STEERING = ("PYTHON", "LD_", "PATH", "SAGEMAKER_BASE_DIR")
"""Variables that would make a program of ours, which may run without a sandbox, load what a model archive brings."""


@dataclass(frozen=True)
class Container:
    """A model's one container, as CreateModel was given it."""

    document: Document

    @classmethod
    def of(cls, model: Document) -> "Container":
        return cls(model.get("PrimaryContainer") or model["Containers"][0])

    @property
    def archive(self) -> tuple[str, str] | None:
        """Bucket and key."""
        bucket, _, key = self.document.get("ModelDataUrl", "").removeprefix("s3://").partition("/")
        return (bucket, key) if bucket else None

    @property
    def environment(self) -> dict[str, str]:
        given: dict[str, str] = self.document.get("Environment", {})
        return given

    @property
    def code(self) -> Code | None:
        """Where it is an archive of its own: the SDK uploads that of some frameworks beside the model."""
        bucket, _, key = self.environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "").partition("s3://")[2].partition("/")
        return Code(bucket=bucket, key=key) if key else None

    def check(self, engine: Engine) -> None:
        """Raises ValidationException where nothing is known of the image, or this machine cannot stand in for it."""
        if not is_built_in(self._image):
            recipe(engine, self._image, "inference")

    def recipe(self, engine: Engine) -> Recipe | None:
        """Of the environment for a user's code; built-in algorithms have none."""
        return None if is_built_in(self._image) else profile(engine, self._image, "inference").recipe

    def server(self, engine: Engine, environment: Mapping[str, str] | None = None) -> Program:
        """What serves the model, with the container's own variables and these."""
        server = self._server(engine)
        given = {
            name: value
            for name, value in {**self.environment, **(environment or {})}.items()
            if not (server.trusted and name.startswith(_STEERING))
        }
        return dataclasses.replace(server, environment={**server.environment, **given}, grace_seconds=_GRACE_SECONDS)

    def _server(self, engine: Engine) -> Program:
        if is_built_in(self._image):
            return program(self._image, "serve")
        toolkit = profile(engine, self._image, "inference").toolkit
        return Program(module="groundfog.opt_ml.inference", arguments=(toolkit,))

    @property
    def _image(self) -> str:
        image: str = self.document["Image"]
        return image


@functools.cache
def program(image: str, command: Literal["train", "serve"]) -> Program:
    """Of a built-in algorithm."""
    named = _URI.fullmatch(image)
    assert named is not None, "is_built_in() comes first"
    return Program(module=f"groundfog.algorithms.{named['repository']}", arguments=(command,), trusted=True)


def is_built_in(image: str) -> bool:
    named = _URI.fullmatch(image)
    return named is not None and named["repository"] in _built_in()


def profile(engine: Engine, image: str, kind: Literal["training", "inference"]) -> Profile:
    """What stands for a framework's image here. Raises ValidationException for one that nothing is known of."""
    named, profiles = _URI.fullmatch(image), engine.environments.profiles
    try:
        found = profiles.find(named["repository"], named["tag"] or "", kind) if named is not None else None
        known = ", ".join([*sorted(_built_in()), *profiles.names])
    except Unfit as unfit:
        raise Refusal("ValidationException", str(unfit)) from None
    if found is None:
        raise Refusal(
            "ValidationException",
            f"Cannot find the image {image}. This server knows {known}: an image is found by its repository's name, "
            f'whatever the registry. To add one, write [[image]], repository = "its-name" and packages = [...] into '
            f"{profiles.place}; docs/script_mode.md tells how.",
        )
    return found


def recipe(engine: Engine, image: str, kind: Literal["training", "inference"]) -> Recipe:
    """Of the environment that stands for a framework's image. Raises ValidationException for one that nothing is known
    of, or that cannot be had on this machine."""
    found = profile(engine, image, kind).recipe
    try:
        engine.environments.check(found)
    except Unfit as unfit:
        raise Invalid(f"The image {image} cannot be had here: {unfit}") from None
    return found


@functools.cache
def _built_in() -> frozenset[str]:
    """Looked up on disk: to import an algorithm would load torch."""
    return frozenset(main.parent.name for main in _ALGORITHMS.glob("*/__main__.py"))
