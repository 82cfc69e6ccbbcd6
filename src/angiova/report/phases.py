"""Phases of a loss: a piecewise straight line through its logarithm, with as many pieces as the data pay for.

The curve of a loss over optimizer steps is split where its course changes. On n points (means over equal blocks when
there are more than `MAX_POINTS`), every split into k pieces of at least `MIN_POINTS` points is weighed by the squared
residuals of a straight line fitted to each piece; dynamic programming finds the best split for each k (Bellman, "On
the approximation of curves by line segments using dynamic programming", CACM 4(6):284, 1961). The number of pieces is
the one with the least BIC = n log(RSS / n) + p log n (Schwarz, Annals of Statistics 6:461-464, 1978), where p counts a
slope, an intercept and a place of change for each piece. Neighbouring steps of a training resemble each other, so the
residuals are not independent and BIC would find too many pieces; n outside the quotient is therefore shrunk by
(1 - r) / (1 + r), r being the correlation of neighbouring residuals of the split into the most pieces (the effective
sample size of an AR(1) process; Bartlett, JRSS 98:536-543, 1935).

The logarithm is used because losses fall by factors; a loss with a value of 0 or below is split as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_POINTS: Final = 240
MIN_POINTS: Final = 6
MAX_PHASES: Final = 5
# Fewer values at one side than these say nothing about a spike.
MIN_SIDE: Final = 3
# Less is no spike, however still the values around it are.
LEAST_SPIKE: Final = 0.05
# A fitted change counts when it is beyond this many of its standard errors and beyond 2 % of the value; a phase is
# level when a change of more than 10 % can be ruled out, and unclear otherwise.
T_LIMIT: Final = 3.0
LEAST_CHANGE: Final = 0.02
LEVEL_CHANGE: Final = 0.10

Course = Literal["falling", "level", "rising", "unclear"]


@dataclass(frozen=True, slots=True)
class Phase:
    """One piece of a loss's course.

    Attributes:
        first_step, last_step: its optimizer steps.
        start, end: the fitted loss at both.
        scatter: standard deviation of the loss around the fit, as a share of the loss.
        course: whether it falls, rises, or stays; unclear when it scatters too much to say.
    """

    first_step: float
    last_step: float
    start: float
    end: float
    scatter: float
    course: Course

    @property
    def change(self) -> float:
        """Change over the phase as a share of where it starts; negative when it falls."""
        return (self.end - self.start) / abs(self.start) if self.start else 0.0


def find_phases(steps: Sequence[float], values: Sequence[float]) -> list[Phase]:
    """Return the phases of a curve, in order; none when there are fewer than `MIN_POINTS` points.

    Args:
        steps: optimizer steps, increasing.
        values: the loss at each.
    """
    if len(values) < MIN_POINTS:
        return []
    x, y = _blocks(steps), _blocks(values)
    positive = bool((y > 0).all())
    z = np.log(y) if positive else y
    return [_phase(x[a:b], z[a:b], positive) for a, b in _best_split(x, z)]


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Return the running mean over `window` values around each; at the ends over those there are."""
    y = np.concatenate([[0.0], np.cumsum(np.asarray(values, dtype=float))])
    half, n = window // 2, len(values)
    low = np.maximum(np.arange(n) - half, 0)
    high = np.minimum(np.arange(n) + half + 1, n)
    means: list[float] = ((y[high] - y[low]) / (high - low)).tolist()
    return means


def spikes(values: Sequence[float], window: int = 15, limit: float = 6.0) -> list[int]:
    """Return the places of values that stand out above their neighbours.

    A spike exceeds the median of the values before it, and that of the values behind it, by more than `limit` times the
    median absolute deviation of the `window` values around it, scaled to a standard deviation by 1.4826 (Hampel, JASA
    69:383-393, 1974), and by 5 % of itself. Asking for both sides keeps a steep fall from being one.
    """
    y, half = np.asarray(values, dtype=float), window // 2
    found = []
    for place in range(MIN_SIDE, len(y) - MIN_SIDE):
        before, behind = y[max(place - half, 0) : place], y[place + 1 : place + 1 + half]
        near = np.concatenate([before, behind])
        deviation = 1.4826 * float(np.median(np.abs(near - np.median(near))))
        above = float(y[place]) - max(float(np.median(before)), float(np.median(behind)))
        if deviation > 0 and above > max(limit * deviation, LEAST_SPIKE * abs(float(y[place]))):
            found.append(place)
    return found


