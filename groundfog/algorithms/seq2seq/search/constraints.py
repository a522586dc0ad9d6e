"""Constrained decoding: the target has to be one of a lexicon, or to be made of tokens that a function allows.

    Lexicon(["K AA1 R", "K AE1 T"])                      the target is one of these
    lambda said: ["K", "AA1"] if not said else ["</s>"]  what may follow the tokens said so far

A lexicon becomes a trie, a tree whose branches are the tokens that may follow (De Cao et al. 2021, section 3.2): each
hypothesis of the search walks down its own way, and only what leads to a whole target is open.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from ..data.tokenizer import Tokenizer
from ..data.vocabulary import END, Sentence, Vocabulary
from ..errors import InputFault

Following = Callable[[list[int]], Iterable[int]]
"""From the ids said so far to those that may follow; </s> among them where the target may end."""

Allowed = Sequence[Following | None]
"""For each source; None allows everything."""

Node = dict[int, "Node"]


class Lexicon:
    """The targets that may be said: raw text as the model says it, or lists of tokens."""

    def __init__(self, targets: Iterable[Sentence]) -> None:
        self.targets = list(targets)
        self._known: dict[tuple[Vocabulary, Tokenizer, int], Following] = {}

    def following(self, vocabulary: Vocabulary, tokenizer: Tokenizer, longest: int) -> Following:
        """The way through the trie of those targets that can be said: their tokens are known, and at most `longest`.

        :raises InputFault: there are none.
        """
        key = vocabulary, tokenizer, longest
        if key not in self._known:
            self._known[key] = self._trie(*key)
        return self._known[key]

    def _trie(self, vocabulary: Vocabulary, tokenizer: Tokenizer, longest: int) -> Following:
        root: Node = {}
        for text in self.targets:
            target = tokenizer.split(text) if isinstance(text, str) else text
            if len(target) <= longest and all(token in vocabulary.ids for token in target):
                node = root
                for token in (*vocabulary.encode(target), END):
                    node = node.setdefault(token, {})
        if not root:
            raise InputFault(
                f"None of the lexicon's {len(self.targets)} targets can be said: one at least has to have "
                f"at most {longest} tokens (max_seq_len_target), all of them in the target vocabulary"
            )

        def following(said: list[int]) -> Iterable[int]:
            node = root
            for token in said:
                node = node[token]
            return node

        return following


Constraint = Lexicon | Callable[[list[str]], Iterable[str]]
"""A lexicon, or a function from the tokens said so far to those that may follow, "</s>" among them."""


def following(constraint: Constraint, vocabulary: Vocabulary, tokenizer: Tokenizer, longest: int) -> Following:
    """The constraint in ids."""
    if isinstance(constraint, Lexicon):
        return constraint.following(vocabulary, tokenizer, longest)

    def encoded(said: list[int]) -> Iterable[int]:
        tokens = list(constraint(vocabulary.decode(said)))
        unknown = next((token for token in tokens if token not in vocabulary.ids), None)
        if unknown is not None:
            raise InputFault(f"The constraint allows {unknown!r}, which the target vocabulary does not have")
        return vocabulary.encode(tokens)

    return encoded


def permitted(allowed: Allowed, places: Tensor, said: Tensor, asked: Tensor, vocabulary: int) -> Tensor:
    """[R, V]: what may follow, in the rows that are asked [R]; places [B], said [B, K, t]."""
    rows: list[int] = []
    tokens: list[int] = []
    prefixes = said.flatten(0, 1).tolist()
    owners = places.repeat_interleave(said.shape[1]).tolist()
    open_ = torch.zeros(len(prefixes), vocabulary, dtype=torch.bool)
    for row in asked.nonzero().squeeze(1).tolist():
        source = allowed[owners[row]]
        if source is None:
            open_[row] = True
        else:
            further = list(source(prefixes[row]))
            rows += [row] * len(further)
            tokens += further
    open_[rows, tokens] = True
    return open_.to(said.device)
