"""groundfog seq2seq train: pairs of text to a model.

The model's folder gets what `model.tar.gz` has (model.py), report.html and report.json, and checkpoints/, from which
the same command goes on where it was stopped.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputFault
from ..hyperparameters import Hyperparameters
from . import asking, assumptions, data
from .hyperparameter_options import WithHyperparameters, hyperparameter_options
from .meter import Meter
from .models import open_model
from .prepare import prepared_hyperparameters

if TYPE_CHECKING:
    from ..data.batching import Corpus
    from ..data.windows import Windows
    from ..model import Seq2Seq

STOPPED = 130
"""The exit code of what Ctrl-C ended, as shells have it."""

_FOR_NOW = {"joint_ngram_order": 1}
"""Assumed until the data tell: joint_ngram_weight alone is not at odds with what they may bring."""


@click.command(cls=WithHyperparameters)
@asking.pairs_options
@asking.tokens_options
@click.option("--output", type=asking.FOLDER, help="The model's folder.  [default: beside the data, PAIRS-model]")
@click.option(
    "--size",
    type=click.Choice(tuple(assumptions.SIZES)),
    default="medium",
    show_default=True,
    help="How wide the network is, where its hyperparameters are not given.",
)
@click.option(
    "--start",
    "start_at",
    type=asking.EXISTING,
    metavar="MODEL",
    help="A model to begin with: its tokens are kept, and its hyperparameters where none are given.",
)
@click.option("--restart", is_flag=True, help="Begin anew where there is a training to go on with.")
@click.option("--threads", type=click.IntRange(min=1), help="[default: 1; from 512 hidden units on up to 4]")
@hyperparameter_options
def train(
    output: Path | None, size: str, start_at: Path | None, restart: bool, threads: int | None, **given: Any
) -> None:
    """Learn from PAIRS, a source and a target on each line.

    The table is tab- or comma-separated and has a header line or none; texts may also lie in two files.

    \b
    groundfog seq2seq train pairs.tsv
    groundfog seq2seq train --source words.txt --target phonemes.txt --size small
    groundfog seq2seq train names.tsv --start pairs-model --learning-rate 0.0003

    PAIRS may also be a folder made by `groundfog seq2seq prepare`. Whatever is not given is guessed, and said. Ctrl-C
    stops it with a checkpoint; the same command goes on from there.
    """
    hyperparameters = {name: given.pop(name) for name in Hyperparameters.__dataclass_fields__}
    chosen = {name: value for name, value in hyperparameters.items() if value is not None}
    # What is wrong with them is said before anything is read.
    Hyperparameters.of(_FOR_NOW | chosen)
    # Threads that wait asleep: where others work too, spinning ones make everything several times slower.
    os.putenv("OMP_WAIT_POLICY", "PASSIVE")
    data_at = given["pairs"] or given["source"]
    start = _start(start_at, given)
    if given["pairs"] is not None and given["pairs"].is_dir():
        lesson = _prepared(given["pairs"], size, chosen, start)
        output = output or data_at / "model"
    else:
        lesson = _lesson(given, size, chosen, start)
        output = output or data_at.with_name(f"{data_at.stem}-model")
    for line in lesson.assumed:
        click.echo(line, err=True)
    asking.threads(threads, 4 if lesson.model.hyperparameters.rnn_num_hidden >= 512 else 1)
    _learn(lesson, output, restart)


@dataclass(frozen=True)
class Lesson:
    """A model that has learnt nothing yet, and what it is to learn."""

    model: "Seq2Seq"
    train: "Corpus | Windows"
    validation: "Corpus"
    assumed: list[str]
    """To be said."""
    start: "Seq2Seq | None"

    @property
    def digest(self) -> str:
        """Changes with the data, with how it is cut into tokens, and with the model to begin with."""
        found = hashlib.sha256()
        for vocabulary in self.model.vocabularies:
            found.update(vocabulary.text().encode())
        for side in (self.validation.sources, self.validation.targets):
            for number in range(len(side)):
                found.update(side[number].tobytes() + b"/")
        for weight in self.start.network.state_dict().values() if self.start else ():
            found.update(weight.cpu().numpy())
        return found.hexdigest()


def _start(path: Path | None, given: dict[str, Any]) -> "Seq2Seq | None":
    if path is None:
        return None
    tokens = [name for name in ("tokens", "source_tokens", "target_tokens", "vocabulary_size", "joint") if given[name]]
    if tokens:
        raise click.UsageError(f"--start keeps the tokens of its model: leave out --{tokens[0].replace('_', '-')}")
    from ..model import Seq2Seq

    model = open_model(path)
    if not isinstance(model, Seq2Seq):
        raise InputFault(f"{path} holds several models: name one of its folders to begin with")
    return model


def _lesson(given: dict[str, Any], size: str, chosen: dict[str, Any], start: "Seq2Seq | None") -> Lesson:
    """From text."""
    skip_faulty = given["skip_faulty"]
    found = data.read(*(given.pop(name) for name in ("pairs", "source", "target", "columns", "header", "skip_faulty")))
    seed = Hyperparameters.of(_FOR_NOW | chosen).seed
    material = data.gather(
        found, data.Wanted(**given), skip_faulty=skip_faulty, held_out=data.HELD_OUT, seed=seed, start=start
    )
    options = _options(size, len(material.train), material.longest, start)
    if start is None:
        options["joint_ngram_order"] = assumptions.joint_ngram_order(
            [(len(source), len(target)) for source, target in material.train]
        )
    model = _model(options | chosen)
    model.source_vocabulary, model.target_vocabulary = material.vocabularies
    model.tokenizers = material.tokenizers
    lengths = model.hyperparameters.max_seq_len_source, model.hyperparameters.max_seq_len_target
    cut = data.cut_off(material, lengths)
    assumed = [*material.assumed, *([cut] if cut else []), _described(model, size, start)]
    return Lesson(model, _corpus(model, material.train), _corpus(model, material.validation), assumed, start)


def _prepared(folder: Path, size: str, chosen: dict[str, Any], start: "Seq2Seq | None") -> Lesson:
    """From what `prepare` made, or from any folder that looks like the built-in algorithm's channels."""
    from ..data.channels import read_channels
    from ..data.tokenizer import Tokenizers

    known = prepared_hyperparameters(folder)
    options = Hyperparameters.of(_FOR_NOW | known | chosen)
    channels = read_channels(folder, options)
    longest = options.max_seq_len_source, options.max_seq_len_target
    assumed = _options(size, channels.train.pairs, longest, start)
    if start is None:
        first = channels.train.first
        lengths = zip(first.sources.lengths.tolist(), first.targets.lengths.tolist(), strict=True)
        assumed["joint_ngram_order"] = assumptions.joint_ngram_order(list(lengths))
    model = _model(assumed | known | chosen)
    model.source_vocabulary, model.target_vocabulary = channels.source_vocabulary, channels.target_vocabulary
    model.tokenizers = Tokenizers.read(folder / "vocab")
    about = f"{folder}: {channels.train.pairs:,} pairs, {len(channels.validation):,} to validate on"
    return Lesson(model, channels.train, channels.validation, [about, _described(model, size, start)], start)


