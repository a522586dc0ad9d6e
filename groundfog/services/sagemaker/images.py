"""Which program an image URI means. A built-in algorithm is a folder in `groundfog/algorithms`, by repository name."""

import functools
import re
from pathlib import Path
from typing import Literal

from groundfog.engine.launch import Program
from groundfog.wire.refusal import Refusal

_ALGORITHMS = Path(__file__).parents[2] / "algorithms"
_URI = re.compile(
    r"(?:(?P<registry>[^/]*[.:][^/]*)/)?(?P<repository>[^@:]+)(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>\w+:\w+))?"
)


@functools.cache
def program(image: str, command: Literal["train", "serve"]) -> Program:
    """Raises ValidationException for an image that is none of ours."""
    named = _URI.fullmatch(image)
    if named is None or named["repository"] not in _built_in():
        raise Refusal(
            "ValidationException",
            f"Cannot find the image {image}. This server knows the built-in algorithms "
            f"{', '.join(sorted(_built_in()))}: an image is found by its repository's name, whatever the registry.",
        )
    return Program(module=f"groundfog.algorithms.{named['repository']}", arguments=(command,), trusted=True)


@functools.cache
def _built_in() -> frozenset[str]:
    """Looked up on disk: to import an algorithm would load torch."""
    return frozenset(main.parent.name for main in _ALGORITHMS.glob("*/__main__.py"))
