"""Histograms, and means with their intervals in rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean
from typing import Final

import numpy as np

from angiova.report.charts.axes import Frame, frame, padded, short, ticks, x_axis, y_axis
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

_WIDTH: Final = 900.0
_ROW: Final = 23.0
_BINS: Final = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One mean with its interval.

    Attributes:
        low, high: ends of the interval or of the deviation; None where there is none.
        reference: a value to compare with, such as the chance level, drawn as a diamond.
        note: further words for the reader who points at the row.
    """

    label: Label
    mean: float
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    note: Label = ""


def interval_chart(
    rows: Sequence[Row],
    x_label: Label,
    title: Label,
    reference_label: Label = "",
    limits: tuple[float, float] | None = None,
) -> Drawing:
    """Draw each mean as a dot on a bar from the limits' start, with its interval as a line with end marks."""
    left = min(max(width_px(row.label) for row in rows) + 16, 320.0)
    top, bottom = (24.0, 36.0) if reference_label else (6.0, 36.0)
    height = top + _ROW * len(rows) + bottom
    known = [v for row in rows for v in (row.mean, row.low, row.high, row.reference) if v is not None]
    area = frame(
        left, top, _WIDTH - 60, height - bottom, limits or padded(known, from_zero=True), (0.0, float(len(rows)))
    )
    nodes = [*_grid(area), *x_axis(area, x_label)]
    if reference_label:
        nodes += [_diamond(left + 8, 11), *text(left + 18, 15, reference_label)]
    for number, row in enumerate(rows):
        nodes.append(_row(area, row, top + _ROW * (number + 0.5), reference_label))
    return Drawing(_WIDTH, height, tuple(nodes), title)


def histogram_chart(values_by_name: Mapping[str, Sequence[float]], y_label: Label, title: Label) -> Drawing:
    """Draw the distribution of each metric with its mean as a dashed line, in rows of four."""
    columns = min(4, len(values_by_name))
    width, height = _WIDTH / columns, 165.0
    drawn = [
        moved(_histogram(name, values, y_label, width, height), (n % columns) * width, (n // columns) * height)
        for n, (name, values) in enumerate(values_by_name.items())
    ]
    return Drawing(_WIDTH, ceil(len(drawn) / columns) * height, tuple(drawn), title)


def _grid(area: Frame) -> Iterator[Node]:
    for value in ticks(area.x.low, area.x.high):
        at = area.x(value)
        yield element("line", x1=at, y1=area.top, x2=at, y2=area.bottom, stroke=FAINT, stroke_width=0.5)


def _row(area: Frame, row: Row, y: float, reference_label: Label) -> Node:
    start, at = area.x(max(area.x.low, 0.0)), area.x(row.mean)
    bar = element("rect", x=min(start, at), y=y - 6, width=abs(at - start), height=12, fill=LINE, fill_opacity=0.28)
    nodes = [*text(area.left - 8, y + 4, row.label, text_anchor="end"), bar]
    if row.low is not None and row.high is not None:
        nodes += _whisker(area, row.low, row.high, y)
    nodes.append(element("circle", cx=at, cy=y, r=4, fill=LINE))
    if row.reference is not None:
        nodes.append(_diamond(area.x(row.reference), y))
    nodes += text(_WIDTH - 52, y + 4, f"{row.mean:.3f}", fill=INK)
    hit = element("rect", x=0, y=y - _ROW / 2, width=_WIDTH, height=_ROW, fill="transparent")
    lines: list[Label] = [joined([row.label, f" {row.mean:.4f}"], "")]
    lines += [f"[{row.low:.4f}, {row.high:.4f}]"] if row.low is not None and row.high is not None else []
    lines += [joined([reference_label, f" {row.reference:.4f}"], "")] if row.reference is not None else []
    lines += [row.note] if row.note else []
    return pointed((*nodes, hit), joined(lines, "\n"))


def _whisker(area: Frame, low: float, high: float, y: float) -> list[Node]:
    """Draw an interval; what lies beyond the axis ends there without an end mark."""
    inner = [min(max(value, area.x.low), area.x.high) for value in (low, high)]
    a, b = map(area.x, inner)
    nodes = [element("line", x1=a, y1=y, x2=b, y2=y, stroke=INK, stroke_width=1.4)]
    for place, value, shown in ((a, low, inner[0]), (b, high, inner[1])):
        if value == shown:
            nodes.append(element("line", x1=place, y1=y - 4, x2=place, y2=y + 4, stroke=INK, stroke_width=1.4))
    return nodes


def _diamond(x: float, y: float) -> Node:
    return element("path", d=f"M{x - 5:.1f} {y:.1f}l5 -5l5 5l-5 5z", fill="#fff", stroke=MARK, stroke_width=1.6)


def _histogram(name: str, values: Sequence[float], y_label: Label, width: float, height: float) -> Iterator[Node]:
    inside = all(0 <= value <= 1 for value in values)
    low, high = (0.0, 1.0) if inside else padded(values)
    counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
    area = frame(36, 26, width - 10, height - 34, (low, high), (0.0, float(counts.max()) * 1.05))
    mean = fmean(values)
    yield from text(2, 14, name, font_weight="600", font_size=12)
    yield from text(width - 10, 14, f"{mean:.3f}", text_anchor="end", fill=SOFT, font_size=10)
    yield from y_axis(area, most=3)
    yield from x_axis(area, "", most=4)
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        x, y = area.x(left), area.y(count)
        bar = element(
            "rect", x=x + 0.5, y=y, width=area.x(right) - x - 1, height=area.bottom - y, fill=LINE, fill_opacity=0.8
        )
        hit = element(
            "rect", x=x, y=area.top, width=area.x(right) - x, height=area.bottom - area.top, fill="transparent"
        )
        tip = joined([f"{name} {short(left)} – {short(right)}", joined([f"{count} ", y_label], "")], "\n")
        yield pointed((bar, hit), tip)
    at = area.x(mean)
    yield element(
        "line", x1=at, y1=area.top, x2=at, y2=area.bottom, stroke=INK, stroke_width=1.3, stroke_dasharray="5 3"
    )
