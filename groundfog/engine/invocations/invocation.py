"""One request that waits in line."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Place = tuple[str, str]
"""Bucket and key."""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    endpoint: str
    source: Place | None
    """The object that is sent."""
    body: str | None
    """Or its bytes, in base64."""
    headers: Mapping[str, str]
    answer: Place
    failure: Place | None
    """Where it is said why there is no answer; None: nowhere."""
    complaint: str
    """How it is said: a text with places for `side`, `status` and `said`."""
    expires: float
    """Not begun by then, it never is. Seconds since the epoch."""
    seconds: float
    """For the answer, from the time at which the model is asked."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Invocation":
        """What `asdict` made of one, by way of JSON."""
        places = {name: tuple(value) for name, value in document.items() if isinstance(value, list)}
        return cls(**{**document, **places})

    @property
    def is_expired(self) -> bool:
        return time.time() > self.expires
