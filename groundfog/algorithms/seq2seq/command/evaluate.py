"""groundfog seq2seq evaluate: how often a model is right, and where it is not."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import asking, data

if TYPE_CHECKING:
    from ..report import Evaluation
    from ..search.translation import Translator


@click.command(cls=asking.Command)
@click.argument("model", type=asking.EXISTING)
@asking.pairs_options
@click.option(
    "--ensemble", type=asking.EXISTING, multiple=True, help="Another model that has a say too; may be given again."
)
@click.option(
    "--beam", type=click.IntRange(min=1), help="Hypotheses kept at each step.  [default: the model's beam_size]"
)
@click.option("--most", type=click.IntRange(min=1), help="Ask at most so many sources, drawn at random.")
@click.option("--worst", type=click.IntRange(min=0), default=10, show_default=True, help="Show so many wrong answers.")
@click.option("--report", type=asking.FOLDER, help="Write report.html and report.json there.")
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
@click.option("--threads", type=click.IntRange(min=1), help="[default: 1]")
def evaluate(
    model: Path,
    ensemble: tuple[Path, ...],
    beam: int | None,
    most: int | None,
    worst: int,
    report: Path | None,
    as_json: bool,
    threads: int | None,
    **given: Any,
) -> None:
    """Hold what MODEL says against PAIRS. A source that stands on several lines has several right answers.

    \b
    groundfog seq2seq evaluate pairs-model held-out.tsv
    """
    from .models import open_models, warn_of_unknown

    found = data.read(**given)
    click.echo(found.about, err=True)
    asking.threads(threads, 1)
    translator = open_models([model, *ensemble])
    warn_of_unknown(translator, (source for source, _ in found.pairs))
    evaluation = translator.evaluate(found.pairs, most=most, beam_size=beam)
    if report is not None:
        evaluation.save_report(report)
    if as_json:
        click.echo(json.dumps(_object(evaluation, translator, worst), ensure_ascii=False))
    else:
        click.echo(_table(evaluation, translator, worst))


def _object(evaluation: "Evaluation", translator: "Translator", worst: int) -> dict[str, Any]:
    return {
        "sources": evaluation.sources,
        "sequence_error_rate": evaluation.sequence_error_rate,
        "token_error_rate": evaluation.token_error_rate,
        "bleu": evaluation.bleu,
        "chrf": evaluation.chrf,
        "seconds": round(evaluation.seconds, 3),
        "worst": _worst(evaluation, translator, worst),
    }


def _worst(evaluation: "Evaluation", translator: "Translator", most: int) -> list[dict[str, str]]:
    sides = translator.tokenizers
    return [
        {
            "source": sides.source.join(outcome.source),
            "reference": sides.target.join(outcome.reference),
            "said": sides.target.join(outcome.said),
        }
        for outcome in evaluation.analysis.worst[:most]
    ]


def _table(evaluation: "Evaluation", translator: "Translator", most: int) -> str:
    rows = [
        ("sources", f"{evaluation.sources:,}"),
        ("sequence error rate", f"{evaluation.sequence_error_rate:.2%}"),
        ("token error rate", f"{evaluation.token_error_rate:.2%}"),
        ("BLEU (of tokens)", f"{evaluation.bleu:.4f}"),
        ("chrF", f"{evaluation.chrf:.4f}"),
        ("time", f"{evaluation.seconds:.1f} s"),
    ]
    lines = [f"{name:<22}{value}" for name, value in rows]
    for each in _worst(evaluation, translator, most):
        lines += [
            "",
            f"  source     {each['source']}",
            f"  reference  {each['reference']}",
            f"  said       {each['said']}",
        ]
    return "\n".join(lines)
