"""Search for the best targets: beam search over many sources at once; with a width of 1 it is greedy.

At each step every hypothesis of a source is continued by every token, and the `width` most probable continuations live
on. A hypothesis that said </s> is finished and stays among them as it is; after `longest` tokens all have to say it.
In the end they are ranked by

    log probability / tokens ** alpha        tokens: </s> included

since each further token costs probability, and long targets would lose for their length alone (Wu et al. 2016, section
7, with Sockeye's simpler denominator). Alpha 1 is the mean, Sockeye's default and ours; alpha 0 is the sum.

With a threshold, what is by more than that less probable than the best unfinished hypothesis of its source is given up
before the beam is full of better ones (Freitag and Al-Onaizan 2017, "absolute threshold pruning").

Letters: B sources still searched   K width of the beam   R = B * K   V vocabulary   S source positions   t steps so far
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..data.batching import Source
from ..data.vocabulary import BEGIN, END, PAD
from ..kernels import decoding
from .constraints import Allowed, permitted


class Rows(Protocol):
    """What is known of several sources, or of several hypotheses."""

    def select(self, rows: Tensor, /) -> Self:
        """Of these rows, in this order."""
        ...


Memory = TypeVar("Memory", bound=Rows)
State = TypeVar("State", bound=Rows)


class Speaker(Protocol[Memory, State]):
    """What says the next token: a network in eval mode, or several of them."""

    @property
    def device(self) -> torch.device: ...

    def begin(self, source: Source, /) -> tuple[Memory, State]:
        """What stays of the source, B rows, and the decoder's state, B rows."""
        ...

    def step(self, tokens: Tensor, state: State, memory: Memory, /) -> tuple[Tensor, State, Tensor]:
        """tokens [R] -> scores [R, V] of the next ones, the state, where it looked [B, K, S]."""
        ...


@dataclass(frozen=True)
class Hypothesis:
    ids: list[int]
    """Without </s>."""
    score: float
    """The log probability over tokens ** alpha; -inf where a constraint left nothing to say."""
    log_probability: float
    """Of all tokens, </s> included."""
    attention: np.ndarray | None
    """[len(ids), source length]: where the decoder looked while it said each token."""
    alternatives: tuple["Hypothesis", ...] = ()
    """With `nbest` > 1 the best ones, this one in front."""


@dataclass(frozen=True)
class Search:
    """What is searched for."""

    width: int
    longest: int
    """Tokens of a target, without </s>."""
    alpha: float = 1.0
    nbest: int = 1
    """How many hypotheses of each source, at most `width`."""
    threshold: float = math.inf
    """Of log probabilities."""
    attention: bool = False
    allowed: Allowed | None = None


@dataclass(frozen=True)
class _Beams:
    places: Tensor
    """[B]: which source of the batch this is."""
    lengths: Tensor
    """[B] of the sources."""
    memory: Rows
    """of B sources"""
    state: Rows
    """of R hypotheses"""
    totals: Tensor
    """[B, K]: log probabilities."""
    said: Tensor
    """[B, K, t]: tokens, <pad> after </s>."""
    looked: Tensor | None
    """[B, K, t, S]"""

    def select(self, kept: Tensor) -> "_Beams":
        width = self.totals.shape[1]
        rows = (kept.unsqueeze(1) * width + torch.arange(width, device=kept.device)).flatten()
        looked = None if self.looked is None else self.looked[kept]
        return _Beams(
            self.places[kept],
            self.lengths[kept],
            self.memory.select(kept),
            self.state.select(rows),
            self.totals[kept],
            self.said[kept],
            looked,
        )

    @property
    def finished(self) -> Tensor:
        """[B, K]"""
        last = self.said[:, :, -1]
        return (last == END) | (last == PAD)

    def scores(self, alpha: float) -> Tensor:
        """[B, K]"""
        return self.totals / (self.said != PAD).sum(2) ** alpha


