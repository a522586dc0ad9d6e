"""What is chosen where nobody says: what text is made of, how wide a network is, how long it learns.

The documented defaults (1024 wide, a checkpoint each 1,000 batches) are for a machine with a large GPU and millions of
pairs. Without a word the command takes a network that a laptop trains in minutes, and says so.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..data.tokenizer import Blanks, Words
from ..hyperparameters import Hyperparameters

SIZES: dict[str, dict[str, int]] = {
    size: {
        "rnn_num_hidden": width,
        "cnn_num_hidden": width,
        "transformer_model_size": width,
        "transformer_feed_forward_num_hidden": 4 * width,
        "num_embed_source": width // 2,
        "num_embed_target": width // 2,
    }
    for size, width in (("small", 128), ("medium", 256), ("large", 512))
}
SIZES["large"]["num_layers_encoder"] = 2
LONGEST = 400
"""Tokens of a sequence, where max_seq_len_source and _target are not said; longer ones are cut off."""

_NGRAMS = 8
_MOST_PLACES = 1 << 25
"""Five times CMUdict."""
_MOST_ROWS = 20_000
"""Six times CMUdict."""

_LOOKED_AT = 20_000
_LONG_TEXT = 100


def kind_of(texts: Sequence[str], sentencepiece: bool) -> str:
    """What these texts are probably made of.

    Tokens with blanks between them (phonemes, say) are few, and each is seen again and again; so are words where little
    else is talked about. Other short texts are taken by their characters, and long ones by pieces of words.
    """
    some = list(itertools.islice(texts, _LOOKED_AT))
    blank, word = ([tokenizer.split(text) for text in some] for tokenizer in (Blanks(), Words()))
    if _are_closed(blank) and _different(blank) < 2 * _different(word):
        return "blank"
    if _are_closed(word):
        return "word"
    if sum(map(len, some)) / len(some) <= _LONG_TEXT:
        return "character"
    return "sentencepiece" if sentencepiece else "word"


def _are_closed(sentences: list[list[str]]) -> bool:
    """Whether the tokens of text to come will be known: of those here, one in a hundred at most stands here once."""
    counts = Counter(token for sentence in sentences for token in sentence)
    alone = sum(count == 1 for count in counts.values())
    several = sum(len(sentence) > 1 for sentence in sentences)
    return alone <= counts.total() / 100 and several >= len(sentences) / 2


def _different(sentences: list[list[str]]) -> int:
    return len({token for sentence in sentences for token in sentence})


def hyperparameters(size: str, pairs: int, longest_source: int, longest_target: int) -> dict[str, Any]:
    """For so many training pairs, whose longest sides have so many tokens."""
    return {
        **SIZES[size],
        **_plan(pairs),
        "max_seq_len_source": min(longest_source, LONGEST),
        "max_seq_len_target": min(longest_target, LONGEST),
        "learning_rate": 0.002 if size != "large" else 0.001,
        "embed_dropout_source": 0.1,
        "embed_dropout_target": 0.1,
        "plateau_reduce_lr_threshold": 2,
    }


def joint_ngram_order(lengths: Sequence[tuple[int, int]]) -> int:
    """For pairs with so many source and target tokens: 8 if nearly all can be cut into pieces, in minutes; else 0."""
    from ..ngrams.pieces import LONGEST

    short = sum(target <= LONGEST * source for source, target in lengths)
    places = sum(source * (target + 1) for source, target in lengths)
    # Pairs of the same lengths are learnt from together, so that many different ones take long.
    rows = sum(source for source, _ in set(lengths))
    return _NGRAMS if short >= 0.95 * len(lengths) and places <= _MOST_PLACES and rows <= _MOST_ROWS else 0


def hyperparameters_after(learnt: Hyperparameters, pairs: int) -> dict[str, Any]:
    """For a model that goes on with so many pairs: in smaller steps, for what it knows is nearly right."""
    return asdict(learnt) | _plan(pairs) | {"max_num_batches": -1, "learning_rate": learnt.learning_rate / 3}


def _plan(pairs: int) -> dict[str, int]:
    batch_size = 32 if pairs < 20_000 else 64 if pairs < 200_000 else 128
    batches = -(-pairs // batch_size)
    return {
        "batch_size": batch_size,
        # A look at the validation data about once an epoch; small data is gone through more often between two looks.
        "checkpoint_frequency_num_batches": min(1000, max(100, batches)),
        "checkpoint_threshold": 6,
        "max_num_epochs": max(40, -(-4000 // batches)),
    }
