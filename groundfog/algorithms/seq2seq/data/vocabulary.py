"""Vocabularies: between tokens and their ids.

The first four ids are fixed, as SageMaker's seq2seq fixes them: `<pad>` 0, `<unk>` 1, `<s>` 2 and `</s>` 3.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InputFault

PAD, UNKNOWN, BEGIN, END = range(4)
FIXED = ("<pad>", "<unk>", "<s>", "</s>")
MOST = 50_000

Sentence = str | Sequence[str]
"""Tokens in a list, or in a string with blanks between them."""


def tokens_of(sentence: Sentence) -> list[str]:
    return sentence.split() if isinstance(sentence, str) else list(sentence)


@dataclass(frozen=True)
class Vocabulary:
    tokens: tuple[str, ...]
    """The place of a token is its id."""

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def ids(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    def encode(self, tokens: Iterable[str]) -> list[int]:
        return [self.ids.get(token, UNKNOWN) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        return [self.tokens[number] for number in ids]

    @classmethod
    def of(cls, sentences: Iterable[Sentence], most: int = MOST) -> "Vocabulary":
        """The `most` frequent tokens, the frequent ones first, equally frequent ones in alphabetical order."""
        counts = Counter(token for sentence in sentences for token in tokens_of(sentence))
        for token in FIXED:
            counts.pop(token, None)
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        return cls((*FIXED, *ranked[:most]))

    @classmethod
    def of_pairs(
        cls, pairs: Sequence[tuple[Sequence[str], Sequence[str]]], most: int | None = None, joint: bool = False
    ) -> tuple["Vocabulary", "Vocabulary"]:
        """Of the sources and of the targets; `joint`: one of both."""
        sources, targets = (source for source, _ in pairs), (target for _, target in pairs)
        if joint:
            both = cls.of(itertools.chain(sources, targets), most or MOST)
            return both, both
        return cls.of(sources, most or MOST), cls.of(targets, most or MOST)

    @classmethod
    def read(cls, file: Path) -> "Vocabulary":
        """From a JSON object {token: id}.

        :raises InputFault: it is none, or its ids are not 0, 1, 2, ... with the fixed four in front.
        """
        try:
            ids = json.loads(file.read_bytes().decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise InputFault(
                f"{file.name} is no JSON in UTF-8 ({error}); it has to hold an object {{token: id}}"
            ) from None
        return cls(_in_order(ids, file.name))

    def text(self) -> str:
        """The JSON object {token: id}, as `read` reads it."""
        return json.dumps(self.ids, indent=4, ensure_ascii=False)


def _in_order(ids: Any, name: str) -> tuple[str, ...]:
    if not isinstance(ids, dict) or not all(type(number) is int for number in ids.values()):
        raise InputFault(f"{name} has to hold one JSON object {{token: id}} whose ids are integers")
    for number, token in enumerate(FIXED):
        if ids.get(token) != number:
            raise InputFault(f"{name}: {token} has to have the id {number} and has {ids.get(token, 'none')}")
    by_id = {number: token for token, number in ids.items()}
    missing = next((number for number in range(len(ids)) if number not in by_id), None)
    if missing is not None:
        raise InputFault(
            f"{name}: {len(ids)} tokens need the ids 0 to {len(ids) - 1}, each once; no token has {missing}"
        )
    return tuple(by_id[number] for number in range(len(ids)))
