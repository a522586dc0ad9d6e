"""Which replica answers: a variant by its weight, in it the one with the fewest requests outstanding."""

import random
from collections.abc import Collection, Iterator, Mapping, Sequence

from groundfog.engine.endpoints.replica import Replica
from groundfog.engine.endpoints.seat import Seat
from groundfog.engine.errors import Missing


class UnknownVariant(Missing):
    """The endpoint has no variant of this name."""


class Routes:
    """A table that is replaced, never changed; who sits in its seats changes all the time."""

    def __init__(self, weights: Mapping[str, float], seats: Mapping[str, Sequence[Seat]]) -> None:
        self._weights, self._seats = weights, seats

    def choose(self, variant: str | None, avoid: Collection[Replica] = ()) -> tuple[str, Replica] | None:
        """None where no healthy one is left; those to avoid only where there is no other. Raises UnknownVariant."""
        if variant is not None and variant not in self._weights:
            raise UnknownVariant(variant)
        able = {name: found for name in self._open_to(variant) if (found := self._healthy(name))}
        if not able:
            return None
        chosen = self._draw(list(able))
        preferred = [replica for replica in able[chosen] if replica not in avoid] or able[chosen]
        return chosen, min(preferred, key=lambda replica: (replica.outstanding, random.random()))

    def healthy(self) -> dict[str, int]:
        """Instances in service, by variant."""
        return {name: len(self._healthy(name)) for name in self._weights}

    def instances(self, variant: str) -> int:
        """That there are to be."""
        return len(self._seats.get(variant, ()))

    def sitting(self) -> Iterator[tuple[str, Replica]]:
        """With the name of the variant."""
        for variant, seats in self._seats.items():
            for seat in seats:
                if seat.replica is not None:
                    yield variant, seat.replica

    def _open_to(self, variant: str | None) -> list[str]:
        """A variant of weight 0 is asked only by name, unless all are."""
        if variant is not None:
            return [variant]
        return [name for name, weight in self._weights.items() if weight > 0] or list(self._weights)

    def _healthy(self, variant: str) -> list[Replica]:
        sitting = [seat.replica for seat in self._seats[variant]]
        return [replica for replica in sitting if replica is not None and replica.healthy]

    def _draw(self, names: list[str]) -> str:
        if len(names) == 1:
            return names[0]
        weights = [self._weights[name] for name in names]
        return random.choices(names, weights)[0] if any(weights) else random.choice(names)
