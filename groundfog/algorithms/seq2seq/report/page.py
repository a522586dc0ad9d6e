"""report.html: one page of a report, which loads nothing and runs nothing.

All that comes from a vocabulary, a data set or a hyperparameter goes through `text`, and the page forbids scripts to
whoever reads it (Content-Security-Policy), so that a token called <script> is a word like any other.
"""

import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path

from .charts import Line, line_chart
from .curves import Curves
from .document import About, Report
from .findings import looks, mistakes
from .marks import text
from .scales import percent, plain

_REFRESH = 30
"""Seconds after which a page about a running training looks for a newer one."""


def page(report: Report) -> str:
    name = _name(report.about)
    return "".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">""",
            f'<meta http-equiv="refresh" content="{_REFRESH}">' if _state(report)[0] == "running" else "",
            f"<title>seq2seq: {name}</title><style>{_style()}</style></head><body>",
            f'<header><div class="wide">{"".join(_header(report, name))}</div></header><main class="wide">',
            *(_curves(report.curves) if report.curves else ()),
            *(looks(report.evaluation) if report.evaluation else ()),
            *(mistakes(report.evaluation) if report.evaluation else ()),
            *_options(report.about),
            '</main><footer class="wide">Written by Groundfog. The same numbers are in report.json.</footer>',
            "</body></html>\n",
        ]
    )


@cache
def _style() -> str:
    return (Path(__file__).with_name("style.css")).read_text(encoding="utf-8")


def _name(about: About) -> str:
    """What kind of network it is, in a line."""
    options = about.hyperparameters
    encoder, decoder = (_kind(about, f"{side}_type") for side in ("encoder", "decoder"))
    kinds = f"{encoder} encoder and decoder" if encoder == decoder else f"{encoder} encoder, {decoder} decoder"
    attention = f", {options['rnn_attention_type']} attention" if options["decoder_type"] == "rnn" else ""
    several = f"{about.models} times " if about.models > 1 else ""
    return text(several + kinds + attention)


def _kind(about: About, side: str) -> str:
    options = about.hyperparameters
    sizes = {
        "rnn": f"{options['rnn_cell_type'].upper()} {options['rnn_num_hidden']}",
        "cnn": f"CNN {options['cnn_num_hidden']}",
        "transformer": f"transformer {options['transformer_model_size']}",
    }
    return sizes[options[side]]


def _state(report: Report) -> tuple[str, str]:
    """A class of the style sheet and words."""
    curves = report.curves
    if curves is None:
        return "done", "evaluated"
    if curves.failed:
        return "failed", f"failed after {curves.updates:,} updates"
    if curves.stopped:
        return "stopped", f"stopped after {curves.updates:,} updates"
    if curves.ended is not None:
        return "done", f"trained for {curves.updates:,} updates"
    return "running", f"training, {curves.updates:,} updates so far"


def _header(report: Report, name: str) -> Iterator[str]:
    kind, words = _state(report)
    about, curves = report.about, report.curves
    yield f'<span class="state {kind}">{words}</span><h1>{name}</h1>'
    facts = [
        f"{about.parameters:,} parameters",
        f"vocabularies of {about.source_tokens:,} and {about.target_tokens:,} tokens",
    ]
    if curves is not None and curves.pairs:
        facts.insert(0, f"{curves.pairs:,} training pairs")
    if curves is not None and curves.checkpoints:
        facts.append(f"{_duration(sum(point.seconds for point in curves.checkpoints))} of training")
    if curves is not None and curves.failed:
        yield f'<p class="failed">{text(curves.ended)}</p>'
    yield f'<p class="soft">{" · ".join(facts)}</p><ul class="tiles">'
    for number, meaning in _tiles(report):
        yield f"<li><b>{number}</b><span>{meaning}</span></li>"
    yield "</ul>"


def _tiles(report: Report) -> Iterator[tuple[str, str]]:
    evaluation, curves = report.evaluation, report.curves
    if evaluation is not None:
        yield percent(evaluation.sequence_error_rate), f"of {evaluation.sources:,} outputs wrong somewhere"
        yield percent(evaluation.token_error_rate), "token error rate"
        yield plain(evaluation.bleu * 100), f"BLEU · chrF {plain(evaluation.chrf * 100)}"
    best = curves.best if curves is not None else None
    if best is not None:
        metrics = best.metrics
        if (perplexity := metrics.get("perplexity-val")) is not None:
            yield plain(perplexity), f"validation perplexity, at checkpoint {best.number}"
        if (accuracy := metrics.get("accuracy-val")) is not None:
            yield percent(accuracy), "of the next tokens foreseen"
        if evaluation is None and (score := metrics.get("bleu-val")) is not None:
            yield plain(score * 100), f"BLEU at checkpoint {best.number}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(timedelta(seconds=seconds) / timedelta(minutes=1)), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _curves(curves: Curves) -> Iterator[str]:
    yield '<h2>How it learnt</h2><p class="why">Over the updates of the network, a batch each. '
    yield "Training points are means since the point before, with dropout; validation is without.</p>"
    charts = list(_charts(curves))
    if not charts:
        yield '<p class="soft">The first numbers are yet to come.</p>'
        return
    yield f'<div class="curves of-{len(charts)}">'
    for title, keys, drawing in charts:
        yield f'<figure class="card"><h3>{title}</h3>{keys}{drawing}</figure>'
    yield "</div>"
    yield from _numbers(curves)


