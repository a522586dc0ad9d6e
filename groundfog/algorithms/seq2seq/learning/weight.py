"""How much joint n-grams have to say beside a network: what is right most often on validation data."""

import math
import time
from collections import defaultdict
from typing import Any

from ..data.batching import Corpus
from ..hyperparameters import Hyperparameters
from ..ngrams.model import JointNgrams
from ..search.beam import Search, Speaker
from ..search.opinions import best, named
from .progress import NgramsWeighed

_WEIGHTS = tuple(tenths / 10 for tenths in range(10))
"""Of those that are equally good the least is taken: with none, only the network is asked."""
_SOURCES, _SECONDS, _AT_ONCE = 1000, 20.0, 100
_ENOUGH = 50
"""With fewer sources the n-grams keep the weight that they have."""


def weigh(
    speaker: Speaker[Any, Any], ngrams: JointNgrams, validation: Corpus, options: Hyperparameters
) -> NgramsWeighed:
    """Sets the n-grams' weight to the hyperparameter, or, where that is open, to the best of several."""
    given = options.joint_ngram_weight
    right = dict.fromkeys((*_WEIGHTS, ngrams.weight) if given is None else (0.0, given), 0)
    targets: dict[tuple[int, ...], set[tuple[int, ...]]] = defaultdict(set)
    for number in range(len(validation)):
        targets[tuple(validation.sources[number].tolist())].add(tuple(validation.targets[number].tolist()))
    sources = [source for source in targets if source][:_SOURCES]
    wanted = Search(
        options.beam_size,
        options.max_seq_len_target,
        options.length_penalty_alpha,
        threshold=options.beam_threshold or math.inf,
    )
    began, asked = time.monotonic(), 0
    while asked < len(sources) and time.monotonic() - began < _SECONDS:
        some = sources[asked : asked + _AT_ONCE]
        asked += len(some)
        for source, several in zip(some, named(speaker, ngrams, some, wanted), strict=True):
            for weight in right:
                right[weight] += tuple(best(several, weight, wanted).ids) in targets[source]
    if given is not None:
        ngrams.weight = given
    elif asked >= _ENOUGH:
        ngrams.weight = max(right, key=right.__getitem__)
    return NgramsWeighed(ngrams.weight, asked, right[ngrams.weight], right[0.0])
