"""Paired comparisons by hand, by published tables, and by how often they are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from angiova.evaluation.paired import (
    cohens_dz,
    holm,
    patients_for_difference,
    patients_for_half_width,
    sign_flip_p,
)
from angiova.evaluation.statistics import bca_interval, mean_interval

differences = st.lists(st.floats(-1, 1), min_size=2, max_size=9)


def test_sign_flips_by_hand() -> None:
    """Of the 8 sign patterns of 1, 2, 3 only +++ and --- reach a sum of 6: p = 2/8. All 0: every pattern, p = 1."""
    assert sign_flip_p([1, 2, 3]) == 0.25
    assert sign_flip_p([0.0, 0.0]) == 1.0
    with pytest.raises(ValueError, match="no test"):
        sign_flip_p([])


@given(differences)
def test_exact_test_equals_scipy(values: list[float]) -> None:
    expected = stats.permutation_test(
        (np.array(values), np.zeros(len(values))),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2 ** len(values),
    )
    assert sign_flip_p(values) == pytest.approx(expected.pvalue, abs=2 / 2 ** len(values))


def test_drawn_test_is_near_the_t_test_of_normal_differences() -> None:
    values = np.random.default_rng(3).normal(0.01, 0.03, 40).tolist()
    assert sign_flip_p(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)
    assert sign_flip_p(values) == sign_flip_p(values)


def test_false_positives_come_as_often_as_alpha_says() -> None:
    """Two equal models, 12 patients, 2000 repeats with a fixed seed: p below 0.05 in about 5 %."""
    samples = np.random.default_rng(5).standard_t(4, (2000, 12))
    rate = np.mean([sign_flip_p(sample) < 0.05 for sample in samples.tolist()])
    assert 0.035 <= rate <= 0.06


def test_holm_by_hand() -> None:
    """0.01 x 3 = 0.03; 0.03 x 2 = 0.06; 0.04 x 1 would be below 0.06 and is raised to it. None passes 1."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_effect_by_hand() -> None:
    """1, 2, 3: mean 2, standard deviation 1."""
    assert cohens_dz([1.0, 2.0, 3.0]) == 2.0
    assert cohens_dz([0.5, 0.5]) is None
    assert cohens_dz([0.5]) is None


@pytest.mark.parametrize(("effect", "number"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_patients_needed_equal_the_published_tables(effect: float, number: int) -> None:
    """G*Power 3.1, paired t test, two-sided alpha 0.05, power 0.8."""
    assert patients_for_difference(1.0, effect) == number
    assert patients_for_difference(0.0) == 2


def test_patients_for_an_interval_by_hand() -> None:
    """sd 0.05 and half width 0.01: t(0.975, 98) = 1.9845, 1.9845 x 0.05 / sqrt 99 = 0.00997; 98 give 0.01002."""
    assert patients_for_half_width(0.05) == 99


@pytest.mark.parametrize("patients", [10, 20, 50])
def test_the_interval_covers_what_it_says(patients: int) -> None:
    """Scores that crowd below 1 (beta, mean 0.8, sd 0.08), 800 repeats with a fixed seed, as in the report."""
    random, repeats = np.random.default_rng(11), 800
    samples = random.beta(19.2, 4.8, (repeats, patients))
    intervals = [mean_interval(sample) for sample in samples.tolist()]
    assert {interval.method for interval in intervals} == {"t" if patients < 30 else "bca"}
    covered = [i.low <= 0.8 <= i.high for i in intervals if i.low is not None and i.high is not None]
    assert 0.93 <= np.mean(covered) <= 0.97


def test_bca_follows_the_skew_and_survives_equal_values() -> None:
    values = (1 - np.random.default_rng(1).exponential(0.1, 60)).tolist()
    interval = bca_interval(values)
    assert interval.low is not None and interval.high is not None
    assert interval.high - interval.mean < interval.mean - interval.low
    assert interval == bca_interval(values)
    same = bca_interval([0.5] * 40)
    assert (same.low, same.high) == (0.5, 0.5)
