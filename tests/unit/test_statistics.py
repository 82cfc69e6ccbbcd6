"""Patients are the sample: means climb from frame to run to patient, and the interval covers what it says."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from angiova.evaluation.statistics import Observation, patient_means, spread, summarise, t_interval


def test_frames_runs_and_patients_by_hand() -> None:
    """Patient A: run 1 has 0.2, 0.4 and 0.6 (mean 0.4), run 2 has 0.8; mean of runs 0.6. Patient B: 0.4."""
    frames = [
        Observation("a1", "run1", "A", 0.2),
        Observation("a2", "run1", "A", 0.4),
        Observation("a3", "run1", "A", 0.6),
        Observation("a4", "run2", "A", 0.8),
        Observation("b1", "run3", "B", 0.4),
    ]
    summary = summarise(frames)
    assert patient_means(frames) == pytest.approx({"A": 0.6, "B": 0.4})
    assert (summary.frame.n, summary.frame.mean) == (5, pytest.approx(0.48))
    assert summary.frame.sd == pytest.approx((0.208 / 4) ** 0.5)  # squares 0.0784 0.0064 0.0144 0.1024 0.0064
    assert summary.patient is not None
    assert (summary.patient.n, summary.patient.mean) == (2, pytest.approx(0.5))


def test_targets_of_a_frame_are_averaged_before_frames() -> None:
    summary = summarise([Observation("f", "r", "A", v) for v in (0.0, 1.0)] + [Observation("g", "r", "A", 1.0)])
    assert (summary.frame.n, summary.frame.mean) == (2, 0.75)


def test_interval_by_hand() -> None:
    """0.6, 0.7, 0.8: s = 0.1, t(0.975, 2) = 4.3027 by the table, half width 4.3027 * 0.1 / sqrt 3 = 0.2484."""
    interval = t_interval([0.6, 0.7, 0.8])
    assert (interval.low, interval.high) == (pytest.approx(0.4516, abs=1e-4), pytest.approx(0.9484, abs=1e-4))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30).filter(lambda values: np.std(values) > 1e-3))
def test_interval_equals_scipy(values: list[float]) -> None:
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    interval = t_interval(values)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_one_value_has_neither_deviation_nor_interval() -> None:
    interval = t_interval([0.9])
    assert (interval.n, interval.mean, interval.sd, interval.low, interval.high) == (1, 0.9, None, None, None)


@pytest.mark.parametrize("values", [[], [0.5, nan], [inf]])
def test_nan_and_nothing_are_never_averaged(values: list[float]) -> None:
    with pytest.raises(ValueError, match="no mean of"):
        spread(values)


def test_one_frame_without_patient_leaves_no_patient_figures() -> None:
    frames = [Observation("a", "r", "A", 0.5), Observation("b", "s", None, 0.7)]
    assert summarise(frames).patient is None
    assert summarise(frames).frame.n == 2


def test_coverage_of_the_patient_interval_and_failure_of_the_frame_interval() -> None:
    """10 patients of 30 frames, sd 0.06 between and 0.05 within patients, 2000 repeats with a fixed seed."""
    random, repeats, truth = np.random.default_rng(7), 2000, 0.8
    patients = truth + 0.06 * random.standard_normal((repeats, 10, 1))
    frames = patients + 0.05 * random.standard_normal((repeats, 10, 30))

    def coverage(samples: np.ndarray) -> float:
        intervals = [t_interval(sample) for sample in samples.tolist()]
        return float(np.mean([i.low <= truth <= i.high for i in intervals if i.low is not None and i.high is not None]))

    assert 0.93 <= coverage(frames.mean(axis=2)) <= 0.97
    assert coverage(frames[:300].reshape(300, -1)) < 0.5
