"""Translating: sentences to ids, search, ids to tokens; the same for one model and for several together."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.tokenizer import Tokenizer, Tokenizers
from ..data.vocabulary import Sentence, Vocabulary
from ..errors import InputFault
from ..hyperparameters import Hyperparameters
from ..ngrams.model import JointNgrams
from .alignment import forced
from .beam import Hypothesis, Search, Speaker, search_all
from .constraints import Constraint, Lexicon, following
from .opinions import Named, best, named, weighed
from .risk import Loss, risks

if TYPE_CHECKING:
    from ..report import Evaluation


@dataclass(frozen=True)
class Translation:
    tokens: list[str]
    text: str
    """What the tokens mean to a reader: they joined, as the model's tokenizer joins them."""
    score: float
    """The log probability over tokens ** length_penalty_alpha, the end included: by default the mean of a token."""
    log_probability: float
    """Of the whole target; -inf where a constraint left nothing to say."""
    attention: np.ndarray | None = None
    """[target tokens, source tokens]; rows sum to 1."""
    alternatives: tuple["Translation", ...] = ()
    """With `nbest`: the best targets, by score, this one among them."""
    source: tuple[str, ...] = ()
    """The tokens that were read."""

    @property
    def target(self) -> str:
        return " ".join(self.tokens)

    def _repr_html_(self) -> str:
        """For notebooks: what was said, how sure it is, and where the model looked if that was asked for."""
        from ..report import heat_map
        from ..report.marks import text

        picture = "" if self.attention is None else heat_map(self.tokens, self.source, self.attention)
        return f"<div><b>{text(self.text)}</b> <small>{self.score:.3f}</small>{picture}</div>"


