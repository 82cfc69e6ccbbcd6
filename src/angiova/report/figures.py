"""The report's drawings, as SVG with real text: sharp on screen and paper, and readable by a screen reader.

Letters stay letters (`svg.fonttype: none`) and are set in the reader's own fonts, so Chinese labels need no font here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from math import ceil
from typing import Any, Final, TypeVar

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

Item = TypeVar("Item")

INK: Final = "#1f2a33"
SOFT: Final = "#5b6770"
FAINT: Final = "#9aa5ad"
LINE: Final = "#0b6e72"
CHANCE: Final = "#d55e00"

_FONTS: Final = "system-ui, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
_MAX_POINTS: Final = 600
_STYLE: Final = {
    "svg.fonttype": "none",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.unicode_minus": False,
    "text.parse_math": False,
}


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over training.

    Attributes:
        title: what it is.
        steps: optimizer steps.
        values: the quantity at each.
        mark_ends: write the first and last value above it.
    """

    title: str
    steps: Sequence[float]
    values: Sequence[float]
    mark_ends: bool = True


def curves(panels: Sequence[Curve], x_label: str, name: str) -> str:
    """Draw each curve in a panel of its own, as SVG text."""

    def draw_panel(axes: Any, curve: Curve) -> None:  # noqa: ANN401  (matplotlib is untyped here)
        """Draw one curve with its ends written above it."""
        steps, values = _thinned(curve.steps), _thinned(curve.values)
        marker = "o" if len(curve.steps) < 30 else None
        axes.plot(steps, values, color=LINE, linewidth=1.3, marker=marker, markersize=3)
        axes.set_title(curve.title)
        axes.set_xlabel(x_label)
        if curve.mark_ends:
            ends = f"{curve.values[0]:.4g} → {curve.values[-1]:.4g}"
            axes.set_title(ends, loc="right", fontsize=8, color=SOFT)
        axes.yaxis.set_major_formatter("{x:g}")

    return _small_multiples(panels, draw_panel, name, columns=3)


def histograms(values_by_metric: Mapping[str, Sequence[float]], y_label: str, name: str) -> str:
    """Draw the distribution of each metric between 0 and 1, with its mean, as SVG text."""

    def draw_panel(axes: Any, item: tuple[str, Sequence[float]]) -> None:  # noqa: ANN401
        """Draw one metric's histogram with its mean."""
        metric, values = item
        axes.hist(values, bins=np.linspace(0, 1, 21), color=LINE, alpha=0.75, edgecolor="white", linewidth=0.6)
        axes.axvline(float(np.mean(values)), color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
        axes.set_title(metric)
        axes.set_xlim(0, 1)
        axes.set_ylabel(y_label)
        axes.yaxis.get_major_locator().set_params(integer=True)

    return _small_multiples(list(values_by_metric.items()), draw_panel, name, columns=4)


@dataclass(frozen=True, slots=True)
class Bar:
    """One named segment: its mean Dice, the deviation over frames, and the chance level where known."""

    label: str
    mean: float
    sd: float | None
    chance: float | None


def segment_bars(bars: Sequence[Bar], x_label: str, chance_label: str, name: str) -> str:
    """Draw a bar for each segment with a mark at its chance level, as SVG text."""
    with _drawing(name):
        figure = Figure(figsize=(9.0, 0.9 + 0.27 * len(bars)), layout="constrained")
        axes = figure.subplots()
        rows = np.arange(len(bars))
        deviations = [
            [min(bar.sd or 0.0, bar.mean) for bar in bars],
            [min(bar.sd or 0.0, 1 - bar.mean) for bar in bars],
        ]
        axes.barh(rows, [bar.mean for bar in bars], height=0.62, color=LINE, alpha=0.8)
        axes.errorbar([b.mean for b in bars], rows, xerr=deviations, fmt="none", ecolor=INK, elinewidth=0.8)
        marked = [(bar.chance, row) for row, bar in enumerate(bars) if bar.chance is not None]
        if marked:
            chances, at = zip(*marked, strict=True)
            axes.scatter(chances, at, marker="D", s=22, color=CHANCE, zorder=3, label=chance_label)
            axes.legend(loc="lower right", frameon=False)
        axes.set_yticks(rows, [bar.label for bar in bars])
        axes.set(xlim=(0, 1), xlabel=x_label, ylim=(len(bars) - 0.4, -0.6))
        return _svg(figure, name)


def inline(svg: str) -> str:
    """Return an SVG file as a part of an HTML page: no prologue, no addresses, scaled to its column."""
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    opening, rest = body.split(">", 1)
    opening = re.sub(r'\s(width|height|xmlns(:\w+)?)="[^"]*"', "", opening)
    return f"{opening}>{rest}"


def _small_multiples(items: Sequence[Item], draw: Callable[[Any, Item], None], name: str, columns: int) -> str:
    """Draw each item in a panel; panels fill rows of `columns`."""
    with _drawing(name):
        columns = min(columns, len(items))
        rows = ceil(len(items) / columns)
        figure = Figure(figsize=(9.0, 2.1 * rows), layout=ConstrainedLayoutEngine(h_pad=0.1))
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, item in zip(panels, items, strict=False):
            draw(axes, item)
        for axes in panels[len(items) :]:
            axes.set_axis_off()
        return _svg(figure, name)


def _thinned(values: Sequence[float]) -> list[float]:
    """Return the values, or their means over equal blocks where there are more than a drawing can show."""
    if len(values) <= _MAX_POINTS:
        return list(values)
    return [float(block.mean()) for block in np.array_split(np.asarray(values, dtype=float), _MAX_POINTS)]


@contextmanager
def _drawing(name: str) -> Iterator[None]:
    """Set our style; the same drawing gives the same bytes."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # matplotlib measures labels with its own font, which lacks Chinese; the reader's browser sets them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _svg(figure: Figure, name: str) -> str:
    """Return the drawing; ids carry its name, so that several fit on one page."""
    FigureCanvasSVG(figure)
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    prefixed = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", buffer.getvalue())
    return re.sub(r"'DejaVu Sans'(, [^;\"]*)?", _FONTS, prefixed)
