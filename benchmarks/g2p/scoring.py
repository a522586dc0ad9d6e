"""How wrong pronunciations are: a word is right if it equals any of the pronunciations that the dictionary has."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from dictionary import Entries

from groundfog.algorithms.seq2seq.learning.scores import error_rates


class Scores(NamedTuple):
    """In percent. "Plain" is without stress: AA0, AA1 and AA2 are one phoneme then."""

    wer: float
    per: float
    plain_wer: float
    plain_per: float

    def __str__(self) -> str:
        return (
            f"WER {self.wer:5.2f}  PER {self.per:5.2f}   without stress  WER {self.plain_wer:5.2f}  "
            f"PER {self.plain_per:5.2f}"
        )


def score(said: Sequence[Sequence[str]], entries: Entries) -> Scores:
    """What was said for each word of `entries`, in their order."""
    references = list(entries.values())
    stressed = error_rates(said, references)
    plain = error_rates(
        [without_stress(phonemes) for phonemes in said],
        [[without_stress(phonemes) for phonemes in spoken] for spoken in references],
    )
    return Scores(*(100 * rate for rate in (stressed.sequence, stressed.token, plain.sequence, plain.token)))


def without_stress(phonemes: Sequence[str]) -> list[str]:
    return [phoneme.rstrip("012") for phoneme in phonemes]


def standard_error(wer: float, words: int) -> float:
    """Of a word error rate in percent: two systems nearer to each other than twice this are not told apart."""
    share = wer / 100
    return 100 * math.sqrt(share * (1 - share) / words)
