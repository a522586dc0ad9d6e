"""JointNgrams: a model of its own, learnt in a minute, that says targets and judges them.

    ngrams, learnt = JointNgrams.learn(corpus, source_tokens, target_tokens, order=8)
    [opinion] = ngrams.opinions([source], most=5)
    opinion.likeliest      {target: log p(target | source), ...}
    opinion.of(target)     log p(target | source)

A source and a target are cut into pieces together (pieces.py), and each piece has a probability after those before it
(counts.py): n-grams of letters and sounds at once (Bisani and Ney 2008; Novak, Minematsu and Hirose 2016). They know by
heart what a network has only the drift of, and nothing of what stands far away; so the two err in other places.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .. import kernels
from ..data.batching import Corpus
from ..errors import InputFault
from ..kernels import ngrams as compiled
from .counts import FIRST, Trie, learn
from .pieces import LONGEST, Pieces, cut
from .plain import Ids, Plain

FILE = "ngrams.safetensors"
VERSION = "groundfog-seq2seq-ngrams 1"

EVEN = 0.5
"""The weight beside a network where nobody has said or found another one."""

_WIDTH = 40
"""Hypotheses at a place of the source; more where more targets are asked for."""
_THRESHOLD = 8.0
"""How far the logarithm of a hypothesis's probability may be behind that of the best one at its place."""
_LEAST = -30.0
"""The logarithm of the probability of a target that they cannot say: a network that is sure of it may."""


