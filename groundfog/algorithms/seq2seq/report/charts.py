"""Charts as inline SVG: lines over the updates of a training, and bars. No script: what moves is the style sheet's.

Colours and fonts are in `style.css`, so that both are right by day and by night.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from .analysis import LengthBand
from .scales import Scale, percent, plain, thousands

_WIDTH, _HEIGHT = 420, 236
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 410, 14, 206
"""Of the field between the axes."""
_STOPS = 60
"""Places at which the pointer is told the numbers."""


@dataclass(frozen=True)
class Line:
    name: str
    kind: str
    """Its class in the style sheet: training, validation or rate."""
    points: Sequence[tuple[float, float]]
    """In the order of their first numbers."""

    def near(self, x: float) -> tuple[float, float] | None:
        """The last point up to there."""
        at = bisect_right(self.points, x, key=lambda point: point[0])
        return self.points[at - 1] if at else None


def line_chart(
    name: str,
    title: str,
    lines: Sequence[Line],
    *,
    best: float | None = None,
    logarithmic: bool = False,
    write: Callable[[float], str] = plain,
) -> str:
    """:param best: where the best checkpoint was, which gets a ring."""
    lines = [line for line in lines if line.points]
    across = Scale(0, max(x for line in lines for x, _ in line.points), _LEFT, _RIGHT)
    up = Scale.around([y for line in lines for _, y in line.points], _BOTTOM, _TOP, logarithmic=logarithmic)
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-labelledby="{name}-title {name}-told">',
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-told">{escape(_told(lines, write))}</desc>',
        *_axes(across, up, write),
    ]
    for line in lines:
        places = [(across(x), up(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="{line.kind}" points="{path}"/>')
        if line.kind == "validation" or len(places) == 1:
            dots = places if len(places) <= _STOPS else places[-1:]
            parts += [f'<circle class="{line.kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in dots]
        if best is not None and line.kind == "validation":
            parts += [
                f'<circle class="best" cx="{across(x):.1f}" cy="{up(y):.1f}" r="6.5"/>'
                for x, y in line.points
                if x == best
            ]
    if up.logarithmic:
        parts.append(f'<text class="note" x="{_RIGHT}" y="{_TOP - 3}" text-anchor="end">logarithmic</text>')
    return "".join(parts + _stops(lines, across, up, write)) + "</svg>"


def _axes(across: Scale, up: Scale, write: Callable[[float], str]) -> list[str]:
    parts = []
    for value in up.ticks:
        y = up(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>')
        parts.append(f'<text class="axis" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{write(value)}</text>')
    for value in across.ticks:
        x = across(value)
        anchor = "end" if x > _RIGHT - 12 else "middle"
        parts.append(
            f'<text class="axis" x="{x:.1f}" y="{_BOTTOM + 20}" text-anchor="{anchor}">{thousands(value)}</text>'
        )
    parts.append(f'<path class="base" d="M{_LEFT} {_BOTTOM}H{_RIGHT}"/>')
    return parts


def _stops(lines: Sequence[Line], across: Scale, up: Scale, write: Callable[[float], str]) -> list[str]:
    """Invisible columns that show, under the pointer, what the lines say there."""
    shown = max(lines, key=lambda line: (line.kind == "validation", len(line.points)))
    every = -(-len(shown.points) // _STOPS)
    places = [x for x, _ in shown.points[::-1][::every]][::-1]
    edges = [_LEFT, *((across(a) + across(b)) / 2 for a, b in pairwise(places)), _RIGHT]
    return [_stop(lines, x, edges[at : at + 2], across, up, write) for at, x in enumerate(places)]


def _stop(
    lines: Sequence[Line], x: float, edges: Sequence[float], across: Scale, up: Scale, write: Callable[[float], str]
) -> str:
    there = [(line, point) for line in lines if (point := line.near(x))]
    words = [f"update {x:,.0f}", *(f"{line.name} {write(y)}" for line, (_, y) in there)]
    width = 14 + 6.6 * max(map(len, words))
    at = min(max(across(x) - width / 2, _LEFT), _RIGHT - width)
    # The box keeps away from the lines: it is below them where they are high.
    high = all(up(y) < (_TOP + _BOTTOM) / 2 for _, (_, y) in there)
    top = _BOTTOM - 12 - 16 * len(words) if high else _TOP
    rows = "".join(
        f'<text x="{at + 7:.1f}" y="{top + 16 + 16 * number}">{escape(word)}</text>'
        for number, word in enumerate(words)
    )
    dots = "".join(
        f'<circle class="{line.kind}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="4"/>' for line, (_, y) in there
    )
    return (
        f'<g class="stop"><rect class="zone" x="{edges[0]:.1f}" y="{_TOP}" width="{edges[1] - edges[0]:.1f}" '
        f'height="{_BOTTOM - _TOP}"/><path class="guide" d="M{across(x):.1f} {_TOP}V{_BOTTOM}"/>{dots}'
        f'<g class="tip"><rect x="{at:.1f}" y="{top}" width="{width:.1f}" height="{16 * len(words) + 8}" rx="5"/>'
        f"{rows}</g></g>"
    )


def _told(lines: Sequence[Line], write: Callable[[float], str]) -> str:
    return "; ".join(
        f"{line.name} from {write(line.points[0][1])} at update {line.points[0][0]:,.0f} "
        f"to {write(line.points[-1][1])} at update {line.points[-1][0]:,.0f}"
        for line in lines
    )


def length_chart(bands: Sequence[LengthBand]) -> str:
    """Bars: the share of wrong outputs. Points: the edits per token."""
    shares = [band.wrong / band.sources for band in bands]
    edits = [band.edits / max(band.tokens, 1) for band in bands]
    up = Scale(0, max([*shares, *edits, 0.05]) * 1.12, _BOTTOM - 14, _TOP)
    wide = (_RIGHT - _LEFT) / max(len(bands), 1)
    told = "; ".join(
        f"{_lengths(band)} tokens: {percent(share)} of {band.sources} outputs wrong, {percent(edit)} of the tokens"
        for band, share, edit in zip(bands, shares, edits, strict=True)
    )
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-labelledby="length-title length-told">',
        '<title id="length-title">Errors by the length of the source</title>',
        f'<desc id="length-told">{escape(told)}</desc>',
    ]
    for value in up.ticks:
        parts.append(f'<path class="grid" d="M{_LEFT} {up(value):.1f}H{_RIGHT}"/>')
        parts.append(
            f'<text class="axis" x="{_LEFT - 8}" y="{up(value) + 4:.1f}" text-anchor="end">{percent(value)}</text>'
        )
    for at, (band, share, edit) in enumerate(zip(bands, shares, edits, strict=True)):
        middle, y = _LEFT + wide * (at + 0.5), up(share)
        centred = f'x="{middle:.1f}" text-anchor="middle"'
        title = (
            f"{_lengths(band)} tokens: {band.wrong} of {band.sources} outputs wrong ({percent(share)}); "
            f"{band.edits} edits in {band.tokens} tokens ({percent(edit)})"
        )
        parts.append(
            f'<g class="bar"><title>{escape(title)}</title><rect class="zone" x="{middle - wide / 2:.1f}" y="{_TOP}" '
            f'width="{wide:.1f}" height="{_BOTTOM - _TOP}"/><rect class="wrong" x="{middle - wide * 0.36:.1f}" '
            f'y="{y:.1f}" width="{wide * 0.72:.1f}" height="{_BOTTOM - 14 - y:.1f}" rx="3"/>'
            f'<circle class="edits" cx="{middle:.1f}" cy="{up(edit):.1f}" r="4"/>'
            f'<text class="axis" {centred} y="{_BOTTOM + 4}">{_lengths(band)}</text>'
            f'<text class="count" {centred} y="{_BOTTOM + 20}">{thousands(band.sources)}</text></g>'
        )
    return "".join(parts) + "</svg>"


def _lengths(band: LengthBand) -> str:
    return f"{band.shortest}" if band.shortest == band.longest else f"{band.shortest}–{band.longest}"
