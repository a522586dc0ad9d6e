"""The parts of the page about outputs: where the model looked, and what it got wrong."""

from collections.abc import Iterator

from .analysis import Analysis, Confusion, Outcome
from .charts import length_chart
from .evaluation import Evaluation
from .heat import confusion_matrix, heat_map
from .marks import spelled, text
from .scales import percent, plain

_CONFUSIONS, _WORST = 20, 25
"""Rows of the tables on the page; there are more of them in report.json."""


def looks(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.attention:
        return
    yield '<h2>Where it looks</h2><p class="why">A row for each token that it said, from above to below; '
    yield "the stronger a cell, the more it looked at that source token.</p>"
    yield '<div class="cards">'
    for look in evaluation.attention:
        verdict, sign = ("ok", "✓") if look.right else ("off", "✗")
        meant = "" if look.right else f' <span class="soft">for</span> {_tokens(look.reference)}'
        yield f'<figure class="card look"><figcaption><span class="verdict {verdict}">{sign}</span> '
        yield f"<strong>{text(spelled(look.source))}</strong> → {_tokens(look.said)}{meant}</figcaption>"
        yield f"{heat_map(look.said, look.source, look.matrix)}</figure>"
    yield "</div>"


def mistakes(evaluation: Evaluation) -> Iterator[str]:
    analysis = evaluation.analysis
    yield f'<h2>What it gets wrong</h2><p class="why">{_asked(evaluation)}</p>'
    if not analysis.wrong:
        yield '<p class="soft">Nothing: every output was right.</p>'
        return
    yield '<div class="two">'
    yield f'<figure class="card"><h3>By the length of the source, in tokens</h3>{_LENGTH_KEYS}'
    yield f"{length_chart(analysis.by_length)}{_length_table(analysis)}</figure>"
    yield '<figure class="card"><h3>Which token was said for which</h3><p class="keys">'
    yield "Rows: what would have been right. Columns: what was said. –: left out, or put in.</p>"
    yield f'<div class="scroll">{confusion_matrix(analysis.confusions)}</div></figure></div>'
    yield "<h2>Most frequent errors</h2>"
    yield '<div class="card scroll"><table><thead><tr><th scope="col">Right</th><th scope="col">Said</th>'
    yield '<th class="number" scope="col">Times</th><th scope="col">Share of all</th>'
    yield '<th scope="col" class="examples">As in</th></tr></thead><tbody>'
    for confusion in analysis.confusions[:_CONFUSIONS]:
        yield _confusion(confusion, analysis)
    yield "</tbody></table></div>"
    yield '<h2>Worst outputs</h2><p class="why">The largest share of wrong tokens first. '
    yield "Above what would have been right, below what was said.</p>"
    yield '<div class="card scroll"><table><thead><tr><th scope="col">Source</th><th scope="col">Right, said</th>'
    yield '<th class="number" scope="col">Edits</th></tr></thead><tbody>'
    for outcome in analysis.worst[:_WORST]:
        yield _outcome(outcome)
    yield "</tbody></table></div>"


def _asked(evaluation: Evaluation) -> str:
    analysis = evaluation.analysis
    of = f" of {evaluation.of:,}" if evaluation.of > evaluation.sources else ""
    return (
        f"{evaluation.sources:,}{of} sources, searched with a beam of {evaluation.beam_size}. "
        f"{analysis.wrong:,} outputs equal none of their references. "
        f"To put them right takes {analysis.edits:,} edits in {analysis.tokens:,} tokens: "
        f"{analysis.substitutions:,} substituted, {analysis.deletions:,} left out, {analysis.insertions:,} put in."
    )


_LENGTH_KEYS = (
    '<div class="keys"><span><i class="wrong"></i>outputs wrong</span><span><i class="edits"></i>tokens wrong</span>'
    "<span>small: how many sources</span></div>"
)


def _length_table(analysis: Analysis) -> str:
    rows = "".join(
        f'<tr><th scope="row">{band.shortest}–{band.longest}</th><td class="number">{band.sources:,}</td>'
        f'<td class="number">{percent(band.wrong / band.sources)}</td>'
        f'<td class="number">{percent(band.edits / max(band.tokens, 1))}</td></tr>'
        for band in analysis.by_length
    )
    head = "".join(
        f'<th class="number" scope="col">{name}</th>' for name in ("sources", "outputs wrong", "tokens wrong")
    )
    return (
        '<details><summary>Numbers</summary><div class="scroll"><table><thead><tr><th scope="col">length</th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _confusion(confusion: Confusion, analysis: Analysis) -> str:
    most = analysis.confusions[0].count
    share = confusion.count / analysis.edits
    return (
        f"<tr><td>{_token(confusion.right, 'put in')}</td><td>{_token(confusion.said, 'left out')}</td>"
        f'<td class="number">{confusion.count:,}</td><td><div class="share"><span>{percent(share)}</span>'
        f'<i style="width:{70 * confusion.count / most:.0f}%"></i></div></td>'
        f'<td class="examples soft">{", ".join(f"<bdi>{text(source)}</bdi>" for source in confusion.sources)}</td></tr>'
    )


def _outcome(outcome: Outcome) -> str:
    pairs = "".join(
        f'<span class="{"" if right == said else "off"}"><b>{_sign(right)}</b><i>{_sign(said)}</i></span>'
        for right, said in outcome.edits
    )
    read = f"right: {' '.join(map(text, outcome.reference))}; said: {' '.join(map(text, outcome.said))}"
    sure = f"mean log probability {plain(outcome.score)}"
    return (
        f'<tr title="{sure}"><td><bdi class="token">{text(spelled(outcome.source))}</bdi></td>'
        f'<td><div class="aligned" role="img" aria-label="{read}">{pairs}</div></td>'
        f'<td class="number">{outcome.distance}</td></tr>'
    )


def _sign(token: str | None) -> str:
    return "–" if token is None else f"<bdi>{text(token)}</bdi>"


def _token(token: str | None, where_none: str) -> str:
    return f'<span class="none">{where_none}</span>' if token is None else f'<bdi class="token">{text(token)}</bdi>'


def _tokens(tokens: list[str]) -> str:
    return f'<bdi class="token">{text(" ".join(tokens)) if tokens else "nothing"}</bdi>'
