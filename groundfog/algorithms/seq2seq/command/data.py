"""What was given, read: pairs of text, their tokens, their vocabularies, and what was assumed about them."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..data.text import Pair, Read, hold_out, read_parallel, read_table
from ..data.tokenizer import Tokenizers
from ..data.vocabulary import Vocabulary
from .assumptions import kind_of

if TYPE_CHECKING:
    from ..model import Seq2Seq

Tokens = tuple[str, ...]
HELD_OUT = 0.05


@dataclass(frozen=True)
class Wanted:
    """The options of `asking.tokens_options`."""

    validation: Path | None
    validation_source: Path | None
    validation_target: Path | None
    tokens: str | None
    source_tokens: str | None
    target_tokens: str | None
    vocabulary_size: int | None
    joint: bool


@dataclass(frozen=True)
class Material:
    """All that a training needs."""

    train: list[tuple[Tokens, Tokens]] = field(repr=False)
    validation: list[tuple[Tokens, Tokens]] = field(repr=False)
    held_out: list[Pair] = field(repr=False)
    """The validation pairs as text."""
    tokenizers: Tokenizers
    vocabularies: tuple[Vocabulary, Vocabulary]
    assumed: list[str]
    """To be said."""

    @property
    def longest(self) -> tuple[int, int]:
        """Tokens of the longest source and of the longest target."""
        both = self.train + self.validation
        return max(len(source) for source, _ in both), max(len(target) for _, target in both)


def read(
    pairs: Path | None,
    source: Path | None,
    target: Path | None,
    columns: str | None = None,
    header: bool | None = None,
    skip_faulty: bool = False,
    option: str = "",
) -> Read:
    """A table, or two files. The parameters are those of `asking.pairs_options`."""
    if pairs is not None and source is None and target is None:
        if pairs.is_dir():
            raise click.UsageError(f"{pairs} is a folder, and a table of pairs is needed here")
        return read_table(pairs, columns=_columns(columns), header=header, skip_faulty=skip_faulty)
    if pairs is None and source is not None and target is not None:
        return read_parallel(source, target, skip_faulty=skip_faulty)
    raise click.UsageError(
        f"give a table of pairs{f' as --{option}' if option else ''}, "
        f"or both --{option + '-' if option else ''}source and --{option + '-' if option else ''}target"
    )


def _columns(named: str | None) -> tuple[str, str] | None:
    if named is None:
        return None
    parts = named.split(",")
    if len(parts) != 2 or not all(part.strip() for part in parts):
        raise click.UsageError(f"--columns takes two, as 1,3 or word,pronunciation, not {named!r}")
    return parts[0], parts[1]


def gather(
    found: Read, wanted: Wanted, *, skip_faulty: bool, held_out: float, seed: int, start: "Seq2Seq | None" = None
) -> Material:
    """Tokens and vocabularies are learnt from the training pairs alone, or are those of the model to begin with.

    :param held_out: the share of the sources that is held out where no validation pairs are given.
    """
    assumed = [found.about]
    if (wanted.validation, wanted.validation_source, wanted.validation_target) == (None, None, None):
        train, held = hold_out(found.pairs, share=held_out, seed=seed)
        apart = len(train) < len(found.pairs)
        assumed.append(
            f"held out for validation: {len(held):,} of them, no source of which is learnt"
            if apart
            else "validated on what is learnt: with a single source nothing can be held out"
        )
    else:
        places = (wanted.validation, wanted.validation_source, wanted.validation_target)
        more = read(*places, skip_faulty=skip_faulty, option="validation")
        train, held = found.pairs, more.pairs
        assumed.append(f"validation: {more.about}")
    tokenizers = start.tokenizers if start else _tokenizers(train, wanted)
    known, validation = (_with_something(tokenizers.of_pairs(pairs)) for pairs in (train, held))
    vocabularies = start.vocabularies if start else Vocabulary.of_pairs(known, wanted.vocabulary_size, wanted.joint)
    known_kinds = start or wanted.tokens or (wanted.source_tokens and wanted.target_tokens)
    guessed = "" if known_kinds else " (--tokens says otherwise)"
    sizes = " to ".join(
        f"{NAMES[tokenizer.kind]}, {len(vocabulary) - 4:,} different"
        for tokenizer, vocabulary in zip((tokenizers.source, tokenizers.target), vocabularies, strict=True)
    )
    assumed.append(f"tokens: {sizes}{guessed}")
    return Material(known, validation, held, tokenizers, vocabularies, assumed)


def _tokenizers(train: Sequence[Pair], wanted: Wanted) -> Tokenizers:
    return Tokenizers.learn(_kinds(train, wanted), train, wanted.vocabulary_size, wanted.joint)


def _with_something(pairs: list[tuple[Tokens, Tokens]]) -> list[tuple[Tokens, Tokens]]:
    """There are texts of signs that no reader sees, of which no token is left."""
    return [pair for pair in pairs if all(pair)]


NAMES = {
    "blank": "what stands between blanks",
    "character": "characters",
    "word": "words",
    "sentencepiece": "SentencePiece's",
    "sentencepiece-bpe": "SentencePiece's",
}


def _kinds(pairs: Sequence[Pair], wanted: Wanted) -> tuple[str, str]:
    installed = importlib.util.find_spec("sentencepiece") is not None
    source = wanted.source_tokens or wanted.tokens or kind_of([source for source, _ in pairs], installed)
    target = wanted.target_tokens or wanted.tokens or kind_of([target for _, target in pairs], installed)
    if wanted.joint and source != target and not (wanted.tokens or wanted.source_tokens or wanted.target_tokens):
        # What both sides share is of one kind, and characters are in everything.
        return "character", "character"
    return source, target


def cut_off(material: Material, options: tuple[int, int]) -> str | None:
    """What is said of sequences beyond the lengths (source, target) that the model takes."""
    cut = sum(
        len(source) > options[0] or len(target) > options[1] for source, target in material.train + material.validation
    )
    if not cut:
        return None
    return f"{cut:,} pairs are cut off after {options[0]} and {options[1]} tokens (max_seq_len_source, _target)"
