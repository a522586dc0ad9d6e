"""groundfog seq2seq prepare: pairs of text to what the built-in algorithm's channels hold.

    train/train.rec, validation/validation.rec       RecordIO-protobuf
    vocab/vocab.src.json, vocab/vocab.trg.json
    vocab/tokenizer.json                             so that the model can be given raw text
    hyperparameters.json                             max_seq_len_source and _target of this data
    held-out.tsv                                     the validation pairs as text, for `evaluate`

The folder can go to S3 as it is, or to `groundfog seq2seq train`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ..data.recordio import write_pairs
from ..data.tokenizer import FILE as TOKENIZER_FILE
from ..data.vocabulary import Vocabulary
from ..errors import InputFault
from . import asking, data
from .assumptions import LONGEST

_HYPERPARAMETERS = "hyperparameters.json"


@click.command(cls=asking.Command)
@asking.pairs_options
@asking.tokens_options
@click.option("--output", type=asking.FOLDER, required=True, help="The folder to make.")
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=data.HELD_OUT,
    show_default=True,
    help="The share of the sources that is held out for validation, where no validation pairs are given.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Decides which.")
def prepare(output: Path, held_out: float, seed: int, **given: Any) -> None:
    """Turn PAIRS into the channels of a training job.

    These are records, vocabularies, and a held out part; no source stands in both parts.

    \b
    groundfog seq2seq prepare pairs.tsv --output prepared
    groundfog seq2seq train prepared
    aws s3 cp --recursive prepared s3://my-bucket/pairs

    Whatever is not given is guessed, and said.
    """
    if output.exists() and any(output.iterdir()):
        raise click.UsageError(f"{output} is not empty: give a folder of its own with --output")
    skip_faulty = given["skip_faulty"]
    found = data.read(*(given.pop(name) for name in ("pairs", "source", "target", "columns", "header", "skip_faulty")))
    material = data.gather(found, data.Wanted(**given), skip_faulty=skip_faulty, held_out=held_out, seed=seed)
    for line in material.assumed:
        click.echo(line, err=True)
    write(material, output)
    click.echo(f"{output} has train/, validation/ and vocab/. Go on: groundfog seq2seq train {output}")


def write(material: data.Material, folder: Path) -> None:
    for name, pairs in (("train", material.train), ("validation", material.validation)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        _write_records(folder / name / f"{name}.rec", pairs, material.vocabularies)
    (folder / "vocab").mkdir(exist_ok=True)
    for name, vocabulary in zip(("vocab.src.json", "vocab.trg.json"), material.vocabularies, strict=True):
        (folder / "vocab" / name).write_text(vocabulary.text(), encoding="utf-8")
    if material.tokenizers.raw:
        (folder / "vocab" / TOKENIZER_FILE).write_text(material.tokenizers.text(), encoding="utf-8")
    lengths = dict(zip(("max_seq_len_source", "max_seq_len_target"), material.longest, strict=True))
    # As text: so CreateTrainingJob takes them.
    limited = {name: str(min(length, LONGEST)) for name, length in lengths.items()}
    (folder / _HYPERPARAMETERS).write_text(json.dumps(limited, indent=2) + "\n", encoding="utf-8")
    table = "".join(f"{_cell(source)}\t{_cell(target)}\n" for source, target in material.held_out)
    (folder / "held-out.tsv").write_text(table, encoding="utf-8")


def _write_records(
    file: Path, pairs: Iterable[tuple[data.Tokens, data.Tokens]], vocabularies: tuple[Vocabulary, Vocabulary]
) -> None:
    source, target = vocabularies
    with file.open("wb") as stream:
        stream.writelines(write_pairs((source.encode(left), target.encode(right)) for left, right in pairs))


def _cell(text: str) -> str:
    """A cell of CSV may hold line breaks, one of a tab-separated table may not."""
    return " ".join(text.split())


def prepared_hyperparameters(folder: Path) -> dict[str, Any]:
    """What `prepare` found out about a folder's data; nothing where the folder was made otherwise."""
    file = folder / _HYPERPARAMETERS
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputFault(f"{file} is no JSON ({error}); prepare the folder again") from None
    if not isinstance(found, dict):
        raise InputFault(f"{file} has to hold an object {{name: value}}; prepare the folder again")
    return found
