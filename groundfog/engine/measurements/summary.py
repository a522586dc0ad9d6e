"""What was measured in some span of time, in as much room as one number needs, or a few hundred."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MOST_DISTINCT = 200
"""Values that a tally tells apart. Where there are more, they are rounded, so that percentiles are a little off."""


@dataclass(frozen=True)
class Summary:
    """Adding up loses nothing but, at last, digits of the tally. `tally` is how often each value came; None where that
    was not said, and then there are no percentiles."""

    count: float
    total: float
    low: float
    high: float
    tally: Mapping[float, float] | None = None

    @classmethod
    def of(cls, *values: float) -> "Summary":
        return cls.counted((value, 1.0) for value in values)

    @classmethod
    def counted(cls, pairs: Iterable[tuple[float, float]]) -> "Summary":
        """Of values and how often each came: at least one, and at least once."""
        tally: dict[float, float] = {}
        for value, count in pairs:
            tally[value] = tally.get(value, 0.0) + count
        total = math.fsum(value * count for value, count in tally.items())
        return cls(math.fsum(tally.values()), total, min(tally), max(tally), _rounded(tally))

    @classmethod
    def said(cls, count: float, total: float, low: float, high: float) -> "Summary":
        """As a client sums up what it does not tell one by one."""
        return cls(count, total, low, high, {low: count} if low == high else None)

    def __add__(self, other: "Summary") -> "Summary":
        tally: dict[float, float] | None = None
        if self.tally is not None and other.tally is not None:
            tally = dict(self.tally)
            for value, count in other.tally.items():
                tally[value] = tally.get(value, 0.0) + count
        return Summary(
            self.count + other.count,
            self.total + other.total,
            min(self.low, other.low),
            max(self.high, other.high),
            None if tally is None else _rounded(tally),
        )

    @property
    def tally_json(self) -> str | None:
        return None if self.tally is None else json.dumps(sorted(self.tally.items()), separators=(",", ":"))


def _rounded(tally: dict[float, float]) -> dict[float, float]:
    """With as many digits as leave few enough values."""
    digits = 6
    while len(tally) > MOST_DISTINCT and digits > 0:
        coarser: dict[float, float] = {}
        for value, count in tally.items():
            near = float(f"{value:.{digits}g}")
            coarser[near] = coarser.get(near, 0.0) + count
        tally, digits = coarser, digits - 1
    return tally
