"""A model as it is named on the command line: a folder, or the model.tar.gz of a training job."""

import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputFault
from .data import NAMES

if TYPE_CHECKING:
    from ..model import Seq2Seq
    from ..search.ensemble import Ensemble


def open_model(path: Path) -> "Seq2Seq | Ensemble":
    """:raises InputFault: there is no model of ours."""
    from ..search.ensemble import load

    if path.is_dir():
        return load(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, OSError, EOFError) as error:
            reason = str(error).partition("\n")[0].rstrip(":")
            raise InputFault(f"{path.name} is neither a model's folder nor its model.tar.gz ({reason})") from None
        return load(folder)


def open_models(paths: Sequence[Path]) -> "Seq2Seq | Ensemble":
    """Several are an ensemble."""
    from ..model import Seq2Seq
    from ..search.ensemble import Ensemble

    opened = [open_model(path) for path in paths]
    if len(opened) == 1:
        return opened[0]
    return Ensemble(
        [member for model in opened for member in ([model] if isinstance(model, Seq2Seq) else model.models)]
    )


def warn_of_unknown(model: "Seq2Seq | Ensemble", sources: Iterable[str]) -> None:
    """Where most of what is read is unknown, it is made of other tokens than the model was taught."""
    known = model.vocabularies[0].ids
    tokens = [token for source in sources for token in model.tokenizers.source_tokens(source)]
    unknown = sum(token not in known for token in tokens)
    if 2 * unknown > len(tokens):
        click.echo(
            f"warning: the model does not know {unknown / len(tokens):.0%} of the source tokens; "
            f"it reads {NAMES[model.tokenizers.source.kind]}",
            err=True,
        )
