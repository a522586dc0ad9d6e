"""An option for each hyperparameter, made from `Hyperparameters`, so that the help is never out of date."""

from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any, TypeVar

import click

from ..hyperparameters import Hyperparameters
from .asking import Command
from .assumptions import SIZES, hyperparameters

_Function = TypeVar("_Function", bound=Callable[..., Any])

SECTIONS = {
    "max_seq_len_source": "The data",
    "encoder_type": "The network",
    "embed_dropout_source": "Regularisation, and how weights begin",
    "loss_type": "Learning",
    "min_num_epochs": "How long, and which parameters are the best",
    "seed": "Beyond SageMaker's table",
}
"""The first hyperparameter of each section of the help."""

_OF_THE_DATA = set(hyperparameters("medium", 1, 1, 1)) - set(SIZES["medium"])


def hyperparameter_options(function: _Function) -> _Function:
    """The command gets those that were given, as text; it is a `WithHyperparameters`."""
    for each in reversed(fields(Hyperparameters)):
        name = f"--{each.name.replace('_', '-')}"
        function = click.option(name, each.name, metavar=_metavar(each), help=_help(each))(function)
    return function


class WithHyperparameters(Command):
    """Its help has the hyperparameters in sections of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = [each.name for each in fields(Hyperparameters)]
        own, sections = [], dict[str, list[tuple[str, str]]]()
        records = {
            parameter.name: record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx))
        }
        for name, record in records.items():
            if name not in names:
                own.append(record)
        section = ""
        for name in names:
            section = SECTIONS.get(name, section)
            sections.setdefault(section, []).append(records[name])
        with formatter.section("Options"):
            formatter.write_dl(own)
        for title, some in sections.items():
            with formatter.section(f"Hyperparameters: {title}"):
                formatter.write_dl(some)


def _metavar(each: Field[Any]) -> str:
    rule = str(each.metadata["rule"])
    return "N" if "integer" in rule else "X" if "number" in rule else "WORD"


def _help(each: Field[Any]) -> str:
    meaning = each.metadata["meaning"]
    return f"{meaning[0].upper()}{meaning[1:]} ({each.metadata['rule']}).  [{_default(each)}]"


def _default(each: Field[Any]) -> str:
    of_sizes = {size: SIZES[size][each.name] for size in SIZES if each.name in SIZES[size]}
    if len(of_sizes) == len(SIZES):
        return ", ".join(f"{size} {value}" for size, value in of_sizes.items())
    if each.name in _OF_THE_DATA:
        return "by the data"
    default = "true" if each.default is True else "false" if each.default is False else each.default
    others = "".join(f", {size} {value}" for size, value in of_sizes.items())
    return f"{'none' if default is None else default}{others}"
