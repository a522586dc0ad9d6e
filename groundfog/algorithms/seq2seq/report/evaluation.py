"""How good a model is on pairs that it has not seen: its scores, its errors, and where it looked."""

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.vocabulary import Sentence
from ..errors import InputFault
from ..learning.scores import bleu, chrf
from .analysis import Analysis, Example, analyse
from .document import About, Report, curves_of

if TYPE_CHECKING:
    from ..search.translation import Translator


@dataclass(frozen=True)
class Look:
    """An output and where the model looked for each of its tokens."""

    source: list[str]
    said: list[str]
    reference: list[str]
    score: float
    matrix: list[list[float]] = field(repr=False)

    @property
    def right(self) -> bool:
        return self.said == self.reference


@dataclass(frozen=True)
class Evaluation:
    about: About = field(repr=False)
    sources: int
    """Different ones; a source that stands in several pairs may be answered by any of their targets."""
    of: int
    """How many there were: more than `sources` where not all were asked."""
    beam_size: int
    seconds: float
    sequence_error_rate: float
    """The share of outputs that equal none of their references."""
    token_error_rate: float
    """Edits to the nearest reference, per token of it."""
    bleu: float
    """Against the first reference of each source, as chrF is."""
    chrf: float
    analysis: Analysis = field(repr=False)
    attention: list[Look] = field(repr=False)

    def save_report(self, folder: Path | str) -> None:
        """report.html and report.json; the curves of a report that is there already stay in it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        Report(self.about, curves_of(folder), self).write(folder)


def evaluate(
    model: "Translator",
    pairs: Iterable[tuple[Sentence, Sentence]],
    *,
    most: int | None = None,
    seconds: float | None = None,
    looks: int = 12,
    **options: Any,
) -> Evaluation:
    """What the model says to the sources of these pairs, against their targets.

    :param most: ask at most so many sources, drawn by the model's seed.
    :param seconds: ask as many as it probably takes this time for; one is asked in any case.
    :param looks: for how many of them the attention is kept.
    :param options: those of `translate`.
    :raises InputFault: there are no pairs.
    """
    references = _references(model.tokenizers.of_pairs(pairs))
    if not references:
        raise InputFault("There are no pairs to evaluate: give at least one whose source is not empty")
    sources = list(references)
    if most is not None and most < len(sources):
        sources = random.Random(model.hyperparameters.seed).sample(sources, most)
    began = time.monotonic()
    examples = _asked(model, sources, references, seconds, options)
    if seconds is not None:
        looks = min(looks, _as_many_more(began, len(examples), seconds))
    analysis = analyse(examples)
    said = [" ".join(example.said) for example in examples]
    first = [" ".join(example.references[0]) for example in examples]
    return Evaluation(
        about=About.of(model),
        sources=len(examples),
        of=len(references),
        beam_size=options.get("beam_size") or model.hyperparameters.beam_size,
        seconds=time.monotonic() - began,
        sequence_error_rate=analysis.wrong / analysis.sources,
        token_error_rate=analysis.edits / max(analysis.tokens, 1),
        bleu=bleu(said, first),
        chrf=chrf(said, first),
        analysis=analysis,
        attention=_looks(model, examples, looks, options),
    )


def _asked(
    model: "Translator",
    sources: Sequence[tuple[str, ...]],
    references: dict[tuple[str, ...], list[list[str]]],
    seconds: float | None,
    options: dict[str, Any],
) -> list[Example]:
    """Where time is short, in growing blocks: how long a source takes is not known before one was asked."""
    began, examples = time.monotonic(), list[Example]()
    together = len(sources) if seconds is None else 1
    while together and len(examples) < len(sources):
        some = sources[len(examples) : len(examples) + together]
        for source, found in zip(some, model.translate(some, **options), strict=True):
            examples.append(Example(source, references[source], found.tokens, found.score))
        if seconds is not None:
            together = min(2 * together, _MOST_TOGETHER, _as_many_more(began, len(examples), seconds * (1 - _OF_LOOKS)))
    return examples


def _as_many_more(began: float, done: int, seconds: float) -> int:
    """What can be done in the rest of `seconds`, as fast as so far."""
    spent = max(time.monotonic() - began, 1e-9)
    return max(0, int((seconds - spent) / spent * done))


def _references(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[tuple[str, ...], list[list[str]]]:
    """All targets of each source, in the order of the pairs."""
    references: dict[tuple[str, ...], list[list[str]]] = {}
    for source, target in pairs:
        if source:
            references.setdefault(tuple(source), []).append(list(target))
    return references


def _looks(model: "Translator", examples: Sequence[Example], most: int, options: dict[str, Any]) -> list[Look]:
    """As many right as wrong ones, as far as there are, none of them too long to be looked at."""
    right, wrong = list[Example](), list[Example]()
    for example in examples:
        if example.said and max(len(example.source), len(example.said)) <= _LONGEST_LOOK:
            (right if list(example.said) in example.references else wrong).append(example)
    chosen = right[: max(most // 2, most - len(wrong))] + wrong[: max(most // 2, most - len(right))]
    found = model.translate([example.source for example in chosen], **options, attention=True)
    return [
        Look(
            list(example.source),
            each.tokens,
            each.tokens if each.tokens in example.references else list(example.references[0]),
            each.score,
            each.attention.astype(float).round(3).tolist(),
        )
        for example, each in zip(chosen, found, strict=True)
        if each.attention is not None
    ]


_MOST_TOGETHER = 64
_OF_LOOKS = 0.25
"""The share of the time that is left to the attention."""
_LONGEST_LOOK = 40
"""Tokens on an axis of a heat map."""
