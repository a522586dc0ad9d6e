"""Seq2Seq: the algorithm as a library.

    model = Seq2Seq(rnn_num_hidden=256, batch_size=128)
    model.fit([("C A R", "K AA1 R"), ...], validation=[...], progress=print)
    model.translate(["T A P E W O R M"], attention=True)
    model.save(folder)
    Seq2Seq.load(folder)

A folder with a model has the names that SageMaker's seq2seq (and Sockeye before it) gives to its files:

    params.best      the weights, as safetensors
    symbol.json      what the network is made of: each parameter and its shape
    config           the hyperparameters, as JSON
    version          of the format
    vocab.src.json, vocab.trg.json
    tokenizer.json   how raw text becomes tokens, where they are not simply what stands between blanks
    ngrams.safetensors   joint n-grams, where they have a say too
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from .data.batching import Corpus
from .data.text import hold_out
from .data.tokenizer import BLANKS, Tokenizers
from .data.tokenizer import FILE as TOKENIZER_FILE
from .data.vocabulary import Sentence, Vocabulary
from .data.windows import Windows
from .errors import InputFault
from .hyperparameters import Hyperparameters
from .learning.checkpoint import write_tensors
from .learning.progress import Finished, Listener, NgramsLearnt
from .learning.train import Data, Surroundings, Training
from .learning.weight import weigh
from .network.network import Network, initialise
from .ngrams.model import FILE as NGRAMS_FILE
from .ngrams.model import JointNgrams
from .report import Reporter
from .search.translation import Translator

VERSION = "groundfog-seq2seq 1"

Known = tuple[Sequence[str], Sequence[str]]
Pairs = Iterable[tuple[Sentence, Sentence]]


class Seq2Seq(Translator):
    """An encoder-decoder network with attention; its options are the documented hyperparameters, by their names."""

    def __init__(self, **hyperparameters: Any) -> None:
        """:raises InputFault: a hyperparameter is unknown or out of its range."""
        self.hyperparameters = Hyperparameters.of(hyperparameters)
        self.source_vocabulary: Vocabulary | None = None
        self.target_vocabulary: Vocabulary | None = None
        self.tokenizers = BLANKS
        self._network: Network | None = None

    def fit(
        self,
        pairs: Pairs,
        validation: Pairs | None = None,
        *,
        tokens: str | tuple[str, str] = "blank",
        vocabulary_size: int | None = None,
        joint: bool = False,
        start: "Seq2Seq | None" = None,
        progress: Listener | None = None,
        stop: threading.Event | None = None,
        checkpoints: Path | str | None = None,
        folder: Path | str | None = None,
        report: Path | str | None = None,
    ) -> Finished:
        """Learn pairs of sentences, from their vocabularies on.

        :param validation: where it is missing, one source in twenty is held out for it.
        :param tokens: what strings are made of (data/tokenizer.py): blank, character, word or sentencepiece, or a kind
            for sources and one for targets.
        :param vocabulary_size: at most so many tokens on each side.
        :param joint: one vocabulary for both sides, as weight_tying src_trg needs it anyway.
        :param start: a model to begin with, not with random weights: its tokens and vocabularies are kept, and its
            network has to be of the same shape.
        :param progress: called with `progress.Record`s.
        :param stop: once set, training writes a checkpoint and returns.
        :param checkpoints: a folder; training goes on from what it finds there.
        :param folder: where the best model so far is always saved.
        :param report: a folder where report.html and report.json are kept up to date: curves, errors, attention.
        """
        pairs = list(pairs)
        joint = joint or "src" in self.hyperparameters.weight_tying
        self.tokenizers = tokenizers = (
            start.tokenizers if start else Tokenizers.learn(tokens, pairs, vocabulary_size, joint)
        )
        known = tokenizers.of_pairs(pairs)
        if validation is None:
            known, held = hold_out(known, share=1 / 20, seed=self.hyperparameters.seed)
        else:
            held = tokenizers.of_pairs(validation)
        self.source_vocabulary, self.target_vocabulary = (
            start.vocabularies if start else Vocabulary.of_pairs(known, vocabulary_size, joint)
        )
        train, validated = self._corpus(known), self._corpus(held)
        return self.fit_corpora(
            train,
            validated,
            start=start,
            progress=progress,
            stop=stop,
            checkpoints=checkpoints,
            folder=folder,
            reports=() if report is None else (Path(report),),
        )

    def fit_corpora(
        self,
        train: Corpus | Windows,
        validation: Corpus,
        *,
        start: "Seq2Seq | None" = None,
        progress: Listener | None = None,
        stop: threading.Event | None = None,
        checkpoints: Path | str | None = None,
        folder: Path | str | None = None,
        reports: Sequence[Path] = (),
    ) -> Finished:
        """`fit` for pairs that are ids of the model's vocabularies already, as a stream where they are `Windows`."""
        windows = Windows.of(train) if isinstance(train, Corpus) else train
        for name, pairs in (("training", windows.pairs), ("validation", len(validation))):
            if not pairs:
                raise InputFault(f"There are no {name} pairs: give at least one whose source is not empty")
        if "src" in self.hyperparameters.weight_tying and self.source_vocabulary != self.target_vocabulary:
            raise InputFault(
                f"weight_tying {self.hyperparameters.weight_tying} needs one vocabulary for sources and targets:"
                " make one of both and give it as both, or choose trg_softmax"
            )
        self._network = network = self._outline().to_empty(device=_device())
        if start is None:
            initialise(network, self.hyperparameters)
        else:
            self._begin_with(start)
        listener = progress or (lambda record: None)
        self.joint_ngrams = self._joint_ngrams(windows.first, start, checkpoints, listener)
        reporter = Reporter(self, reports, checkpoints, listener) if reports else None
        around = Surroundings(
            reporter or listener,
            stop or threading.Event(),
            None if checkpoints is None else Path(checkpoints),
            lambda network: None if folder is None else self.save(folder),
        )
        data = Data(windows, validation, *self.vocabularies)
        with reporter or contextlib.nullcontext():
            finished = Training(network, self.hyperparameters, data, around).run()
        network.eval()
        if self.joint_ngrams and not finished.stopped:
            listener(weigh(self.network, self.joint_ngrams, validation, self.hyperparameters))
            if folder is not None:
                self.save(folder)
        if reporter is not None:
            reporter.finish(validation)
        return finished

    def _joint_ngrams(
        self, pairs: Corpus, start: "Seq2Seq | None", kept: Path | str | None, tell: Listener
    ) -> JointNgrams | None:
        """Those of the model to begin with, those that a training left that was stopped, or new ones."""
        order = self.hyperparameters.joint_ngram_order
        if not order:
            return None
        known = start.joint_ngrams and replace(start.joint_ngrams) if start else None
        if known is None and kept is not None and (Path(kept) / NGRAMS_FILE).exists():
            known = JointNgrams.load(Path(kept), *map(len, self.vocabularies))
        if known and known.order == order:
            return known
        source, target = self.vocabularies
        began = time.monotonic()
        made, learnt = JointNgrams.learn(pairs, len(source), len(target), order)
        numbers = len(pairs), len(pairs) - learnt, len(made.pieces), len(made.trie.tokens)
        tell(NgramsLearnt(*numbers, time.monotonic() - began))
        if kept is not None:
            made.save(Path(kept))
        return made

    def _begin_with(self, start: "Seq2Seq") -> None:
        if start.vocabularies != self.vocabularies:
            raise InputFault("The model to begin with has other vocabularies: encode the pairs with its own")
        try:
            self.network.load_state_dict(start.network.state_dict())
        except RuntimeError as error:
            raise InputFault(
                f"The network is of another shape than that of the model to begin with ({error})"
            ) from None

    @property
    def network(self) -> Network:
        if self._network is None:
            raise RuntimeError("There is no model yet: fit one, or load one")
        return self._network

    @property
    def speaker(self) -> Network:
        return self.network

    def save(self, folder: Path | str) -> None:
        """Each file is replaced in one step, the weights last."""
        folder, network = Path(folder), self.network
        folder.mkdir(parents=True, exist_ok=True)
        source_vocabulary, target_vocabulary = self.vocabularies
        shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
        texts = {
            "version": VERSION + "\n",
            "config": json.dumps(asdict(self.hyperparameters), indent=2) + "\n",
            "symbol.json": json.dumps({"network": self._kind(), "parameters": shapes}, indent=2) + "\n",
            "vocab.src.json": source_vocabulary.text(),
            "vocab.trg.json": target_vocabulary.text(),
        }
        # What says that there are n-grams comes after them.
        if self.joint_ngrams:
            self.joint_ngrams.save(folder)
        for name, text in texts.items():
            write_text(folder / name, text)
        if not self.joint_ngrams:
            (folder / NGRAMS_FILE).unlink(missing_ok=True)
        if self.tokenizers.raw:
            write_text(folder / TOKENIZER_FILE, self.tokenizers.text())
        else:
            (folder / TOKENIZER_FILE).unlink(missing_ok=True)
        write_tensors(folder / "params.best", network.state_dict(), {"format": VERSION})

    def export_onnx(self, folder: Path | str) -> None:
        """The model as ONNX graphs, with vocabularies and a program that translates without torch and Groundfog."""
        from .export.writing import export_onnx

        export_onnx(self, [self], folder)

    @classmethod
    def load(cls, folder: Path | str) -> "Seq2Seq":
        """:raises InputFault: the folder holds no model of ours, or not a whole one."""
        folder = Path(folder)
        missing = [
            name
            for name in ("config", "params.best", "vocab.src.json", "vocab.trg.json")
            if not (folder / name).is_file()
        ]
        if missing:
            raise InputFault(f"No seq2seq model: {', '.join(missing)} missing in {folder.name}")
        try:
            model = cls(**json.loads((folder / "config").read_text(encoding="utf-8")))
            weights = load_file(folder / "params.best")
        except (ValueError, TypeError, SafetensorError) as error:
            raise InputFault(
                f"No seq2seq model: config or params.best in {folder.name} is unreadable ({error})"
            ) from None
        model.source_vocabulary = Vocabulary.read(folder / "vocab.src.json")
        model.target_vocabulary = Vocabulary.read(folder / "vocab.trg.json")
        model.tokenizers = Tokenizers.read(folder)
        if model.hyperparameters.joint_ngram_order:
            model.joint_ngrams = JointNgrams.load(folder, *map(len, model.vocabularies))
        model._adopt(weights)
        return model

    def _adopt(self, weights: dict[str, torch.Tensor]) -> None:
        """Weights as they lie in their file become the network, so that nothing is in memory twice."""
        network = self._outline()
        try:
            network.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            raise InputFault(f"No seq2seq model: params.best does not fit config ({error})") from None
        if any(weight.dtype != torch.float32 for weight in weights.values()):
            raise InputFault("No seq2seq model: the numbers in params.best are not of 32 bits")
        self._network = network.to(_device())
        self._network.eval()

    def _outline(self) -> Network:
        """A network whose weights have shapes and no place in memory: they are all set afterwards."""
        source_vocabulary, target_vocabulary = self.vocabularies
        with torch.device("meta"):
            return Network(self.hyperparameters, len(source_vocabulary), len(target_vocabulary))

    def _kind(self) -> str:
        options = self.hyperparameters
        return f"{options.encoder_type} encoder and {options.decoder_type} decoder with attention"

    @property
    def vocabularies(self) -> tuple[Vocabulary, Vocabulary]:
        if self.source_vocabulary is None or self.target_vocabulary is None:
            raise RuntimeError("There are no vocabularies yet: fit a model, or load one")
        return self.source_vocabulary, self.target_vocabulary

    def _corpus(self, pairs: Iterable[Known]) -> Corpus:
        source_vocabulary, target_vocabulary = self.vocabularies
        options = self.hyperparameters
        return Corpus.of(
            (
                (source_vocabulary.encode(source), target_vocabulary.encode(target))
                for source, target in pairs
                if source
            ),
            options.max_seq_len_source,
            options.max_seq_len_target,
        )


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def write_text(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