def _options(size: str, pairs: int, longest: tuple[int, int], start: "Seq2Seq | None") -> dict[str, Any]:
    if start is not None:
        return assumptions.hyperparameters_after(start.hyperparameters, pairs)
    return assumptions.hyperparameters(size, pairs, *longest)


def _model(options: dict[str, Any]) -> "Seq2Seq":
    from ..model import Seq2Seq

    return Seq2Seq(**options)


def _corpus(model: "Seq2Seq", pairs: list[tuple[data.Tokens, data.Tokens]]) -> "Corpus":
    from ..data.batching import Corpus

    (source, target), options = model.vocabularies, model.hyperparameters
    ids = ((source.encode(left), target.encode(right)) for left, right in pairs)
    return Corpus.of(ids, options.max_seq_len_source, options.max_seq_len_target)


def _described(model: "Seq2Seq", size: str, start: "Seq2Seq | None") -> str:
    network = size if start is None else "that of the model to begin with"
    options = model.hyperparameters
    ngrams = ", and joint n-grams" if options.joint_ngram_order else ""
    limits = [f"at most {options.max_num_epochs:,} epochs in"] if options.max_num_epochs else []
    if options.max_num_batches > 0:
        limits = [f"at most {options.max_num_batches:,}"]
    learning = " ".join([*limits, f"batches of {options.batch_size}, learning rate {options.learning_rate:.3g}"])
    kind = f"{options.encoder_type} to {options.decoder_type}{ngrams}"
    return f"network: {network}, {kind}; {learning} (--size and others in -h)"


def _learn(lesson: Lesson, output: Path, restart: bool) -> None:
    checkpoints = output / "checkpoints"
    resumed = _begin(checkpoints, lesson.digest, restart)
    with _stoppable() as stop:
        try:
            finished = lesson.model.fit_corpora(
                lesson.train,
                lesson.validation,
                start=lesson.start,
                progress=Meter(lesson.model.hyperparameters),
                stop=stop,
                checkpoints=checkpoints,
                folder=output,
                reports=(output,),
            )
        except InputFault as fault:
            raise InputFault(f"{fault} (--restart begins anew)") if resumed else fault from None
    if finished.stopped:
        click.echo(f"Stopped after {finished.updates:,} updates; the same command goes on from there.", err=True)
        sys.exit(STOPPED)
    scores = _scores(output)
    if scores is not None:
        click.echo(scores)
    click.echo(f"The model is in {output}" + (f", what it is like in {output / 'report.html'}" if scores else ""))
    click.echo(f"Go on: groundfog seq2seq translate {output}")


def _begin(checkpoints: Path, digest: str, restart: bool) -> bool:
    """Whether there is a training to go on with."""
    if restart:
        shutil.rmtree(checkpoints, ignore_errors=True)
    file = checkpoints / "data"
    if file.exists():
        if file.read_text() != digest:
            raise InputFault(
                f"{checkpoints.parent} has a training on other data, with other tokens, or from another start: "
                "--restart begins anew there, --output names another folder"
            )
        return True
    checkpoints.mkdir(parents=True, exist_ok=True)
    file.write_text(digest)
    return False


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """Ctrl-C, or a friendly kill, sets the event; the second one ends at once."""
    stop = threading.Event()

    def asked(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        click.echo("\nstopping after this batch, with a checkpoint", err=True)

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _scores(output: Path) -> str | None:
    """In a line, from the report. What goes wrong in drawing that is only warned of, so that there may be none."""
    report = output / "report.json"
    found = json.loads(report.read_text(encoding="utf-8"))["evaluation"] if report.exists() else None
    return found and (
        f"On {found['sources']:,} held out sources: {1 - found['sequence_error_rate']:.1%} entirely right, "
        f"{found['token_error_rate']:.2%} of tokens wrong, BLEU {found['bleu']:.3f}"
    )