@dataclass
class JointNgrams:
    pieces: Pieces
    trie: Trie
    order: int
    weight: float = EVEN
    """How much they have to say beside a network, from 0 to 1."""

    @classmethod
    def learn(cls, corpus: Corpus, source_tokens: int, target_tokens: int, order: int) -> tuple["JointNgrams", int]:
        """What was learnt, and of how many pairs.

        :param source_tokens: how many the vocabulary has; so is `target_tokens`.
        :raises InputFault: too many pairs cannot be cut into pieces, or the vocabularies are too large.
        """
        cuts = cut(corpus, source_tokens, target_tokens)
        trie = learn(cuts.ids, cuts.lengths, len(cuts.pieces), order)
        return cls(cuts.pieces, trie, order), len(cuts.lengths)

    def opinions(self, sources: Sequence[Sequence[int]], most: int) -> list["Opinion"]:
        """What they think of each source, the `most` likeliest targets of it being known already."""
        found = iter(self._asked.say([each for each in sources if len(each)], max(_WIDTH, 4 * most), _THRESHOLD, most))
        said = [next(found) if len(source) else ([], -math.inf) for source in sources]
        return [
            Opinion(self, source, {target: min(log - whole, 0.0) for target, log in likeliest}, whole)
            for source, (likeliest, whole) in zip(sources, said, strict=True)
        ]

    def joint(self, source: Sequence[int], target: Sequence[int]) -> float:
        """The logarithm of the probability of a source and a target together."""
        return self._asked.joint(source, target)

    @property
    def _asked(self) -> compiled.Compiled | Plain:
        return (self._compiled if kernels.enabled else None) or self._plain

    @cached_property
    def _compiled(self) -> compiled.Compiled | None:
        return compiled.of(self.pieces, self.trie)

    @cached_property
    def _plain(self) -> Plain:
        return Plain(self.pieces, self.trie)

    def save(self, folder: Path) -> None:
        """The file is replaced in one step."""
        arrays = {f"pieces.{name}": array for name, array in vars(self.pieces).items()}
        arrays |= {f"trie.{name}": array for name, array in vars(self.trie).items()}
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{FILE}.partial"
        save_file(arrays, partial, {"format": VERSION, "order": str(self.order), "weight": repr(self.weight)})
        partial.chmod(0o644)
        partial.replace(folder / FILE)

    @classmethod
    def load(cls, folder: Path, source_tokens: int, target_tokens: int) -> "JointNgrams":
        """:raises InputFault: the file is none of ours, not a whole one, or of other vocabularies."""
        try:
            with safe_open(folder / FILE, "numpy") as file:
                about = file.metadata() or {}
                pieces = Pieces(*(file.get_tensor(f"pieces.{name}") for name in Pieces.__dataclass_fields__))
                trie = Trie(*(file.get_tensor(f"trie.{name}") for name in Trie.__dataclass_fields__))
                order, weight = int(about["order"]), float(about["weight"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise InputFault(f"No joint n-grams: {FILE} in {folder.name} is missing or unreadable ({error})") from None
        sides = (pieces.sources, source_tokens), (pieces.targets, target_tokens)
        if not (0 <= weight <= 1 and _is_whole(pieces, trie) and all((side < most).all() for side, most in sides)):
            raise InputFault(f"No joint n-grams: what {FILE} in {folder.name} says does not fit together")
        return cls(pieces, trie, order, weight)


@dataclass(frozen=True)
class Opinion:
    """What joint n-grams think of a source."""

    ngrams: JointNgrams
    source: Sequence[int]
    likeliest: Mapping[Ids, float]
    """Targets, the best first, and the logarithms of their probabilities."""
    whole: float
    """The logarithm of the probability of the source, with any target."""

    def of(self, target: Sequence[int]) -> float | None:
        """The logarithm of its probability; None where they think nothing: of a source with a token they never met."""
        if self.whole == -math.inf:
            return None
        known = self.likeliest.get(tuple(target))
        log = self.ngrams.joint(self.source, target) - self.whole if known is None else known
        return min(max(log, _LEAST), 0.0)


def _is_whole(pieces: Pieces, trie: Trie) -> bool:
    """Whether search can go through them and always arrives; a file from elsewhere could lead it anywhere."""
    return _has_shapes(pieces, trie) and _can_be_found(pieces) and _is_a_trie(trie, len(pieces))


def _has_shapes(pieces: Pieces, trie: Trie) -> bool:
    nodes, known = trie.tokens.size, pieces.sources.size // LONGEST
    shapes = [pieces.sources.shape, pieces.targets.shape] == [(known, LONGEST)] * 2
    sizes = all(each.shape == (nodes,) for each in (trie.tokens, trie.logs, trie.rests, trie.shorter))
    whole_numbers = (pieces.sources, pieces.targets, trie.tokens, trie.shorter, trie.children)
    kinds = all(each.dtype == np.int32 for each in whole_numbers) and trie.logs.dtype == trie.rests.dtype == np.float32
    return bool(shapes and sizes and kinds and trie.children.shape == (nodes + 1,) and known and nodes > known + FIRST)


def _can_be_found(pieces: Pieces) -> bool:
    """By bisection."""
    first, second = pieces.sources.astype(np.int64).T
    ordered = (np.diff(first * (1 << 32) + second) >= 0).all()
    return bool(ordered and (pieces.sources >= -1).all() and (pieces.targets >= -1).all())


def _is_a_trie(trie: Trie, known: int) -> bool:
    """Of `known` pieces."""
    nodes, tokens, alone = len(trie.tokens), trie.tokens, known + FIRST
    if not (
        # Each piece stands alone, and so do the beginning and the end.
        (tokens[1 : alone + 1] == np.arange(alone)).all()
        and trie.children[0] == 1
        and trie.children[1] == alone + 1
        # What a node leads to is behind it.
        and (trie.children[:-1] > np.arange(nodes)).all()
        and trie.children[nodes] == nodes
        and (np.diff(trie.children) >= 0).all()
        and (trie.shorter >= 0).all()
        and (trie.shorter < nodes).all()
        and (tokens >= 0).all()
        and (tokens < alone).all()
        and np.isfinite(trie.logs).all()
        and np.isfinite(trie.rests).all()
    ):
        return False
    # The children of a node are sorted, and what an n-gram falls back to has a token less than it.
    first, lengths = np.zeros(nodes + 1, bool), _lengths(trie.children)
    first[trie.children] = True
    return bool((first[1:-1] | (np.diff(tokens) > 0)).all() and (lengths[trie.shorter[1:]] == lengths[1:] - 1).all())


def _lengths(children: np.ndarray) -> np.ndarray:
    """Tokens of each node's n-gram: the nodes stand level by level."""
    starts = [0, 1]
    while starts[-1] < len(children) - 1:
        starts.append(int(children[starts[-1]]))
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))
