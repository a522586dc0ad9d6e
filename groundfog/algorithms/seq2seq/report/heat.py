"""Grids of weights with tokens on their axes: where the model looked, and what it took for what.

A picture is one <svg> that needs nothing around it, so that a notebook shows it as a page does. A weight is how
opaque its cell is, and text has the colour of its surroundings: both are right on light and on dark paper.
"""

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from ..data.vocabulary import Sentence, tokens_of
from .analysis import Confusion
from .marks import shortened, visible

_LETTER, _CELL, _LINE = 7.4, 24, 18
"""Widths of a letter and of a cell, height of a line."""
_LONGEST = 14
"""Letters of a token that are shown; the whole of it is in its title."""


def heat_map(target: Sentence, source: Sentence, matrix: "np.ndarray | Sequence[Sequence[float]]") -> str:
    """`matrix` [target tokens, source tokens]: a row for each token that was said, with weights from 0 to 1.

    :raises ValueError: it has not as many rows and columns as there are tokens.
    """
    rows, columns = tokens_of(target), tokens_of(source)
    weights, shape = np.asarray(matrix, dtype=float), (len(rows), len(columns))
    if not rows or not columns:
        weights = np.zeros(shape)
    if weights.shape != shape:
        raise ValueError(f"Attention of shape {list(weights.shape)} for {shape[0]} target, {shape[1]} source tokens")
    return _grid(
        rows,
        columns,
        weights,
        title=f"Attention from {_spoken(rows)} to {_spoken(columns)}",
        told=_looked(rows, columns, weights),
        of_cell=lambda row, column: f"{row} looks at {column}",
        colour="#0891b2",
    )


def confusion_matrix(confusions: Sequence[Confusion], most: int = 16) -> str:
    """The tokens that are confused the most; what was left out or put in stands at the rim, as a dash."""
    weight: dict[str, int] = {}
    for each in confusions:
        for token in {each.right or "", each.said or ""} - {""}:
            weight[token] = weight.get(token, 0) + each.count
    tokens = sorted(sorted(weight, key=lambda token: (-weight[token], token))[:most])
    places = {token: at for at, token in enumerate(tokens)} | {None: len(tokens)}
    counts = np.zeros((len(tokens) + 1, len(tokens) + 1))
    for each in confusions:
        if each.right in places and each.said in places:
            counts[places[each.right], places[each.said]] += each.count
    axis = [*tokens, "–"]
    return _grid(
        axis,
        axis,
        np.sqrt(counts / max(counts.max(initial=0), 1)),
        title="Which token was taken for which",
        told="Rows are what would have been right, columns what was said; the table beside it has the numbers.",
        of_cell=lambda row, column: f"{row} was said as {column}",
        colour="#dc2626",
        numbers=counts,
    )


def _grid(
    rows: Sequence[str],
    columns: Sequence[str],
    weights: np.ndarray,
    *,
    title: str,
    told: str,
    of_cell: Callable[[str, str], str],
    colour: str,
    numbers: np.ndarray | None = None,
) -> str:
    """Cells as opaque as their weights are high; their titles name the `numbers`, or the weights."""
    row_labels, column_labels = ([shortened(token, _LONGEST) for token in axis] for axis in (rows, columns))
    widest = max(map(len, column_labels), default=0)
    # Short tokens stand upright above their columns, longer ones lean.
    leaning = widest > 2
    left = 14 + _LETTER * max(map(len, row_labels), default=0)
    top = 12 + (_LETTER * widest * 0.8 if leaning else _LINE)
    width = left + _CELL * len(columns) + (_LETTER * len(column_labels[-1]) * 0.6 if leaning else 4)
    height = top + _CELL * len(rows) + 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="heat" role="img" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" style="max-width:100%;height:auto" '
        'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="12" fill="currentColor">',
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc>",
    ]
    for at, (label, token) in enumerate(zip(column_labels, columns, strict=True)):
        x, y = left + _CELL * (at + 0.5), top - 7
        turn = f' transform="rotate(-52 {x:.1f} {y:.1f})"' if leaning else ' text-anchor="middle"'
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{turn}>{_titled(label, token)}</text>')
    for number, (label, token) in enumerate(zip(row_labels, rows, strict=True)):
        y = top + _CELL * number
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 16:.1f}" text-anchor="end">{_titled(label, token)}</text>')
        for at, column in enumerate(columns):
            weight = min(max(float(weights[number, at]), 0.0), 1.0)
            said = f"{weight:.3f}" if numbers is None else f"{numbers[number, at]:.0f}"
            parts.append(
                f'<rect x="{left + _CELL * at + 1:.1f}" y="{y + 1:.1f}" width="{_CELL - 2}" height="{_CELL - 2}" '
                f'rx="3" fill="{colour}" fill-opacity="{max(weight, 0.05):.3g}">'
                f"<title>{escape(of_cell(visible(token), visible(column)))}: {said}</title></rect>"
            )
    return "".join(parts) + "</svg>"


def _titled(label: str, token: str) -> str:
    return escape(label) if label == visible(token) else f"<title>{escape(visible(token))}</title>{escape(label)}"


def _spoken(tokens: Sequence[str]) -> str:
    return " ".join(visible(token) for token in tokens[:60])


def _looked(rows: Sequence[str], columns: Sequence[str], weights: np.ndarray) -> str:
    """For those who do not see the picture: where each token looked most."""
    if not weights.size:
        return "Nothing was said, or nothing was there to look at."
    return "; ".join(
        f"{visible(token)} looks most at {visible(columns[at])}, source token {at + 1} ({weights[number, at]:.2f})"
        for number, (token, at) in enumerate(zip(rows, weights.argmax(1).tolist(), strict=True))
    )
