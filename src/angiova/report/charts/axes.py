"""Scales and axes: from values to places in a frame, with round ticks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, isclose, log10

from angiova.report.charts.svg import FAINT, SOFT, Node, element, text
from angiova.report.text import Label


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from values (`low` to `high`) to places (`start` to `end`)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Frame:
    """The rectangle that values are drawn in, with its two scales."""

    left: float
    top: float
    right: float
    bottom: float
    x: Scale
    y: Scale


def frame(
    left: float, top: float, right: float, bottom: float, xs: tuple[float, float], ys: tuple[float, float]
) -> Frame:
    """Return a frame for values from `xs` and `ys`; y goes up."""
    return Frame(left, top, right, bottom, Scale(*xs, left, right), Scale(*ys, bottom, top))


def padded(values: Sequence[float], from_zero: bool = False) -> tuple[float, float]:
    """Return limits a little beyond the values; equal values get limits around them."""
    low, high = min(values), max(values)
    low = min(low, 0.0) if from_zero else low
    if isclose(low, high):
        margin = abs(low) * 0.1 or 1.0
        return low - margin, high + margin
    margin = 0.06 * (high - low)
    return (low if from_zero and low == 0 else low - margin), high + margin


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round values between the limits, at most about `most`: steps of 1, 2, 2.5 or 5 times a power of ten."""
    raw = (high - low) / max(most, 1)
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def short(value: float) -> str:
    """Write a tick in few signs: 0.25, 1,200, 2e-05."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.0e}" if isclose(value, float(f"{value:.0e}"), rel_tol=1e-6) else f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def x_axis(area: Frame, label: Label, most: int = 6) -> Iterator[Node]:
    """Yield the axis below, with ticks and its label at the right end."""
    yield _line(area.left, area.bottom, area.right, area.bottom)
    for value in ticks(area.x.low, area.x.high, most):
        at = area.x(value)
        yield _line(at, area.bottom, at, area.bottom + 4)
        yield from text(at, area.bottom + 15, short(value), text_anchor="middle", fill=SOFT, font_size=10)
    yield from text(area.right, area.bottom + 29, label, text_anchor="end", fill=SOFT, font_size=10)


def y_axis(area: Frame, most: int = 4) -> Iterator[Node]:
    """Yield ticks at the left and a faint line across at each."""
    for value in ticks(area.y.low, area.y.high, most):
        at = area.y(value)
        yield element("line", x1=area.left, y1=at, x2=area.right, y2=at, stroke=FAINT, stroke_width=0.5)
        yield from text(area.left - 5, at + 3.5, short(value), text_anchor="end", fill=SOFT, font_size=10)


def _line(x1: float, y1: float, x2: float, y2: float) -> Node:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=SOFT, stroke_width=0.8)
