"""Rules: which values a hyperparameter takes, from text or from Python, and how to say so.

A dataclass's field made by `integer`, `real`, `choice` or `flag` has its rule, and what it means, in its metadata.
"""

import math
import numbers
from dataclasses import dataclass, field
from typing import Any, Protocol


class Rule(Protocol):
    def read(self, given: Any) -> Any:
        """The value, converted from text where it is text; raises ValueError where it is none of ours."""
        ...

    def __str__(self) -> str:
        """What is allowed, to be read after "has to be"."""
        ...


@dataclass(frozen=True)
class Integer:
    least: int
    also: int | None = None
    even: bool = False

    def read(self, given: Any) -> int:
        if isinstance(given, bool) or not isinstance(given, str | numbers.Integral):
            raise ValueError
        value = int(given)
        if (value < self.least and value != self.also) or (self.even and value % 2) or value >= 1 << 31:
            raise ValueError
        return value

    def __str__(self) -> str:
        extra = "" if self.also is None else f", or {self.also}"
        return f"an {'even ' if self.even else ''}integer of at least {self.least}{extra}"


@dataclass(frozen=True)
class Real:
    least: float = -math.inf
    most: float = math.inf

    def read(self, given: Any) -> float:
        if isinstance(given, bool) or not isinstance(given, str | numbers.Real):
            raise ValueError
        value = float(given)
        if not math.isfinite(value) or not self.least <= value <= self.most:
            raise ValueError
        return value

    def __str__(self) -> str:
        if self.least == -math.inf:
            return "a number"
        return (
            f"a number of at least {self.least:g}"
            if self.most == math.inf
            else f"a number from {self.least:g} to {self.most:g}"
        )


@dataclass(frozen=True)
class Choice:
    choices: tuple[str, ...]

    def read(self, given: Any) -> str:
        if given not in self.choices:
            raise ValueError
        return str(given)

    def __str__(self) -> str:
        return ("one of " if len(self.choices) > 1 else "") + ", ".join(self.choices)


class Flag:
    def read(self, given: Any) -> bool:
        if isinstance(given, bool):
            return given
        return {"true": True, "false": False}[str(given).lower()]

    def __str__(self) -> str:
        return "true or false"


def integer(default: int | None, meaning: str, least: int = 1, **more: Any) -> Any:
    return _field(default, meaning, Integer(least, **more))


def real(default: float | None, meaning: str, least: float = -math.inf, most: float = math.inf) -> Any:
    return _field(default, meaning, Real(least, most))


def choice(meaning: str, default: str, *others: str) -> Any:
    return _field(default, meaning, Choice((default, *others)))


def flag(default: bool, meaning: str) -> Any:
    return _field(default, meaning, Flag())


def _field(default: Any, meaning: str, rule: Rule) -> Any:
    return field(default=default, metadata={"rule": rule, "meaning": meaning})
