"""In which order, and to whom: the same on every host that is asked, in any version of Python."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from groundfog.engine.channels.channel import Share

T = TypeVar("T")


def shuffled(things: Sequence[T], seed: int, epoch: int) -> list[T]:
    """Another order for each epoch, and nothing but seed and epoch decides which."""

    def lot(place: int) -> bytes:
        return hashlib.blake2b(b"%d/%d/%d" % (seed, epoch, place), digest_size=16).digest()

    return [things[place] for place in sorted(range(len(things)), key=lot)]


def dealt(things: Iterable[T], share: Share) -> Iterator[T]:
    """As cards are: every thing to one host, and no host more than one more than another."""
    return (thing for place, thing in enumerate(things) if place % share.hosts == share.host)
