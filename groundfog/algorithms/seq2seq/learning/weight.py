"""How much joint n-grams have to say beside a network: what is right most often on validation data."""

import math
from collections import defaultdict
from typing import Any

from ..data.batching import Corpus
from ..hyperparameters import Hyperparameters
from ..ngrams.model import JointNgrams
from ..ngrams.plain import Ids
from ..search.beam import Search, Speaker
from ..search.opinions import best, named
from .progress import NgramsWeighed

_WEIGHTS = tuple(tenths / 10 for tenths in range(10))
"""Of those that are equally good the least is taken: with none, only the network is asked."""
_MOST_SOURCES, _MOST_TOKENS = 500, 10_000
"""Of the validation data. Not for so many seconds: the same training is to leave the same model."""
_ENOUGH = 50
"""With fewer sources the n-grams keep the weight that they have."""


def weigh(
    speaker: Speaker[Any, Any], ngrams: JointNgrams, validation: Corpus, options: Hyperparameters
) -> NgramsWeighed:
    """Sets the n-grams' weight to the hyperparameter, or, where that is open, to the best of several."""
    given = options.joint_ngram_weight
    right = dict.fromkeys((*_WEIGHTS, ngrams.weight) if given is None else (0.0, given), 0)
    wanted = Search(
        options.beam_size,
        options.max_seq_len_target,
        options.length_penalty_alpha,
        threshold=options.beam_threshold or math.inf,
    )
    asked = _some(validation)
    for several, targets in zip(named(speaker, ngrams, list(asked), wanted), asked.values(), strict=True):
        for weight in right:
            right[weight] += tuple(best(several, weight, wanted).ids) in targets
    if given is not None:
        ngrams.weight = given
    elif len(asked) >= _ENOUGH:
        ngrams.weight = max(right, key=right.__getitem__)
    return NgramsWeighed(ngrams.weight, len(asked), right[ngrams.weight], right[0.0])


def _some(validation: Corpus) -> dict[Ids, set[Ids]]:
    """Sources from all of the data, and the targets that are right."""
    targets: dict[Ids, set[Ids]] = defaultdict(set)
    for number in range(len(validation)):
        targets[tuple(validation.sources[number].tolist())].add(tuple(validation.targets[number].tolist()))
    sources = [source for source in targets if source]
    tokens = sum(map(len, sources))
    each = max(1, -(-len(sources) // _MOST_SOURCES), -(-tokens // _MOST_TOKENS))
    return {source: targets[source] for source in sources[::each]}
