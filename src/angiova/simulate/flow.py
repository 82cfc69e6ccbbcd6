"""When contrast reaches a place and when it is washed out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from angiova.simulate.heart import Floats

# Blood at about 0.3 m/s in an artery of 1.8 mm radius while contrast is injected by hand.
SPEED_PER_RADIUS: Final = 300.0 / 1.8


@dataclass(frozen=True, slots=True)
class Bolus:
    """One injection of contrast medium at the ostium.

    Attributes:
        start_s: when it starts.
        duration_s: how long it lasts.
        rise_s: how long the concentration takes to rise at the ostium.
        fall_s: how long it takes to wash out.
    """

    start_s: float
    duration_s: float
    rise_s: float
    fall_s: float

    @property
    def end_s(self) -> float:
        """When contrast starts to leave the ostium."""
        return self.start_s + self.duration_s


def travel_time_s(radius_N_mm: Floats, step_mm: float) -> Floats:
    """Return how long blood takes from the first sample of an artery to each sample, shape (N,).

    Flow goes with the cube of the radius and the cross-section with its square, so speed goes with the radius
    (Murray, PNAS 12:207-214, 1926).
    """
    speed_mm_s = SPEED_PER_RADIUS * np.maximum(radius_N_mm, 0.35)
    return np.asarray(np.cumsum(step_mm / speed_mm_s) - step_mm / speed_mm_s[0], dtype=np.float32)


def concentration(bolus: Bolus, arrival_N_s: Floats, time_s: float) -> Floats:
    """Return the fraction of undiluted contrast, 0 to 1, at places that blood reaches after `arrival_N_s`.

    The front grows less steep on the way (dispersion); it is exactly 0 before the front and after the wash-out.
    """
    since_N_s = time_s - arrival_N_s - bolus.start_s
    front_N = _smoothstep(since_N_s / (bolus.rise_s + 0.2 * arrival_N_s))
    tail_N = _smoothstep((since_N_s - bolus.duration_s) / (bolus.fall_s + 0.4 * arrival_N_s))
    return np.asarray(front_N * (1 - tail_N), dtype=np.float32)


def _smoothstep(x_N: Floats) -> Floats:
    clipped_N = np.clip(x_N, 0, 1)
    return clipped_N * clipped_N * (3 - 2 * clipped_N)
