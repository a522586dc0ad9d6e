"""Scores of a model: how probable the right targets are to it, and how near its own targets come."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from ..data.vocabulary import PAD


def loss_of(scores: Tensor, outputs: Tensor) -> Tensor:
    """Cross-entropy in nats, summed over the real tokens; scores [T, B, V], outputs [T, B]."""
    return functional.cross_entropy(scores.flatten(0, 1), outputs.flatten(), ignore_index=PAD, reduction="sum")


def smoothed_loss_of(scores: Tensor, outputs: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """What to learn from, and the true cross-entropy, which is what is told.

    With label smoothing (Szegedy et al. 2016, section 7) the right token is worth 1 - `smoothing`, and the rest is
    spread over the whole vocabulary: a model that need not be certain generalises better.
    """
    if not smoothing:
        loss = loss_of(scores, outputs)
        return loss, loss
    logarithms = functional.log_softmax(scores, -1)
    true = functional.nll_loss(logarithms.flatten(0, 1), outputs.flatten(), ignore_index=PAD, reduction="sum")
    even = -logarithms.mean(-1)[outputs != PAD].sum()
    return (1 - smoothing) * true + smoothing * even, true


@dataclass
class Tally:
    """What perplexity and accuracy are made of, added up over batches."""

    loss: float = 0.0
    right: int = 0
    tokens: int = 0

    def add(self, loss: float, scores: Tensor, outputs: Tensor) -> None:
        real = outputs != PAD
        self.loss += loss
        self.right += int(((scores.detach().argmax(-1) == outputs) & real).sum())
        self.tokens += int(real.sum())

    def include(self, other: "Tally") -> None:
        self.loss += other.loss
        self.right += other.right
        self.tokens += other.tokens

    @property
    def perplexity(self) -> float:
        """e to the mean loss of a token; infinite where that is beyond any number."""
        mean = self.loss / max(self.tokens, 1)
        return math.exp(mean) if mean < 700 else math.inf

    @property
    def accuracy(self) -> float:
        """The share of tokens that are the most probable one, told the right ones before."""
        return self.right / max(self.tokens, 1)


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU (Papineni et al. 2002) of tokenised lines, from 0 to 1, smoothed as Sockeye smooths it."""
    # Sacrebleu is slow to import and a model server never needs it.
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(tokenize="none", force=True, smooth_method="floor", smooth_value=0.01)
    return min(1.0, float(scorer.corpus_score(list(hypotheses), [list(references)]).score) / 100)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF (Popovic 2015), from 0 to 1."""
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF().corpus_score(list(hypotheses), [list(references)]).score) / 100


def edits(left: Sequence[str], right: Sequence[str]) -> int:
    """Levenshtein distance: insertions, deletions and substitutions of tokens that make one the other."""
    row = list(range(len(right) + 1))
    for number, token in enumerate(left, start=1):
        diagonal, row[0] = row[0], number
        for place, other in enumerate(right, start=1):
            diagonal, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, diagonal + (token != other))
    return row[-1]


@dataclass(frozen=True)
class ErrorRates:
    sequence: float
    """The share of hypotheses that equal none of their references (in pronunciation: word error rate)."""
    token: float
    """Edits to the nearest reference, per token of it (in pronunciation: phoneme error rate)."""


def error_rates(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> ErrorRates:
    """Each hypothesis, a list of tokens, may have several right answers."""
    wrong = made = tokens = 0
    for hypothesis, right in zip(hypotheses, references, strict=True):
        distance, length = min((edits(hypothesis, reference), len(reference)) for reference in right)
        wrong += distance > 0
        made += distance
        tokens += length
    return ErrorRates(wrong / max(len(hypotheses), 1), made / max(tokens, 1))
