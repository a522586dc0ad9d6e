"""groundfog seq2seq align: which part of a source a part of its target comes from."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import asking, data

if TYPE_CHECKING:
    from ..search.translation import Translation

_SHADES = " ░▒▓█"


@click.command(cls=asking.Command)
@click.argument("model", type=asking.EXISTING)
@asking.pairs_options
@click.option("--json", "as_json", is_flag=True, help="An object for each pair: tokens, score, alignment, matrix.")
@click.option(
    "--chart", is_flag=True, help="A picture of each pair for the terminal: target tokens down, source across."
)
@click.option("--threads", type=click.IntRange(min=1), help="[default: 1]")
def align(model: Path, as_json: bool, chart: bool, threads: int | None, **given: Any) -> None:
    """Say which source tokens the targets of PAIRS come from.

    \b
    groundfog seq2seq align pairs-model pairs.tsv

    That is where MODEL looks while it says the given target. A line for each pair, in the Pharaoh format: "0-0 2-1"
    says that the second target token comes from the third source token. Each target token has the one source token that
    weighs the most.
    """
    from .models import open_model

    found = data.read(**given)
    asking.threads(threads, 1)
    for each in open_model(model).align(found.pairs):
        if as_json:
            click.echo(json.dumps(_object(each), ensure_ascii=False))
        elif chart:
            click.echo(_chart(each) + "\n")
        else:
            click.echo(_pharaoh(each))


def _object(each: "Translation") -> dict[str, Any]:
    assert each.attention is not None
    return {
        "source_tokens": each.source,
        "target_tokens": each.tokens,
        "score": round(each.score, 6),
        "alignment": _alignment(each),
        "matrix": each.attention.astype(float).round(6).tolist(),
    }


def _alignment(each: "Translation") -> list[tuple[int, int]]:
    """(source, target), from 0 on."""
    if each.attention is None or not each.source:
        return []
    return [(int(row.argmax()), number) for number, row in enumerate(each.attention)]


def _pharaoh(each: "Translation") -> str:
    return " ".join(f"{source}-{target}" for source, target in sorted(_alignment(each)))


def _chart(each: "Translation") -> str:
    assert each.attention is not None
    width = max((len(token) for token in each.tokens), default=0)
    cells = [max(1, len(token)) for token in each.source]
    lines = [f"{'':{width}}  {' '.join(each.source)}"]
    for token, row in zip(each.tokens, each.attention, strict=True):
        shades = (_SHADES[min(len(_SHADES) - 1, int(weight * len(_SHADES)))] for weight in row)
        drawn = " ".join(shade * cell for shade, cell in zip(shades, cells, strict=True))
        lines.append(f"{token:>{width}}  {drawn.rstrip()}")
    return "\n".join(lines)
