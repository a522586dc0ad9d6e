"""What may be asked of a summary, by CloudWatch's names.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

import math
import re
from collections.abc import Callable

from groundfog.engine.errors import Unfit
from groundfog.engine.measurements.summary import Summary

Statistic = Callable[[Summary], float | None]
"""None where the summary does not tell."""
_Pairs = list[tuple[float, float]]
_Measure = Callable[[_Pairs, float, float], float | None]
"""Of all values with their counts, in order, and the bounds of those that are meant."""

SIMPLE: dict[str, Statistic] = {
    "SampleCount": lambda summary: summary.count,
    "Sum": lambda summary: summary.total,
    "Average": lambda summary: summary.total / summary.count if summary.count else None,
    "Minimum": lambda summary: summary.low,
    "Maximum": lambda summary: summary.high,
}

_NUMBER = r"(\d+(?:\.\d+)?)"
_UP_TO = re.compile(rf"(p|tm|tc|ts|wm){_NUMBER}")
_BETWEEN = re.compile(rf"(TM|TC|TS|WM)\((?:{_NUMBER}%)?:(?:{_NUMBER}%)?\)")
_WITHIN = re.compile(r"(TM|TC|TS|WM|PR)\((-?\d+(?:\.\d+)?)?:(-?\d+(?:\.\d+)?)?\)")


def statistic(name: str) -> Statistic:
    """Raises Unfit where there is none of this name."""
    if name in SIMPLE:
        return SIMPLE[name]
    if name == "IQM":
        return _trimmed("TM", 25, 75)
    if found := _UP_TO.fullmatch(name):
        kind, percent = found[1], _percent(name, found[2])
        return _percentile(percent) if kind == "p" else _trimmed(kind.upper(), 0, percent)
    if (found := _BETWEEN.fullmatch(name)) and (found[2] or found[3]):
        return _trimmed(found[1], _percent(name, found[2] or "0"), _percent(name, found[3] or "100"))
    if (found := _WITHIN.fullmatch(name)) and (found[2] or found[3]):
        return _within(found[1], float(found[2] or "-inf"), float(found[3] or "inf"))
    raise Unfit(f"there is no statistic {name}")


def _percent(name: str, text: str) -> float:
    if float(text) > 100:
        raise Unfit(f"{name} asks for more than 100 percent")
    return float(text)


def _percentile(percent: float) -> Statistic:
    def of(summary: Summary) -> float | None:
        return None if summary.tally is None else _rank(sorted(summary.tally.items()), percent)

    return of


def _trimmed(kind: str, low: float, high: float) -> Statistic:
    """Between two percentiles."""

    def of(summary: Summary) -> float | None:
        if summary.tally is None:
            return None
        pairs = sorted(summary.tally.items())
        lowest = _rank(pairs, low) if low else -math.inf
        return _MEASURES[kind](pairs, lowest, _rank(pairs, high))

    return of


def _within(kind: str, low: float, high: float) -> Statistic:
    """Between two values; the lower one is left out."""

    def of(summary: Summary) -> float | None:
        if summary.tally is None:
            return None
        return _MEASURES[kind](sorted(summary.tally.items()), math.nextafter(low, math.inf), high)

    return of


def _rank(pairs: _Pairs, percent: float) -> float:
    """The smallest value than which no more than so many percent are larger."""
    sought, seen = percent / 100 * math.fsum(count for _, count in pairs), 0.0
    for value, count in pairs:
        seen += count
        if seen >= sought:
            return value
    return pairs[-1][0]


def _chosen(pairs: _Pairs, low: float, high: float) -> _Pairs:
    return [(value, count) for value, count in pairs if low <= value <= high]


def _mean(pairs: _Pairs) -> float | None:
    count = math.fsum(count for _, count in pairs)
    return math.fsum(value * count for value, count in pairs) / count if count else None


def _count(pairs: _Pairs, low: float, high: float) -> float:
    return math.fsum(count for _, count in _chosen(pairs, low, high))


_MEASURES: dict[str, _Measure] = {
    "TM": lambda pairs, low, high: _mean(_chosen(pairs, low, high)),
    "TC": _count,
    "TS": lambda pairs, low, high: math.fsum(value * count for value, count in _chosen(pairs, low, high)),
    "WM": lambda pairs, low, high: _mean([(min(max(value, low), high), count) for value, count in pairs]),
    "PR": lambda pairs, low, high: 100 * _count(pairs, low, high) / math.fsum(count for _, count in pairs),
}
