"""Tokenizers: between raw text and tokens, and back to raw text.

    blank                "K AA1 R"    -> K AA1 R                  tokens with blanks between them: SageMaker's seq2seq
    character            "3 km"       -> 3 ▁ k m                  a blank is the visible ▁
    word                 "It's 30."   -> It ￭' ￭s 3 ￭0 ￭.         words, digits and signs; ￭: no blank stood before
    sentencepiece        "walking"    -> ▁walk ing                pieces learnt from the text (Kudo 2018, unigram)
    sentencepiece-bpe                                             the same by byte-pair encoding (Sennrich et al. 2016)

What a tokenizer splits it also joins: `join(split(text))` is the text, its blanks made single and its accents composed
(Unicode's NFC). Ids are a vocabulary's matter, not a tokenizer's.

A model knows its two tokenizers (`Tokenizers`) and keeps them in one file beside its weights, tokenizer.json. A model
without that file reads and says tokens with blanks between them.
"""

import base64
import io
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

from ..errors import InputFault
from .vocabulary import END, FIXED, PAD, Sentence

FILE = "tokenizer.json"
BLANK, GLUE = "▁", "￭"

PIECES = 8000
"""How many pieces SentencePiece learns where nobody says."""
_MOST_TO_LEARN_FROM = 1_000_000


class Tokenizer(Protocol):
    @property
    def kind(self) -> str:
        """The name by which it is asked for."""
        ...

    def split(self, text: str) -> list[str]: ...

    def join(self, tokens: Sequence[str]) -> str: ...


class Blanks:
    kind = "blank"

    def split(self, text: str) -> list[str]:
        return text.split()

    def join(self, tokens: Sequence[str]) -> str:
        return " ".join(tokens)


class Characters:
    kind = "character"

    def split(self, text: str) -> list[str]:
        return list(_plain(text).replace(" ", BLANK))

    def join(self, tokens: Sequence[str]) -> str:
        return " ".join("".join(tokens).replace(BLANK, " ").split())


class Words:
    kind = "word"
    # Digits stand alone: with ten of them a model reads numbers that it has never seen.
    _WORD = re.compile(r"[^\W\d_]+|\S")

    def split(self, text: str) -> list[str]:
        tokens, end = [], -1
        text = _plain(text)
        for found in self._WORD.finditer(text):
            glued = found.start() == end
            tokens.append(GLUE + found[0] if glued else found[0])
            end = found.end()
        return tokens

    def join(self, tokens: Sequence[str]) -> str:
        return "".join(f" {token}" for token in tokens).replace(f" {GLUE}", "").strip()


