"""From values on frames to means over patients. Frames of a patient resemble each other, so patients are the sample.

Measured on simulated scores (10 patients, 30 frames each): a 95 % interval over frames covers the truth in about 35 %
of repeats, the interval below in about 95 % (tests/unit/test_statistics.py repeats this).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import Final

import numpy as np
from scipy.stats import bootstrap
from scipy.stats import t as student_t

from angiova.evaluation.result import Interval, MetricSummary, Spread

MIN_FOR_BOOTSTRAP: Final = 30
CONFIDENCE: Final = 0.95
NUM_RESAMPLES: Final = 4999
_SEED: Final = 20251119  # fixed, so that figures computed again are the same
_BLOCK: Final = 256  # resamples held in memory together


@dataclass(frozen=True, slots=True)
class Observation:
    """One value measured on one frame.

    Attributes:
        frame_id: the frame.
        run: its cine run.
        patient: its patient, where known.
        value: the value, finite.
    """

    frame_id: str
    run: str
    patient: str | None
    value: float


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation (denominator n - 1) of one or more values.

    Raises:
        ValueError: there are no values, or one is NaN or infinite; NaN is never averaged away.
    """
    if not values or not all(map(isfinite, values)):
        raise ValueError(f"no mean of {'no values' if not values else 'values that are not finite'}")
    return Spread(n=len(values), mean=fmean(values), sd=stdev(values) if len(values) > 1 else None)


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the spread of independent values with the confidence interval of their mean, mean ± t s / sqrt(n).

    t is the quantile of Student's distribution with n - 1 degrees of freedom. The interval is not clipped to the range
    of the metric: one that leaves it says that there are too few values. Below two values there is no interval.

    Source: Student (Gosset), "The probable error of a mean", Biometrika 6:1-25 (1908).

    Raises:
        ValueError: as `spread`.
    """
    found = spread(values)
    if found.sd is None:
        return Interval(n=found.n, mean=found.mean, sd=None, low=None, high=None)
    half_width = float(student_t.ppf((1 + confidence) / 2, found.n - 1)) * found.sd / sqrt(found.n)
    low, high = found.mean - half_width, found.mean + half_width
    return Interval(n=found.n, mean=found.mean, sd=found.sd, low=low, high=high, method="t")


def bca_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the spread of independent values with the BCa bootstrap interval of their mean, with a fixed seed.

    Bias-corrected and accelerated: it follows the skew of scores that crowd below 1. Values that are all the same have
    an interval of no width, as by Student's t.

    Source: Efron, "Better Bootstrap Confidence Intervals", Journal of the American Statistical Association
    82:171-185 (1987).

    Raises:
        ValueError: as `spread`, or fewer than two values.
    """
    found = spread(values)
    if found.sd == 0:
        return Interval(n=found.n, mean=found.mean, sd=0.0, low=found.mean, high=found.mean, method="bca")
    interval = bootstrap(
        (np.asarray(values),),
        np.mean,
        n_resamples=NUM_RESAMPLES,
        confidence_level=confidence,
        batch=_BLOCK,
        method="BCa",
        vectorized=True,
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return Interval(
        n=found.n, mean=found.mean, sd=found.sd, low=float(interval.low), high=float(interval.high), method="bca"
    )


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return Student's interval below 30 values, where a bootstrap is too narrow, and the BCa interval from 30.

    Raises:
        ValueError: as `spread`.
    """
    return t_interval(values, confidence) if len(values) < MIN_FOR_BOOTSTRAP else bca_interval(values, confidence)


def frame_means(observations: Sequence[Observation]) -> list[Observation]:
    """Return one observation a frame: the mean of those of the frame, in order of first appearance."""
    groups: dict[str, list[Observation]] = {}
    for observation in observations:
        groups.setdefault(observation.frame_id, []).append(observation)
    return [
        Observation(frame_id, group[0].run, group[0].patient, fmean(o.value for o in group))
        for frame_id, group in groups.items()
    ]


def patient_means(frames: Sequence[Observation]) -> dict[str, float] | None:
    """Return the mean of each patient: frames averaged in a run, then runs in the patient.

    A long run therefore weighs no more than a short one. None when a frame has no patient, since then nobody knows
    which frames belong together.
    """
    runs: dict[str, dict[str, list[float]]] = {}
    for frame in frames:
        if frame.patient is None:
            return None
        runs.setdefault(frame.patient, {}).setdefault(frame.run, []).append(frame.value)
    return {patient: fmean(map(fmean, by_run.values())) for patient, by_run in runs.items()}


def summarise(observations: Sequence[Observation]) -> MetricSummary:
    """Summarise one or more observations over frames and, where every frame has a patient, over patients.

    Raises:
        ValueError: as `spread`.
    """
    frames = frame_means(observations)
    patients = patient_means(frames)
    return MetricSummary(
        frame=spread([frame.value for frame in frames]),
        patient=None if patients is None else mean_interval(list(patients.values())),
    )