@torch.inference_mode()
def search(speaker: Speaker[Any, Any], source: Source, wanted: Search) -> list[Hypothesis]:
    """The best target of each source, in order."""
    beams = _first(speaker, source.to(speaker.device), wanted)
    found: dict[int, Hypothesis] = {}
    tokens = torch.full((beams.totals.numel(),), BEGIN, device=speaker.device)
    for spoken in range(wanted.longest + 1):
        last = spoken == wanted.longest
        beams = _continue(speaker, beams, tokens, wanted.allowed, last)
        if wanted.threshold < math.inf:
            beams = _without_those_behind(beams, wanted.threshold)
        done = torch.ones_like(beams.places, dtype=torch.bool) if last else _done(beams, wanted)
        if done.any():
            _collect(found, beams.select(done.nonzero().squeeze(1)), wanted)
            beams = beams.select((~done).nonzero().squeeze(1))
        if not len(beams.places):
            break
        tokens = beams.said[:, :, -1].flatten()
    return [found[place] for place in range(source.ids.shape[1])]


def _first(speaker: Speaker[Any, Any], source: Source, wanted: Search) -> _Beams:
    memory, state = speaker.begin(source)
    longest, sources = source.ids.shape
    places = torch.arange(sources, device=speaker.device)
    # Only the first hypothesis of each is alive, else the first step would find the same continuation K times.
    totals = torch.full((sources, wanted.width), -torch.inf, device=speaker.device)
    totals[:, 0] = 0
    said = places.new_empty(sources, wanted.width, 0)
    looked = totals.new_empty(sources, wanted.width, 0, longest) if wanted.attention else None
    state = state if wanted.width == 1 else state.select(places.repeat_interleave(wanted.width))
    return _Beams(places, source.lengths.to(speaker.device), memory, state, totals, said, looked)


def _continue(speaker: Speaker[Any, Any], beams: _Beams, tokens: Tensor, allowed: Allowed | None, last: bool) -> _Beams:
    """One step of all hypotheses, which said `tokens` [R] last; in the `last` one they come to their end."""
    scores, state, weights = speaker.step(tokens, beams.state, beams.memory)
    sources, width = beams.totals.shape
    scores[:, PAD] = -torch.inf
    scores[:, BEGIN] = -torch.inf
    steps = torch.log_softmax(scores, 1)
    finished = (tokens == END) | (tokens == PAD)
    if allowed is not None:
        # What is allowed keeps its probability among all: the best is the best of what may be said.
        alive = ~finished & (beams.totals.flatten() > -torch.inf)
        steps[~permitted(allowed, beams.places, beams.said, alive, steps.shape[1])] = -torch.inf
    if last:
        steps[:, :END] = -torch.inf
        steps[:, END + 1 :] = -torch.inf
    if width > 1:
        # A finished hypothesis has one continuation, which costs nothing.
        steps[finished] = -torch.inf
        steps[finished, PAD] = 0
    vocabulary = steps.shape[1]
    totals = (beams.totals.view(-1, 1) + steps).view(sources, width * vocabulary)
    best, chosen = totals.topk(width, 1) if width > 1 else totals.max(1, keepdim=True)
    said = (chosen % vocabulary).unsqueeze(2)  # [B, K, 1]
    looked = None if beams.looked is None else weights.unsqueeze(2)  # [B, K, 1, S]
    if width == 1:
        said = torch.cat([beams.said, said], 2)
        looked = None if looked is None or beams.looked is None else torch.cat([beams.looked, looked], 2)
        return replace(beams, state=state, totals=best, said=said, looked=looked)
    parents = chosen // vocabulary  # [B, K]
    source = torch.arange(sources, device=tokens.device).unsqueeze(1)
    said = torch.cat([beams.said[source, parents], said], 2)
    if looked is not None and beams.looked is not None:
        looked = torch.cat([beams.looked, looked], 2)[source, parents]
    rows = (source * width + parents).flatten()
    return replace(beams, state=state.select(rows), totals=best, said=said, looked=looked)