def _blocks(values: Sequence[float]) -> Floats:
    y = np.asarray(values, dtype=float)
    return y if len(y) <= MAX_POINTS else np.array([block.mean() for block in np.array_split(y, MAX_POINTS)])


def _best_split(x: Floats, z: Floats) -> list[tuple[int, int]]:
    """Return the pieces as (first, one after last), for the number of pieces that BIC prefers."""
    n = len(z)
    costs = _costs(x, z)
    most = min(MAX_PHASES, n // MIN_POINTS)
    best = np.full((most + 1, n + 1), np.inf)
    back = np.zeros((most + 1, n + 1), dtype=int)
    best[0, 0] = 0.0
    for k in range(1, most + 1):
        for end in range(k * MIN_POINTS, n + 1):
            starts = np.arange((k - 1) * MIN_POINTS, end - MIN_POINTS + 1)
            totals = best[k - 1, starts] + costs[starts, end]
            chosen = int(totals.argmin())
            best[k, end], back[k, end] = totals[chosen], starts[chosen]
    splits = {k: _pieces(back, k, n) for k in range(1, most + 1)}
    effective = n * _independence(x, z, splits[most])
    floor = 1e-12 * max(float(np.var(z)) * n, 1e-12)
    bic = {k: effective * log(max(best[k, n], floor) / n) + (3 * k) * log(max(effective, 2.0)) for k in splits}
    return splits[min(bic, key=lambda k: bic[k])]


def _costs(x: Floats, z: Floats) -> Floats:
    """Return the squared residuals of a line through the points from i to before j, for all i < j, by prefix sums."""
    x, z = x - x.mean(), z - z.mean()
    x = x / (np.abs(x).max() or 1.0)
    s1, sx, sz, sxx, sxz, szz = (
        np.concatenate([[0.0], np.cumsum(v)]) for v in (np.ones_like(x), x, z, x * x, x * z, z * z)
    )
    n, dx, dz, dxx, dxz, dzz = (s[None, :] - s[:, None] for s in (s1, sx, sz, sxx, sxz, szz))
    with np.errstate(divide="ignore", invalid="ignore"):
        vxx, vxz, vzz = dxx - dx * dx / n, dxz - dx * dz / n, dzz - dz * dz / n
        residuals = vzz - np.where(vxx > 1e-12, vxz * vxz / vxx, 0.0)
    return np.where(n > 0, np.maximum(residuals, 0.0), np.inf)


def _pieces(back: NDArray[np.int_], k: int, n: int) -> list[tuple[int, int]]:
    pieces: list[tuple[int, int]] = []
    end = n
    for number in range(k, 0, -1):
        start = int(back[number, end])
        pieces.insert(0, (start, end))
        end = start
    return pieces


def _independence(x: Floats, z: Floats, pieces: list[tuple[int, int]]) -> float:
    """Return the share of the points that count as independent, from the correlation of neighbouring residuals."""
    rest = np.concatenate([z[a:b] - _line(x[a:b], z[a:b])[0] for a, b in pieces])
    total = float((rest * rest).sum())
    r = 0.0 if total == 0 else float((rest[1:] * rest[:-1]).sum()) / total
    r = min(max(r, 0.0), 0.9)
    return (1 - r) / (1 + r)


def _line(x: Floats, z: Floats) -> tuple[Floats, float, float]:
    """Return a fitted line's values, its change from the first to the last x, and that change's standard error."""
    centred = x - x.mean()
    spread = float((centred**2).sum())
    slope = float((centred * (z - z.mean())).sum()) / spread if spread else 0.0
    fit = z.mean() + slope * centred
    variance = float(((z - fit) ** 2).sum()) / max(len(z) - 2, 1)
    length = float(x[-1] - x[0])
    return fit, slope * length, (variance / spread) ** 0.5 * length if spread else 0.0


def _phase(x: Floats, z: Floats, positive: bool) -> Phase:
    fit, change, error = _line(x, z)
    start, end = (float(np.exp(v)) if positive else float(v) for v in (fit[0], fit[-1]))
    unit = 1.0 if positive else abs(start) or 1.0
    course = _course(change / unit, error / unit)
    scale = 1.0 if positive else float(np.abs(z).mean()) or 1.0
    return Phase(float(x[0]), float(x[-1]), start, end, float((z - fit).std()) / scale, course)


def _course(change: float, error: float) -> Course:
    """Name the course of a phase from its change and that change's standard error, as shares of the value."""
    if abs(change) > max(T_LIMIT * error, LEAST_CHANGE):
        return "falling" if change < 0 else "rising"
    return "level" if abs(change) + 2 * error <= LEVEL_CHANGE else "unclear"