def _charts(curves: Curves) -> Iterator[tuple[str, str, str]]:
    """Title, key and drawing of each that there are numbers for."""
    best = curves.best.updates if curves.best is not None else None

    def drawn(name: str, title: str, lines: list[Line], **more: object) -> Iterator[tuple[str, str, str]]:
        if any(line.points for line in lines):
            marked = best if name == curves.optimized_metric else None
            drawing = line_chart(name, f"{title} over the updates", lines, best=marked, **more)  # type: ignore[arg-type]
            yield title, _keys(lines, marked is not None), drawing

    training = curves.training
    loss = [(float(point.updates), point.loss) for point in training]
    perplexity = [(x, math.exp(y)) for x, y in loss]
    accuracy = [(float(point.updates), point.accuracy) for point in training]
    yield from drawn(
        "loss",
        "Loss, nats a token",
        [Line("training", "training", loss), Line("validation", "validation", _of(curves, lambda point: point.loss))],
        logarithmic=True,
    )
    yield from drawn(
        "perplexity",
        "Perplexity",
        [
            Line("training", "training", perplexity),
            Line("validation", "validation", _of(curves, lambda point: point.metrics.get("perplexity-val"))),
        ],
        logarithmic=True,
    )
    yield from drawn(
        "accuracy",
        "Accuracy of the next token",
        [
            Line("training", "training", accuracy),
            Line("validation", "validation", _of(curves, lambda point: point.metrics.get("accuracy-val"))),
        ],
        write=percent,
    )
    bleu = _of(curves, lambda point: point.metrics.get("bleu-val"))
    yield from drawn(
        "bleu", "BLEU of decoded sources", [Line("validation", "validation", [(x, y * 100) for x, y in bleu])]
    )
    # It changes at once: a step has its corner where the point before was.
    corners = zip([*training[:1], *training], training, strict=False)
    rates = [(float(at.updates), point.learning_rate) for before, point in corners for at in (before, point)]
    yield from drawn("rate", "Learning rate", [Line("learning rate", "rate", rates)], logarithmic=True)


def _of(curves: Curves, number: Callable[..., float | None]) -> list[tuple[float, float]]:
    return [(float(point.updates), y) for point in curves.checkpoints if (y := number(point)) is not None]


def _keys(lines: list[Line], marked: bool) -> str:
    names = [line for line in lines if line.points and line.kind != "rate"]
    keys = "".join(f'<span><i class="{line.kind}"></i>{line.name}</span>' for line in names)
    ring = '<span><i class="best"></i>best, kept</span>' if marked else ""
    return f'<div class="keys">{keys}{ring}</div>'


def _numbers(curves: Curves) -> Iterator[str]:
    if not curves.checkpoints:
        return
    names = sorted({name for point in curves.checkpoints for name in point.metrics})
    yield '<details><summary>The numbers of each checkpoint</summary><div class="card scroll"><table><thead><tr>'
    yield "".join(f'<th class="number" scope="col">{text(name)}</th>' for name in ["checkpoint", "updates", *names])
    yield '<th class="number" scope="col">learning rate</th></tr></thead><tbody>'
    best = curves.best
    for point in curves.checkpoints:
        cells = [str(point.number), f"{point.updates:,}"]
        for name in names:
            value = point.metrics.get(name)
            cells.append("–" if value is None else f"{value:,.4f}".rstrip("0").rstrip("."))
        row = "".join(f'<td class="number">{cell}</td>' for cell in [*cells, plain(point.learning_rate)])
        yield f'<tr class="changed">{row}</tr>' if point is best else f"<tr>{row}</tr>"
    yield "</tbody></table></div></details>"


def _options(about: About) -> Iterator[str]:
    yield '<h2>Hyperparameters</h2><p class="why">Those that differ from their defaults.</p>'
    yield '<div class="card scroll"><table><tbody>'
    chosen = about.chosen
    rows = {
        name: f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>'
        for name, value in about.hyperparameters.items()
    }
    yield "".join(row for name, row in rows.items() if name in chosen) or "<tr><td>None.</td></tr>"
    yield '</tbody></table></div><details><summary>All of them</summary><div class="card scroll"><table><tbody>'
    yield "".join(rows.values()) + "</tbody></table></div></details>"