class Translator(ABC):
    """What has vocabularies and says targets."""

    hyperparameters: Hyperparameters
    tokenizers: Tokenizers
    joint_ngrams: JointNgrams | None = None
    """What has a say beside the network."""

    @property
    @abstractmethod
    def vocabularies(self) -> tuple[Vocabulary, Vocabulary]:
        """Of sources and of targets."""

    @property
    @abstractmethod
    def speaker(self) -> Speaker[Any, Any]: ...

    def translate(
        self,
        sentences: Iterable[Sentence],
        *,
        beam_size: int | None = None,
        nbest: int | None = None,
        length_penalty_alpha: float | None = None,
        beam_threshold: float | None = None,
        minimum_bayes_risk: Loss | None = None,
        constraint: Constraint | Sequence[Constraint | None] | None = None,
        attention: bool = False,
    ) -> list[Translation]:
        """The best target of each sentence, in order. A sentence is raw text, or a list of tokens.

        Tokens that the vocabulary lacks are read as <unk>; sentences are cut off after max_seq_len_source tokens.

        :param beam_size: instead of the hyperparameter; so are `length_penalty_alpha` and `beam_threshold`.
        :param nbest: so many `alternatives` of each, or as many as there are; a narrower beam is widened to it.
        :param minimum_bayes_risk: say not the most probable target, but of the n best the one with the least expected
            loss (`edit_distance`, `differing(...)`, or any function of two lists of tokens).
        :param constraint: a `Lexicon`, or a function from the tokens said so far to those that may follow, "</s>" among
            them; one for all sentences, or one for each, None where there is none.
        :raises InputFault: an option is out of its range, or a constraint can never be met.
        """
        sentences = list(_several(sentences))
        options, (source_vocabulary, target_vocabulary) = self.hyperparameters, self.vocabularies
        width = options.beam_size if beam_size is None else beam_size
        alpha = options.length_penalty_alpha if length_penalty_alpha is None else length_penalty_alpha
        threshold = options.beam_threshold if beam_threshold is None else beam_threshold
        if width < 1 or (nbest is not None and nbest < 1) or not (0 <= alpha < math.inf and threshold >= 0):
            numbers = "length_penalty_alpha and beam_threshold numbers of at least 0"
            raise InputFault(f"beam_size and nbest have to be at least 1, {numbers}")
        longest = options.max_seq_len_target
        constraints = [
            None if each is None else following(each, target_vocabulary, self.tokenizers.target, longest)
            for each in _for_each(constraint, len(sentences))
        ]
        sources = [tuple(self.tokenizers.source_tokens(each)[: options.max_seq_len_source]) for each in sentences]
        ids = [source_vocabulary.encode(source) for source in sources]
        wanted = Search(
            width=max(width, nbest or 1),
            longest=longest,
            alpha=alpha,
            nbest=nbest or (width if minimum_bayes_risk else 1),
            threshold=threshold or math.inf,
            attention=attention,
            allowed=constraints if any(constraints) else None,
        )
        if self.joint_ngrams and self.joint_ngrams.weight:
            several = named(self.speaker, self.joint_ngrams, ids, wanted)
            weight = self.joint_ngrams.weight
            found = [best(each, weight, wanted) for each in several]
        else:
            found = search_all(self.speaker, ids, **vars(wanted))
        translations = [
            _translation(each, source, target_vocabulary, self.tokenizers.target)
            for each, source in zip(found, sources, strict=True)
        ]
        if minimum_bayes_risk is not None:
            translations = [_least_risk(each, minimum_bayes_risk) for each in translations]
        return translations if nbest else [replace(each, alternatives=()) for each in translations]

    def stream(self, sentences: Iterable[Sentence], *, window: int = 1024, **options: Any) -> Iterator[Translation]:
        """`translate` for a source without end: order is kept, `window` sentences are read before the first is said.

        A window is searched by length, so that a wide one is faster, and a narrow one answers sooner.

        :param options: those of `translate`; a constraint has to be one for all.
        """
        if window < 1 or isinstance(options.get("constraint"), Sequence):
            raise InputFault("A stream needs a window of at least 1, and one constraint for all sentences")
        coming = iter(_several(sentences))
        windows = iter(lambda: list(islice(coming, window)), [])
        return chain.from_iterable(self.translate(together, **options) for together in windows)

    def align(self, pairs: Iterable[tuple[Sentence, Sentence]]) -> list[Translation]:
        """Where the model looks while it says these targets (`attention`), and how probable they are to it (`score`).

        Both sides are cut off where they are longer than the model's max_seq_len_source and _target.
        """
        options, (source_vocabulary, target_vocabulary) = self.hyperparameters, self.vocabularies
        cut = [
            (source[: options.max_seq_len_source], target[: options.max_seq_len_target])
            for source, target in self.tokenizers.of_pairs(pairs)
        ]
        ids = [(source_vocabulary.encode(source), target_vocabulary.encode(target)) for source, target in cut]
        found = forced(self.speaker, ids, options.length_penalty_alpha)
        if self.joint_ngrams:
            weight = self.joint_ngrams.weight
            opinions = self.joint_ngrams.opinions([source for source, _ in ids], 1)
            found = [
                weighed(Named(each, opinion.of(each.ids)), weight, options.length_penalty_alpha)
                for each, opinion in zip(found, opinions, strict=True)
            ]
        return [
            Translation(
                list(target),
                self.tokenizers.target.join(target),
                each.score,
                each.log_probability,
                each.attention,
                source=source,
            )
            for (source, target), each in zip(cut, found, strict=True)
        ]

    def evaluate(
        self, pairs: Iterable[tuple[Sentence, Sentence]], *, most: int | None = None, **options: Any
    ) -> "Evaluation":
        """How near what it says to these sources comes to their targets: scores, errors, attention.

        A source that stands in several pairs may be answered by any of their targets. What comes back has a method
        `save_report(folder)`, which writes report.html and report.json.

        :param most: ask at most so many sources.
        :param options: those of `translate`.
        :raises InputFault: there are no pairs.
        """
        from ..report import evaluate

        return evaluate(self, pairs, most=most, **options)


def _several(sentences: Iterable[Sentence]) -> Iterable[Sentence]:
    """A string alone would be read letter by letter."""
    if isinstance(sentences, str):
        raise InputFault(f"One sentence stands where several are read; put it into a list: [{sentences[:40]!r}]")
    return sentences


def _for_each(
    constraint: Constraint | Sequence[Constraint | None] | None, sentences: int
) -> Sequence[Constraint | None]:
    if constraint is None or isinstance(constraint, Lexicon) or callable(constraint):
        return [constraint] * sentences
    if len(constraint) != sentences:
        raise InputFault(f"There are {len(constraint)} constraints for {sentences} sentences: give one for each")
    return constraint


def _translation(
    found: Hypothesis, source: tuple[str, ...], vocabulary: Vocabulary, tokenizer: Tokenizer
) -> Translation:
    """With all its alternatives, itself in front."""
    several = []
    for each in found.alternatives or (found,):
        tokens = vocabulary.decode(each.ids)
        said, score = tokenizer.join(tokens), each.score
        several.append(Translation(tokens, said, score, each.log_probability, each.attention, source=source))
    return replace(several[0], alternatives=tuple(each for each in several if each.score > -math.inf))


def _least_risk(translation: Translation, loss: Loss) -> Translation:
    candidates = translation.alternatives
    if not candidates:
        return translation
    expected = risks([each.tokens for each in candidates], [each.log_probability for each in candidates], loss)
    return replace(candidates[expected.index(min(expected))], alternatives=candidates)
