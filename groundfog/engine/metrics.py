"""Metrics: numbers that a program says in its log, found by regular expressions whose first group is the value."""

import itertools
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from groundfog.engine.logs.file import backward


@dataclass(frozen=True, kw_only=True)
class Metric:
    name: str
    value: float
    at: float
    """Seconds since the epoch."""


def last_metrics(logs: Iterable[Path], definitions: Mapping[str, str]) -> tuple[Metric, ...]:
    """What each was when it was said last in any log, in the order of the definitions; what is no finite number is
    passed over."""
    sought = {name: re.compile(pattern) for name, pattern in definitions.items()}
    said = [_last_of(log, sought) for log in logs]
    latest = {metric.name: metric for metric in sorted(itertools.chain(*said), key=lambda metric: metric.at)}
    return tuple(latest[name] for name in sought if name in latest)


def _last_of(log: Path, sought: Mapping[str, re.Pattern[str]]) -> Collection[Metric]:
    found: dict[str, Metric] = {}
    if not sought or not log.is_file():
        return ()
    for event, _ in backward(log):
        for name in sought.keys() - found.keys():
            value = _value(sought[name], event.message)
            if value is not None:
                found[name] = Metric(name=name, value=value, at=event.timestamp / 1000)
        if len(found) == len(sought):
            break
    return found.values()


def _value(pattern: re.Pattern[str], message: str) -> float | None:
    said = pattern.search(message)
    try:
        value = float(said[1]) if said else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
