"""What a model gets wrong: its outputs held against the right ones, token by token.

align       the cheapest edits that make the reference the hypothesis, as pairs of tokens
analyse     the same over many sources: which tokens are confused, at which source lengths, and the worst outputs
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .marks import spelled

Edit = tuple[str | None, str | None]
"""A token of the reference and what was said for it: (a, a), (a, b), (a, None) deleted, (None, b) inserted."""


@dataclass(frozen=True)
class Example:
    """A source, all that would have been right for it, and what the model said."""

    source: Sequence[str]
    references: Sequence[Sequence[str]]
    said: Sequence[str]
    score: float
    """Mean log probability per token, by the model."""


@dataclass(frozen=True)
class Outcome:
    """An example against the nearest of its references."""

    source: list[str]
    score: float
    edits: list[Edit]
    distance: int
    """How many of the edits change something."""

    @classmethod
    def of(cls, example: Example) -> "Outcome":
        aligned = [align(reference, example.said) for reference in example.references]
        distance, edits = min(((_distance(edits), edits) for edits in aligned), key=lambda each: each[0])
        return cls(list(example.source), example.score, edits, distance)

    @property
    def reference(self) -> list[str]:
        return [right for right, _ in self.edits if right is not None]

    @property
    def said(self) -> list[str]:
        return [said for _, said in self.edits if said is not None]


@dataclass(frozen=True)
class Confusion:
    """An edit that was made again and again; `right` None is an insertion, `said` None a deletion."""

    right: str | None
    said: str | None
    count: int
    sources: list[str]
    """A few in which it happened."""


@dataclass(frozen=True)
class LengthBand:
    """Sources of `shortest` to `longest` tokens."""

    shortest: int
    longest: int
    sources: int
    wrong: int
    tokens: int
    """Of the references."""
    edits: int


@dataclass(frozen=True)
class Analysis:
    sources: int
    wrong: int
    """Outputs that equal none of their references."""
    tokens: int
    """Of the references."""
    substitutions: int
    deletions: int
    insertions: int
    confusions: list[Confusion]
    """The most frequent first."""
    by_length: list[LengthBand]
    worst: list[Outcome] = field(repr=False)
    """The largest share of wrong tokens first, among equals the one that the model was surest of."""

    @property
    def edits(self) -> int:
        return self.substitutions + self.deletions + self.insertions


_CONFUSIONS, _WORST, _SOURCES, _BANDS = 200, 100, 4, 12
"""How much of each is kept."""


def analyse(examples: Iterable[Example]) -> Analysis:
    outcomes = [Outcome.of(example) for example in examples]
    kinds = Counter(_kind(edit) for outcome in outcomes for edit in outcome.edits)
    wrong = [outcome for outcome in outcomes if outcome.distance]
    wrong.sort(key=lambda outcome: (-outcome.distance / max(len(outcome.reference), 1), -outcome.score))
    return Analysis(
        sources=len(outcomes),
        wrong=len(wrong),
        tokens=sum(len(outcome.reference) for outcome in outcomes),
        substitutions=kinds["substitution"],
        deletions=kinds["deletion"],
        insertions=kinds["insertion"],
        confusions=_confusions(outcomes),
        by_length=_by_length(outcomes),
        worst=wrong[:_WORST],
    )


def align(reference: Sequence[str], said: Sequence[str]) -> list[Edit]:
    """The fewest edits; among as few, those that leave the most tokens in their places (Wagner and Fischer 1974)."""
    rows, columns = len(reference) + 1, len(said) + 1
    # One number says both: an edit costs more than all matches together can gain.
    dear = rows + columns
    cost = [[dear * (row + column) for column in range(columns)] for row in range(rows)]
    for row in range(1, rows):
        above, here, right = cost[row - 1], cost[row], reference[row - 1]
        for column in range(1, columns):
            together = above[column - 1] + (-1 if right == said[column - 1] else dear)
            here[column] = min(together, above[column] + dear, here[column - 1] + dear)
    return _walk_back(reference, said, cost, dear)


def _walk_back(reference: Sequence[str], said: Sequence[str], cost: list[list[int]], dear: int) -> list[Edit]:
    row, column, edits = len(reference), len(said), list[Edit]()
    while row or column:
        if row and column:
            right, heard = reference[row - 1], said[column - 1]
            if cost[row][column] == cost[row - 1][column - 1] + (-1 if right == heard else dear):
                edits.append((right, heard))
                row, column = row - 1, column - 1
                continue
        if row and cost[row][column] == cost[row - 1][column] + dear:
            edits.append((reference[row - 1], None))
            row -= 1
        else:
            edits.append((None, said[column - 1]))
            column -= 1
    return edits[::-1]


def _kind(edit: Edit) -> str:
    right, said = edit
    if right == said:
        return "match"
    return "insertion" if right is None else "deletion" if said is None else "substitution"


def _distance(edits: Iterable[Edit]) -> int:
    return sum(right != said for right, said in edits)


def _confusions(outcomes: Sequence[Outcome]) -> list[Confusion]:
    counts: Counter[Edit] = Counter()
    sources: dict[Edit, list[str]] = defaultdict(list)
    for outcome in outcomes:
        for edit in outcome.edits:
            if edit[0] != edit[1]:
                counts[edit] += 1
                if len(sources[edit]) < _SOURCES:
                    sources[edit].append(spelled(outcome.source))
    ranked = sorted(counts, key=lambda edit: (-counts[edit], edit[0] or "", edit[1] or ""))
    return [Confusion(*edit, counts[edit], list(dict.fromkeys(sources[edit]))) for edit in ranked[:_CONFUSIONS]]


def _by_length(outcomes: Sequence[Outcome]) -> list[LengthBand]:
    """One band for each length, or neighbours together where there are too many, each of about as many sources."""
    by_length: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_length[len(outcome.source)].append(outcome)
    bands: list[list[Outcome]] = []
    enough = 0 if len(by_length) <= _BANDS else len(outcomes) / _BANDS
    for length in sorted(by_length):
        if bands and len(bands[-1]) < enough:
            bands[-1] += by_length[length]
        else:
            bands.append(list(by_length[length]))
    return [_band(band) for band in bands]


def _band(outcomes: Sequence[Outcome]) -> LengthBand:
    lengths = [len(outcome.source) for outcome in outcomes]
    return LengthBand(
        min(lengths),
        max(lengths),
        len(outcomes),
        sum(outcome.distance > 0 for outcome in outcomes),
        sum(len(outcome.reference) for outcome in outcomes),
        sum(outcome.distance for outcome in outcomes),
    )
