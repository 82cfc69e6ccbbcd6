"""Curves over training: one or more series in a panel, values to point at, vertical marks between phases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

import numpy as np

from angiova.report.charts.axes import Frame, frame, padded, short, x_axis, y_axis
from angiova.report.charts.svg import (
    FAINT,
    INK,
    LINE,
    MARK,
    SOFT,
    Drawing,
    Node,
    element,
    moved,
    pointed,
    text,
    width_px,
)
from angiova.report.text import Label, joined

Style = Literal["raw", "smooth", "fit", "main", "second", "reference"]

# Told apart without colour: by width, dash pattern and marker.
_STYLES: Final[dict[str, dict[str, str | float]]] = {
    "raw": {"stroke": "#7fa9ab", "stroke_width": 0.9},
    "smooth": {"stroke": LINE, "stroke_width": 2.0},
    "fit": {"stroke": MARK, "stroke_width": 1.4, "stroke_dasharray": "6 3"},
    "main": {"stroke": LINE, "stroke_width": 1.6},
    "second": {"stroke": INK, "stroke_width": 1.3, "stroke_dasharray": "2 2"},
    "reference": {"stroke": SOFT, "stroke_width": 1.0, "stroke_dasharray": "4 4"},
}
_MAX_POINTS: Final = 400
_MAX_MARKERS: Final = 40
_WIDTH: Final = 900.0
_MARGIN: Final = (52.0, 30.0, 12.0, 38.0)  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Series:
    """One curve.

    Attributes:
        label: what it is, as in the legend; the same labels in several panels are switched together.
        style: how it is drawn.
    """

    label: Label
    xs: Sequence[float]
    ys: Sequence[float]
    style: Style = "main"


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes.

    Attributes:
        marks: places on x where something changes, drawn as vertical lines.
        ends: first and last value of interest, written at the top right.
    """

    title: Label
    series: tuple[Series, ...]
    marks: tuple[float, ...] = ()
    ends: str = ""
    y_limits: tuple[float, float] | None = None
    x_limits: tuple[float, float] | None = None


def line_chart(
    panels: Sequence[Panel], x_label: Label, title: Label, columns: int = 3, height: float = 185.0
) -> Drawing:
    """Draw panels in rows of `columns`, with one legend above them when there is more than one series."""
    columns = min(columns, len(panels))
    width = _WIDTH / columns
    styles = {series.style: series.label for panel in panels for series in panel.series}
    top = 24.0 if len(styles) > 1 else 0.0
    legend = list(_legend(styles)) if top else []
    drawn = [
        moved(_panel(panel, x_label, width, height), (n % columns) * width, top + (n // columns) * height)
        for n, panel in enumerate(panels)
    ]
    return Drawing(_WIDTH, top + ceil(len(panels) / columns) * height, (*legend, *drawn), title)


def thinned(values: Sequence[float], most: int = _MAX_POINTS) -> list[float]:
    """Return the values, or their means over equal blocks where there are more than `most`."""
    if len(values) <= most:
        return list(values)
    return [float(block.mean()) for block in np.array_split(np.asarray(values, dtype=float), most)]


def _legend(styles: dict[Style, Label]) -> Iterator[Node]:
    """Yield the legend; each entry switches its style in every panel."""
    at = _MARGIN[0]
    for style, label in styles.items():
        line = element("line", x1=at, y1=12, x2=at + 26, y2=12, **_STYLES[style])
        words = text(at + 32, 16, label)
        size = 44 + width_px(label)
        click = element("rect", x=at - 4, y=2, width=size, height=20, fill="transparent", pointer_events="all")
        yield element("g", click, line, *words, class_="toggle", data_series=style, tabindex="0", role="button")
        at += size + 10


def _panel(panel: Panel, x_label: Label, width: float, height: float) -> Iterator[Node]:
    left, top, right, bottom = _MARGIN
    thin = [(s, thinned(s.xs), thinned(s.ys)) for s in panel.series]
    all_x, all_y = [x for _, xs, _ in thin for x in xs], [y for _, _, ys in thin for y in ys]
    x_limits = panel.x_limits or (min(all_x), max(all_x) if max(all_x) > min(all_x) else min(all_x) + 1)
    area = frame(left, top, width - right, height - bottom, x_limits, panel.y_limits or padded(all_y))
    yield from text(left - 40, 14, panel.title, font_weight="600", font_size=12)
    yield from text(width - right, 14, panel.ends, text_anchor="end", fill=SOFT, font_size=10)
    yield from y_axis(area)
    yield from x_axis(area, x_label, most=6 if width > 400 else 4)
    for at in panel.marks:
        x = area.x(at)
        yield element("line", x1=x, y1=top, x2=x, y2=area.bottom, stroke=MARK, stroke_width=1, stroke_dasharray="1 3")
    for series, x_values, y_values in thin:
        yield element("g", *_curve(area, series.style, x_values, y_values), data_series=series.style, class_="series")
    yield from _targets(area, x_label, thin)


def _curve(area: Frame, style: Style, xs: Sequence[float], ys: Sequence[float]) -> Iterator[Node]:
    points = " ".join(f"{area.x(x):.1f},{area.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
    yield element("polyline", points=points, fill="none", stroke_linejoin="round", **_STYLES[style])
    if len(xs) <= _MAX_MARKERS and style in ("main", "raw"):
        for x, y in zip(xs, ys, strict=True):
            yield element("circle", cx=area.x(x), cy=area.y(y), r=2.2, fill=_STYLES[style]["stroke"])


def _targets(area: Frame, x_label: Label, thin: Sequence[tuple[Series, list[float], list[float]]]) -> Iterator[Node]:
    """Yield an invisible strip at each x of the first series that says every series' value there."""
    xs = thin[0][1]
    for n, x in enumerate(xs):
        at = area.x(x)
        before = area.x(xs[n - 1]) if n else area.left
        after = area.x(xs[n + 1]) if n + 1 < len(xs) else area.right
        start, end = (before + at) / 2, (at + after) / 2
        values: list[Label] = [
            joined([series.label, f" {_at(x, sx, sy):.4g}"], "") for series, sx, sy in thin if sx[0] <= x <= sx[-1]
        ]
        tip = joined([joined([x_label, f" {short(x)}"], ""), *values], "\n")
        hit = element("rect", x=start, y=area.top, width=end - start, height=area.bottom - area.top, fill="transparent")
        ruler = element("line", x1=at, y1=area.top, x2=at, y2=area.bottom, stroke=FAINT, opacity=0, class_="ruler")
        yield pointed((ruler, hit), tip)


def _at(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    return float(np.interp(x, xs, ys))
