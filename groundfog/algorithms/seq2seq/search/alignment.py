"""Alignment: where a model looks while it says a target that it is given, and how probable that target is to it.

Search asks for the best target; here the target is known, and each step is told the right token before it ("forced
decoding"). Where the decoder looks then says which source tokens a target token comes from.

Letters: B pairs together   T target tokens, </s> included   S source tokens
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..data.batching import Source
from ..data.vocabulary import BEGIN, END, PAD
from ..kernels import decoding
from .beam import Hypothesis, Speaker

_TOGETHER = 64

Ids = Sequence[int]


@torch.inference_mode()
def forced(speaker: Speaker[Any, Any], pairs: Sequence[tuple[Ids, Ids]], alpha: float = 1.0) -> list[Hypothesis]:
    """Each target as if search had found it, with its attention; an empty source looks nowhere."""
    found = [Hypothesis(list(target), 0.0, 0.0, np.zeros((len(target), 0), np.float32)) for _, target in pairs]
    order = sorted((at for at, (source, _) in enumerate(pairs) if source), key=lambda at: len(pairs[at][0]))
    compiled = decoding.of(speaker)
    for start in range(0, len(order), _TOGETHER):
        places = order[start : start + _TOGETHER]
        some = [pairs[place] for place in places]
        told = _together(speaker, some) if compiled is None else compiled.tell(some)
        for place, (total, looked) in zip(places, told, strict=True):
            target = list(pairs[place][1])
            found[place] = Hypothesis(target, total / (len(target) + 1) ** alpha, total, looked)
    return found


def _together(speaker: Speaker[Any, Any], pairs: Sequence[tuple[Ids, Ids]]) -> Iterator[tuple[float, np.ndarray]]:
    """Log probability and attention [T - 1, S] of each target."""
    source = Source.of([source for source, _ in pairs]).to(speaker.device)
    memory, state = speaker.begin(source)
    tokens = torch.full((len(pairs),), BEGIN, device=speaker.device)
    steps, looked = [], []
    for at in range(max(len(target) for _, target in pairs) + 1):
        scores, state, weights = speaker.step(tokens, state, memory)
        scores[:, PAD] = -torch.inf
        scores[:, BEGIN] = -torch.inf
        tokens = torch.tensor([(*target, END)[at] if at <= len(target) else PAD for _, target in pairs])
        tokens = tokens.to(speaker.device)
        steps.append(torch.log_softmax(scores, 1).gather(1, tokens.unsqueeze(1)))  # [B, 1]
        looked.append(weights)  # [B, 1, S]
    logarithms = torch.cat(steps, 1).tolist()  # [B, T]
    attention = torch.cat(looked, 1).float().cpu().numpy()  # [B, T, S]
    for row, (ids, target) in enumerate(pairs):
        yield sum(logarithms[row][: len(target) + 1]), attention[row, : len(target), : len(ids)]