@dataclass(frozen=True)
class Pieces:
    """SentencePiece's, https://github.com/google/sentencepiece"""

    kind: str
    model: bytes

    _ALGORITHMS: ClassVar = {"sentencepiece": "unigram", "sentencepiece-bpe": "bpe"}

    @classmethod
    def learn(cls, kind: str, texts: Iterable[str], size: int) -> "Pieces":
        """At most `size` pieces; fewer where the text has no more."""
        model = io.BytesIO()
        known = [_plain(text) for text in itertools.islice(texts, _MOST_TO_LEARN_FROM)]
        if not any(known):
            raise InputFault("There is no text that SentencePiece could learn pieces from")
        try:
            _sentencepiece().SentencePieceTrainer.train(
                sentence_iterator=iter(known),
                model_writer=model,
                model_type=cls._ALGORITHMS[kind],
                vocab_size=size,
                hard_vocab_limit=False,
                character_coverage=1.0,
                normalization_rule_name="identity",
                max_sentence_length=1 << 20,
                num_threads=1,
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            reason = str(error).rpartition("] ")[2] or str(error)
            raise InputFault(f"SentencePiece cannot learn {size} pieces from this text: {reason}") from None
        return cls(kind, model.getvalue())

    @cached_property
    def _processor(self) -> Any:
        try:
            return _sentencepiece().SentencePieceProcessor(model_proto=self.model)
        except RuntimeError as error:
            raise InputFault(f"{FILE} holds no model of SentencePiece's ({str(error).splitlines()[0]})") from None

    def split(self, text: str) -> list[str]:
        return list(self._processor.encode(_plain(text), out_type=str))

    def join(self, tokens: Sequence[str]) -> str:
        return " ".join("".join(tokens).replace(BLANK, " ").split())


KINDS = ("blank", "character", "word", "sentencepiece", "sentencepiece-bpe")
_PLAIN_ONES: dict[str, Tokenizer] = {each.kind: each for each in (Blanks(), Characters(), Words())}


@dataclass(frozen=True)
class Tokenizers:
    source: Tokenizer
    target: Tokenizer

    @classmethod
    def learn(
        cls,
        tokens: str | tuple[str, str],
        pairs: Sequence[tuple[Sentence, Sentence]],
        size: int | None = None,
        joint: bool = False,
    ) -> "Tokenizers":
        """From pairs of raw text; what is tokens already has nothing to teach.

        :param tokens: one kind for both sides, or (source, target)
        :param size: how many pieces SentencePiece learns on each side
        :param joint: one set of pieces, learnt from both sides together
        """
        kinds = (tokens, tokens) if isinstance(tokens, str) else tokens
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise InputFault(f"tokens has to be one of {', '.join(KINDS)}, not {unknown[0]!r}")
        if joint and kinds[0] != kinds[1]:
            raise InputFault(
                f"What both sides share is of one kind: {kinds[0]} and {kinds[1]} have no joint vocabulary"
            )
        known = list(map(_pair, itertools.count(1), pairs))
        texts = [[text for pair in known if isinstance(text := pair[side], str)] for side in (0, 1)]
        if joint:
            both = _made(kinds[0], texts[0] + texts[1], size or PIECES)
            return cls(both, both)
        return cls(_made(kinds[0], texts[0], size or PIECES), _made(kinds[1], texts[1], size or PIECES))

    @property
    def raw(self) -> bool:
        """Whether there is more to do than to cut at blanks."""
        return (self.source.kind, self.target.kind) != ("blank", "blank")

    def source_tokens(self, sentence: Sentence) -> list[str]:
        """A string is raw text; a list is tokens already.

        :raises InputFault: it is neither.
        """
        return _tokens(self.source, sentence)

    def of_pairs(self, pairs: Iterable[tuple[Sentence, Sentence]]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """:raises InputFault: one is no pair, or its target holds what no target can hold."""
        found = []
        for number, pair in enumerate(pairs, start=1):
            source, target = _pair(number, pair)
            tokens = tuple(_tokens(self.target, target))
            if not _NEVER_SAID.isdisjoint(tokens):
                raise InputFault(
                    f"The target of pair {number} holds <pad> or </s>, which are added by the algorithm; leave them out"
                )
            found.append((tuple(self.source_tokens(source)), tokens))
        return found

    def text(self) -> str:
        """What tokenizer.json holds."""
        return json.dumps({"source": _described(self.source), "target": _described(self.target)}, indent=2) + "\n"

    @classmethod
    def read(cls, folder: Path) -> "Tokenizers":
        """Of the model, or of the prepared data, in this folder."""
        file = folder / FILE
        if not file.is_file():
            return BLANKS
        try:
            sides = json.loads(file.read_text(encoding="utf-8"))
            return cls(_as_described(sides["source"]), _as_described(sides["target"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputFault(f"{FILE} in {folder.name} is unreadable ({error!r}); make it again") from None


BLANKS = Tokenizers(_PLAIN_ONES["blank"], _PLAIN_ONES["blank"])


_NEVER_SAID = {FIXED[PAD], FIXED[END]}


def _tokens(tokenizer: Tokenizer, sentence: Sentence) -> list[str]:
    if isinstance(sentence, str):
        return tokenizer.split(sentence)
    tokens = list(sentence) if isinstance(sentence, Iterable) else [sentence]
    # Ids in place of tokens would all be unknown, and nobody would hear of it.
    if not all(isinstance(token, str) for token in tokens):
        raise InputFault(f"A sentence is a string, or a list of tokens that are strings, and not {_shown(sentence)}")
    return tokens


def _pair(number: int, pair: Any) -> tuple[Sentence, Sentence]:
    sides = tuple(pair) if isinstance(pair, Iterable) and not isinstance(pair, str) else (pair,)
    if len(sides) != 2:
        raise InputFault(f"Pair {number} has to be (source, target), and not {_shown(pair)}")
    return sides


def _shown(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _made(kind: str, texts: list[str], size: int) -> Tokenizer:
    return _PLAIN_ONES[kind] if kind in _PLAIN_ONES else Pieces.learn(kind, texts, size)


def _described(tokenizer: Tokenizer) -> dict[str, str]:
    if isinstance(tokenizer, Pieces):
        return {"kind": tokenizer.kind, "model": base64.b64encode(tokenizer.model).decode()}
    return {"kind": tokenizer.kind}


def _as_described(side: dict[str, str]) -> Tokenizer:
    kind = side["kind"]
    return _PLAIN_ONES[kind] if kind in _PLAIN_ONES else Pieces(kind, base64.b64decode(side["model"], validate=True))


def _plain(text: str) -> str:
    """Accents composed, single blanks, and none of our two signs: ▁ and ￭ become what looks most like them."""
    composed = unicodedata.normalize("NFC", text)
    return " ".join(composed.replace(BLANK, "_").replace(GLUE, "■").split())


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ModuleNotFoundError:
        raise InputFault("SentencePiece is not installed: pip install 'groundfog[sentencepiece]'") from None
    return sentencepiece