def _without_those_behind(beams: _Beams, threshold: float) -> _Beams:
    finished = beams.finished
    best = beams.totals.masked_fill(finished, -torch.inf).amax(1, keepdim=True)
    behind = ~finished & (beams.totals < best - threshold)
    return replace(beams, totals=beams.totals.masked_fill(behind, -torch.inf))


def _done(beams: _Beams, wanted: Search) -> Tensor:
    """[B]: nothing better can come. Log probabilities only fall, so that the longest target at today's is the bound."""
    finished = beams.finished
    never = beams.totals.new_tensor(-torch.inf)
    reached = torch.where(finished, beams.scores(wanted.alpha), never)
    to_come = torch.where(finished, never, beams.totals / (wanted.longest + 1) ** wanted.alpha).amax(1)
    return reached.topk(wanted.nbest, 1).values[:, -1] >= to_come


def _collect(found: dict[int, Hypothesis], beams: _Beams, wanted: Search) -> None:
    """The best of each of these sources."""
    best, order = torch.where(beams.finished, beams.scores(wanted.alpha), -torch.inf).topk(wanted.nbest, 1)
    every = torch.arange(len(order), device=order.device).unsqueeze(1)
    said, totals, ranked = beams.said[every, order].tolist(), beams.totals[every, order].tolist(), best.tolist()
    looked = None if beams.looked is None else beams.looked[every, order].float().cpu().numpy()
    lengths = beams.lengths.tolist()
    for number, place in enumerate(beams.places.tolist()):
        hypotheses = [
            Hypothesis(
                ids := _until_end(said[number][rank]),
                score,
                totals[number][rank],
                None if looked is None else looked[number, rank, : len(ids), : lengths[number]],
            )
            for rank, score in enumerate(ranked[number])
            if score > -torch.inf
        ]
        found[place] = _best_of(hypotheses, wanted)


def _best_of(hypotheses: Sequence[Hypothesis], wanted: Search) -> Hypothesis:
    nothing = Hypothesis([], -torch.inf, -torch.inf, np.zeros((0, 0), np.float32) if wanted.attention else None)
    first = hypotheses[0] if hypotheses else nothing
    return replace(first, alternatives=tuple(hypotheses)) if wanted.nbest > 1 else first


def _until_end(said: Sequence[int]) -> list[int]:
    ends = (at for at, token in enumerate(said) if token in (END, PAD))
    return list(said[: next(ends, len(said))])


def search_all(
    speaker: Speaker[Any, Any],
    sources: Sequence[Sequence[int] | np.ndarray],
    *,
    width: int,
    longest: int,
    alpha: float = 1.0,
    nbest: int = 1,
    threshold: float = math.inf,
    attention: bool = False,
    allowed: Allowed | None = None,
) -> list[Hypothesis]:
    """`search` over any number of sources, those of about one length together; an empty source has an empty target.

    A threshold is for who wants the best target only: with `nbest` above 1 none is given up. Greedy search has none to.

    The usual network alone, without constraints, is searched with by compiled steps, where there is a compiler.
    """
    found = [Hypothesis([], 0.0, 0.0, np.zeros((0, 0), np.float32) if attention else None) for _ in sources]
    threshold = threshold if nbest == 1 < width else math.inf
    wanted = Search(max(width, nbest), longest, alpha, nbest, threshold, attention)
    order = sorted(
        (place for place, source in enumerate(sources) if len(source)), key=lambda place: len(sources[place])
    )
    compiled = decoding.of(speaker) if allowed is None else None
    together = max(1, _ROWS // wanted.width)
    for start in range(0, len(order), together):
        places = order[start : start + together]
        batch = [sources[place] for place in places]
        if compiled is not None:
            best = [
                _best_of([Hypothesis(*each) for each in spoken], wanted) for spoken in compiled.search(batch, wanted)
            ]
        else:
            theirs = None if allowed is None else [allowed[place] for place in places]
            best = search(speaker, Source.of(batch), replace(wanted, allowed=theirs))
        for place, hypothesis in zip(places, best, strict=True):
            found[place] = hypothesis
    return found


_ROWS = 320
"""Hypotheses in one forward pass: enough for full speed, few enough to stay in the cache."""
