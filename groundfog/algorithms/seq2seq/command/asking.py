"""What the commands ask alike: the options that say where pairs are, and what a fault looks like."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import EXTRA
from ..data.tokenizer import KINDS
from ..errors import InputFault

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Command(click.Command):
    """Faults of the input are told in a line, with no traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except InputFault as fault:
            raise click.ClickException(str(fault)) from None
        except ModuleNotFoundError as missing:
            if missing.name not in EXTRA:
                raise
            raise click.ClickException(f"{missing.name} is not installed: pip install 'groundfog[seq2seq]'") from None


def pairs_options(function: _Function) -> _Function:
    """PAIRS, or --source and --target; with how the lines are meant. The command gets them by `data.read`'s names."""
    for option in reversed(
        [
            click.argument("pairs", type=EXISTING, required=False),
            click.option("--source", type=FILE, help="Instead of PAIRS: a file of sources, one on a line."),
            click.option("--target", type=FILE, help="The file of their targets, line by line."),
            click.option(
                "--columns",
                metavar="SOURCE,TARGET",
                help="The two columns of a pair, by number or by the header's name.  [default: 1,2]",
            ),
            click.option(
                "--header/--no-header", default=None, help="Whether there is a header line.  [default: guessed]"
            ),
            click.option(
                "--skip-faulty", is_flag=True, help="Leave out and count lines at fault, where else they end it."
            ),
        ]
    ):
        function = option(function)
    return function


def tokens_options(function: _Function) -> _Function:
    """What text is made of. The command gets them by `data.Wanted`'s names."""
    kinds = click.Choice(KINDS)
    for option in reversed(
        [
            click.option(
                "--validation", type=FILE, help="A table of pairs to validate on.  [default: 5 % are held out]"
            ),
            click.option("--validation-source", type=FILE, help="Instead of a table: a file of sources ..."),
            click.option("--validation-target", type=FILE, help="... and the file of their targets."),
            click.option("--tokens", type=kinds, help="What both sides are made of.  [default: guessed from the text]"),
            click.option("--source-tokens", type=kinds, help="What sources are made of."),
            click.option("--target-tokens", type=kinds, help="What targets are made of."),
            click.option(
                "--vocabulary-size",
                type=click.IntRange(min=1),
                help="At most so many tokens on each side.  [default: 50,000; sentencepiece 8,000]",
            ),
            click.option("--joint", is_flag=True, help="One vocabulary for both sides."),
        ]
    ):
        function = option(function)
    return function


def threads(most: int | None, sensible: int) -> None:
    """As many as asked for; else as many as are sensible and there are."""
    import torch

    torch.set_num_threads(most or min(sensible, torch.get_num_threads()))
