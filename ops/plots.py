"""Plots as inline SVG: shapes stretch with the page, their words are HTML and stay sharp.

A plot is a `<div class="plot">` with an SVG of 1000 by 100 units, drawn to fill it, and labels
placed over it in per cent. Every bar carries its numbers as a `<title>`, which browsers show on
hover and screen readers read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup, escape

_SLOTS = 24
"""A plot has room for at least so many bars, so that the first run is a bar, not a wall."""

_OUTLIER = 3.0
"""A bar so many times longer than the longest of all others is cut: a first load of millions
would press a year of daily loads flat."""


@dataclass(frozen=True)
class Bar:
    """One bar: its length, its words for hovering, its tone (good, mild, bad)."""

    value: float
    words: str
    tone: str = "good"


def bars(items: Sequence[Bar], label: str, unit: str = "", marks: int = 3) -> Markup:
    """Bars from the oldest to the latest, the latest at the right edge.

    `label` says what the plot shows, `marks` how many values the axis names at most. Bars that are
    cut at the top get a gap and their number.
    """
    if not items:
        return Markup("")
    top = _ceiling([bar.value for bar in items])
    step = 1000 / max(len(items), _SLOTS)
    left = 1000 - step * len(items)
    shapes, notes = Markup(""), Markup("")
    for place, bar in enumerate(items):
        x, height = left + step * place, min(bar.value / top, 1.0) * 100 if top else 0
        height = max(height, 1.2) if bar.value else 0.0
        body = Markup('<rect x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/>').format(
            x + step * 0.12, 100 - height, step * 0.76, height
        )
        if bar.value > top:
            body += Markup(
                '<rect class="gap" x="{:.2f}" y="12" width="{:.2f}" height="5"/>'
            ).format(x, step)
            notes += Markup('<span class="cut" style="{}:{:.2f}%">{}</span>').format(
                *(("left", (x + step) / 10) if x < 500 else ("right", (1000 - x) / 10)),
                compact(bar.value) + unit,
            )
        shapes += Markup('<g class="bar {}"><title>{}</title>{}</g>').format(
            bar.tone, bar.words, body
        )
    grid = _grid(top, unit, marks)
    return _plot(label, grid[0] + shapes, grid[1] + notes)


def line(points: Sequence[tuple[date, float]], label: str) -> Markup:
    """Values per day as a faint area, their mean over seven days as a line."""
    if len(points) < 2:
        return Markup("")
    days = [(day - points[0][0]).days for day, _ in points]
    values = [value for _, value in points]
    top = max(values) * 1.04 or 1.0
    means = [
        sum(values[max(0, i - 6) : i + 1]) / len(values[max(0, i - 6) : i + 1])
        for i in range(len(values))
    ]

    def path(heights: Sequence[float]) -> str:
        return " ".join(
            f"{1000 * day / days[-1]:.1f},{100 - 100 * height / top:.2f}"
            for day, height in zip(days, heights, strict=True)
        )

    grid = _grid(top, "", 3)
    shapes = Markup(
        '<polygon class="area" points="0,100 {} 1000,100"/><polyline class="thin" '
        'points="{}"/><polyline class="line" points="{}"/>'
    ).format(path(values), path(values), path(means))
    return _plot(label, grid[0] + shapes, grid[1])


def compact(value: float) -> str:
    """A number in three digits at most: 940, 12 k, 1.4 M."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size * 0.9995:
            return (
                f"{value / size:.1f}".rstrip("0").rstrip(".") + letter
                if (value / size < 10)
                else f"{value / size:.0f}{letter}"
            )
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _ceiling(values: list[float]) -> float:
    """The value at a plot's top edge: the largest one, unless one stands far above all others."""
    ordered = sorted(values)
    if len(ordered) > 1 and ordered[-2] > 0 and ordered[-1] > _OUTLIER * ordered[-2]:
        return ordered[-2] * 1.5
    return ordered[-1] * 1.04


def _grid(top: float, unit: str, most: int) -> tuple[Markup, Markup]:
    """Lines at round values below `top`, `most` at most, and their numbers."""
    if top <= 0:
        return Markup(""), Markup("")
    magnitude = 10.0 ** math.floor(math.log10(top))
    steps = (magnitude * factor for factor in (0.2, 0.5, 1, 2, 5))
    step = next(step for step in steps if top / step < most + 1)
    marks = [step * number for number in range(1, int(top / step) + 1)]
    lines = Markup("").join(
        Markup('<line class="grid" x1="0" x2="1000" y1="{0:.2f}" y2="{0:.2f}"/>').format(
            100 - 100 * mark / top
        )
        for mark in marks
    )
    words = Markup("").join(
        Markup('<span class="tick" style="bottom:{:.2f}%">{}</span>').format(
            100 * mark / top, compact(mark) + unit
        )
        for mark in marks
    )
    return lines, words


def _plot(label: str, shapes: Markup, words: Markup) -> Markup:
    return Markup(
        '<div class="plot"><svg viewBox="0 0 1000 100" preserveAspectRatio="none" '
        'role="img" aria-label="{}">{}</svg>{}</div>'
    ).format(escape(label), shapes, words)
