"""A network and joint n-grams together: the target that both find probable.

    log p = (1 - weight) * log p of the network + weight * log p of the n-grams     (a product of experts, Hinton 2002)

The network names what is in its beam, the n-grams half as many targets, and both judge all of them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..data.vocabulary import END
from ..ngrams.model import JointNgrams, Opinion
from .alignment import Ids, forced
from .beam import Hypothesis, Search, Speaker, search_all
from .constraints import Following


class Named(NamedTuple):
    """A target that was named."""

    hypothesis: Hypothesis
    """As probable as the network finds it."""
    log: float | None
    """The logarithm of the probability that the n-grams give to it; None where they think nothing."""


def named(
    speaker: Speaker[Any, Any], ngrams: JointNgrams, sources: Sequence[Ids], wanted: Search
) -> Iterator[list[Named]]:
    """The targets of each source that one of the two has named."""
    found = search_all(speaker, sources, **(vars(wanted) | {"nbest": wanted.width}))
    opinions = ngrams.opinions(sources, (wanted.width + 1) // 2)
    every = [list(each.alternatives or (each,)) for each in found]
    constraints = wanted.allowed or [None] * len(sources)
    further = [
        (place, target)
        for place, (opinion, theirs, allowed) in enumerate(zip(opinions, every, constraints, strict=True))
        for target in _further(opinion, {tuple(each.ids) for each in theirs}, allowed, wanted)
    ]
    told = forced(speaker, [(sources[place], target) for place, target in further], wanted.alpha)
    for (place, _), hypothesis in zip(further, told, strict=True):
        every[place].append(hypothesis)
    for theirs, opinion in zip(every, opinions, strict=True):
        yield [Named(each, opinion.of(each.ids)) for each in theirs]


def _further(
    opinion: Opinion, known: set[tuple[int, ...]], allowed: Following | None, wanted: Search
) -> Iterator[tuple[int, ...]]:
    """What the n-grams would say and the network has not named, without what is far behind."""
    least = max(opinion.likeliest.values(), default=0.0) - wanted.threshold
    for target, log in opinion.likeliest.items():
        if log >= least and target not in known and len(target) <= wanted.longest and _may_be_said(target, allowed):
            yield target


def _may_be_said(target: tuple[int, ...], allowed: Following | None) -> bool:
    steps = enumerate((*target, END))
    return allowed is None or all(token in list(allowed(list(target[:at]))) for at, token in steps)


def weighed(each: Named, weight: float, alpha: float) -> Hypothesis:
    """The hypothesis, as probable as both together find it."""
    alone = each.hypothesis.log_probability
    if each.log is None or alone == -math.inf:
        return each.hypothesis
    total = (1 - weight) * alone + weight * each.log
    return replace(each.hypothesis, log_probability=total, score=total / (len(each.hypothesis.ids) + 1) ** alpha)


def best(several: Sequence[Named], weight: float, wanted: Search) -> Hypothesis:
    """With `nbest` above 1 the best ones as its alternatives."""
    ranked = sorted((weighed(each, weight, wanted.alpha) for each in several), key=lambda each: -each.score)
    ranked = [each if wanted.attention else replace(each, attention=None) for each in ranked[: wanted.nbest]]
    return replace(ranked[0], alternatives=tuple(ranked)) if wanted.nbest > 1 else ranked[0]
