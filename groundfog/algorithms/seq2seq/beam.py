"""Search for the best target: beam search over many sources at once; with a width of 1 it is greedy.

At each step every hypothesis of a source is continued by every token, and the `width` most probable continuations live
on. A hypothesis that said </s> is finished and stays among them as it is. In the end the finished one wins whose mean
log probability per token, </s> included, is the highest (Wu et al. 2016, section 7, with alpha 1; Sockeye's default).

Letters: B sources still searched   K width of the beam   R = B * K   V vocabulary   S source positions   t steps so far
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .batching import Source
from .decoder import DecoderState, Memory
from .network import Network
from .vocabulary import BEGIN, END, PAD


@dataclass(frozen=True)
class Hypothesis:
    ids: list[int]
    """Without </s>."""
    score: float
    """Mean log probability per token, </s> included."""
    attention: np.ndarray | None
    """[len(ids), source length]: where the decoder looked while it said each token."""


@dataclass(frozen=True)
class _Beams:
    places: Tensor
    """[B]: which source of the batch this is."""
    lengths: Tensor
    """[B] of the sources."""
    memory: Memory
    state: DecoderState
    """of R rows"""
    scores: Tensor
    """[B, K]: log probabilities."""
    said: Tensor
    """[B, K, t]: tokens, <pad> after </s>."""
    looked: Tensor | None
    """[B, K, t, S]"""

    def select(self, kept: Tensor) -> "_Beams":
        width = self.scores.shape[1]
        rows = (kept.unsqueeze(1) * width + torch.arange(width, device=kept.device)).flatten()
        looked = None if self.looked is None else self.looked[kept]
        return _Beams(
            self.places[kept],
            self.lengths[kept],
            self.memory.select(kept),
            self.state.select(rows),
            self.scores[kept],
            self.said[kept],
            looked,
        )


@torch.inference_mode()
def search(network: Network, source: Source, *, width: int, longest: int, attention: bool = False) -> list[Hypothesis]:
    """The best target of each source, in order, of at most `longest` tokens. The network has to be in eval mode."""
    beams = _first(network, source.to(network.device), width, attention)
    found: dict[int, Hypothesis] = {}
    tokens = torch.full((beams.scores.numel(),), BEGIN, device=network.device)
    for spoken in range(1, longest + 1):
        beams = _continue(network, beams, tokens)
        done = _done(beams, longest) if spoken < longest else torch.ones_like(beams.places, dtype=torch.bool)
        if done.any():
            _collect(found, beams.select(done.nonzero().squeeze(1)))
            beams = beams.select((~done).nonzero().squeeze(1))
        if not len(beams.places):
            break
        tokens = beams.said[:, :, -1].flatten()
    return [found[place] for place in range(source.ids.shape[1])]


def _first(network: Network, source: Source, width: int, attention: bool) -> _Beams:
    memory, state = network.begin(source)
    sources = source.ids.shape[1]
    places = torch.arange(sources, device=network.device)
    # Only the first hypothesis of each is alive, else the first step would find the same continuation K times.
    scores = memory.keys.new_full((sources, width), -torch.inf)
    scores[:, 0] = 0
    said = places.new_empty(sources, width, 0)
    looked = memory.keys.new_empty(sources, width, 0, source.ids.shape[0]) if attention else None
    state = state if width == 1 else state.select(places.repeat_interleave(width))
    return _Beams(places, source.lengths.to(network.device), memory, state, scores, said, looked)


def _continue(network: Network, beams: _Beams, tokens: Tensor) -> _Beams:
    """One step of all hypotheses, which said `tokens` [R] last."""
    scores, state, weights = network.decoder.step(tokens, beams.state, beams.memory)
    sources, width = beams.scores.shape
    scores[:, PAD] = -torch.inf
    scores[:, BEGIN] = -torch.inf
    steps = torch.log_softmax(scores, 1)
    finished = (tokens == END) | (tokens == PAD)
    if width > 1:
        # A finished hypothesis has one continuation, which costs nothing.
        steps[finished] = -torch.inf
        steps[finished, PAD] = 0
    vocabulary = steps.shape[1]
    totals = (beams.scores.view(-1, 1) + steps).view(sources, width * vocabulary)
    best, chosen = totals.topk(width, 1) if width > 1 else totals.max(1, keepdim=True)
    said = (chosen % vocabulary).unsqueeze(2)  # [B, K, 1]
    looked = None if beams.looked is None else weights.unsqueeze(2)  # [B, K, 1, S]
    if width == 1:
        said = torch.cat([beams.said, said], 2)
        looked = None if looked is None or beams.looked is None else torch.cat([beams.looked, looked], 2)
        return replace(beams, state=state, scores=best, said=said, looked=looked)
    parents = chosen // vocabulary  # [B, K]
    source = torch.arange(sources, device=tokens.device).unsqueeze(1)
    said = torch.cat([beams.said[source, parents], said], 2)
    if looked is not None and beams.looked is not None:
        looked = torch.cat([beams.looked, looked], 2)[source, parents]
    rows = (source * width + parents).flatten()
    return replace(beams, state=state.select(rows), scores=best, said=said, looked=looked)


def _done(beams: _Beams, longest: int) -> Tensor:
    """[B]: nothing better can come. Log probabilities only fall, so no hypothesis ends above score / longest."""
    last = beams.said[:, :, -1]
    finished = (last == END) | (last == PAD)
    if beams.scores.shape[1] == 1:
        return finished[:, 0]
    never = beams.scores.new_tensor(-torch.inf)
    reached = torch.where(finished, beams.scores / _spoken(beams.said), never).amax(1)
    to_come = torch.where(finished, never, beams.scores / longest).amax(1)
    return reached >= to_come


def _spoken(said: Tensor) -> Tensor:
    """[B, K, t] -> [B, K]: tokens of each hypothesis, </s> included."""
    return (said != PAD).sum(2)


def _collect(found: dict[int, Hypothesis], beams: _Beams) -> None:
    """The best of each of these sources; an unfinished one only where none is finished."""
    last = beams.said[:, :, -1]
    finished = (last == END) | (last == PAD)
    means = beams.scores / _spoken(beams.said)
    ranked = torch.where(finished | ~finished.any(1, keepdim=True), means, -torch.inf)
    winners = ranked.argmax(1)
    every = torch.arange(len(winners), device=winners.device)
    said = beams.said[every, winners].tolist()
    scores = means[every, winners].tolist()
    looked = None if beams.looked is None else beams.looked[every, winners].float().cpu().numpy()
    lengths = beams.lengths.tolist()
    for number, place in enumerate(beams.places.tolist()):
        ids = _until_end(said[number])
        where = None if looked is None else looked[number, : len(ids), : lengths[number]]
        found[place] = Hypothesis(ids, scores[number], where)


def _until_end(said: Sequence[int]) -> list[int]:
    ends = (at for at, token in enumerate(said) if token in (END, PAD))
    return list(said[: next(ends, len(said))])


def search_all(
    network: Network,
    sources: Sequence[Sequence[int] | np.ndarray],
    *,
    width: int,
    longest: int,
    attention: bool = False,
) -> list[Hypothesis]:
    """`search` over any number of sources, those of about one length together; an empty source has an empty target."""
    found = [Hypothesis([], 0.0, np.zeros((0, 0), np.float32) if attention else None) for _ in sources]
    order = sorted(
        (place for place, source in enumerate(sources) if len(source)), key=lambda place: len(sources[place])
    )
    together = max(1, _ROWS // width)
    for start in range(0, len(order), together):
        places = order[start : start + together]
        batch = Source.of([sources[place] for place in places])
        for place, hypothesis in zip(
            places, search(network, batch, width=width, longest=longest, attention=attention), strict=True
        ):
            found[place] = hypothesis
    return found


_ROWS = 320
"""Hypotheses in one forward pass: enough for full speed, few enough to stay in the cache."""
