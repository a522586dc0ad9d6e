"""JSON paths, as far as batch transform has them: `$`, `.name`, `['name', ...]`, `[number, ...]`, `[from:to]`.

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html
"""

import json
import re
from collections.abc import Callable
from typing import Any

from groundfog.engine.errors import Unfit

Path = Callable[[Any], Any]

_NAME = r"""(?:'[^']*'|"[^"]*")"""
_NUMBER = r"-?\d+"
_STEP = re.compile(
    rf"""\.(?P<child>[^.\[\]\s'"*?@()]+)"""
    rf"""|\[\s*(?P<names>{_NAME}(?:\s*,\s*{_NAME})*)\s*\]"""
    rf"""|\[\s*(?P<numbers>{_NUMBER}(?:\s*,\s*{_NUMBER})*)\s*\]"""
    rf"""|\[\s*(?P<first>{_NUMBER})?\s*:\s*(?P<beyond>{_NUMBER})?\s*\]"""
)


def path(text: str) -> Path:
    """A function that finds what the path names. Raises Unfit, as the function does where there is nothing."""
    if not text.startswith("$"):
        raise Unfit(f"{text!r} is no JSON path: it must begin with $")
    steps: list[Path] = []
    position = 1
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise Unfit(f"{text!r} is no JSON path that is supported: {text[position:]!r} is not understood")
        steps.append(_step(step))
        position = step.end()

    def follow(document: Any) -> Any:
        for step in steps:
            try:
                document = step(document)
            except (KeyError, IndexError, TypeError):
                raise Unfit(f"there is no {text} in {_short(document)}") from None
        return document

    return follow


def _step(step: re.Match[str]) -> Path:
    if step["child"]:
        return _child(step["child"])
    if step["names"]:
        names = [name[1:-1] for name in re.findall(_NAME, step["names"])]
        if len(names) == 1:
            return _child(names[0])
        return lambda document: {name: _child(name)(document) for name in names}
    if step["numbers"]:
        numbers = [int(number) for number in step["numbers"].split(",")]
        if len(numbers) == 1:
            return lambda document: _list(document)[numbers[0]]
        return lambda document: [_list(document)[number] for number in numbers]
    first, beyond = (None if step[end] is None else int(step[end]) for end in ("first", "beyond"))
    return lambda document: _list(document)[first:beyond]


def _child(name: str) -> Path:
    def child(document: Any) -> Any:
        if not isinstance(document, dict):
            raise TypeError
        return document[name]

    return child


def _list(document: Any) -> list[Any]:
    if not isinstance(document, list):
        raise TypeError
    return document


def _short(document: Any) -> str:
    text = json.dumps(document, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}..."
