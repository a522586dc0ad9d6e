"""From numbers to places on a chart, and the round numbers that stand beside its axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """`low` is at the place `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float, *, logarithmic: bool = False) -> "Scale":
        """With room for all values, and some where all are the same; `logarithmic` where they are far apart."""
        low, high = min(values, default=0.0), max(values, default=1.0)
        logarithmic = logarithmic and low > 0 and high / low > 8
        if logarithmic:
            return cls(low / 1.08, high * 1.08, start, end, True)
        room = (high - low) * 0.06 or abs(high) * 0.1 or 0.5
        return cls(max(low - room, 0.0) if low >= 0 else low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        low, high, at = (math.log(each) if self.logarithmic else each for each in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """A handful of round numbers within."""
        if not self.logarithmic:
            return round_numbers(self.low, self.high)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
            found = [step * 10.0**decade for decade in decades for step in steps]
            within = [value for value in found if self.low <= value <= self.high]
            if len(within) >= 3:
                return within[:: math.ceil(len(within) / 6)]
        return within


def round_numbers(low: float, high: float, most: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from `low` to `high`, at most about `most`."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def plain(value: float) -> str:
    """As few digits as tell it, none so long that it leaves an axis: 2.8e-4, 1.25, 12,300."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.001:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{float(digits):g}e{int(exponent)}"
    return f"{value:.3g}"


def percent(value: float) -> str:
    return f"{value * 100:.3g} %"


def thousands(value: float) -> str:
    """For an axis: 1,500 is 1.5k."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
