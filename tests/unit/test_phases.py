"""Phases are found where a planted curve changes, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from angiova.report.phases import MAX_POINTS, find_phases, smoothed, spikes


def planted(seed: int, change: int = 60, n: int = 200, noise: float = 0.05) -> np.ndarray:
    """Fall by a factor e every 20 steps until `change`, then stay at 1, with noise of `noise` of the value."""
    steps = np.arange(float(n))
    trend = np.where(steps < change, (change - steps) / 20, 0.0)
    return np.exp(trend + noise * np.random.default_rng(seed).standard_normal(n))


@pytest.mark.parametrize("seed", range(10))
def test_one_change_is_found_where_it_is(seed: int) -> None:
    falling, level = find_phases(range(200), planted(seed))
    assert abs(level.first_step - 60) <= 5
    assert (falling.course, level.course) == ("falling", "level")
    assert falling.change == pytest.approx(-0.95, abs=0.02)  # e^-3 is left
    assert level.end == pytest.approx(1.0, abs=0.05)
    assert 0.03 < level.scatter < 0.07


@pytest.mark.parametrize("seed", range(10))
def test_noise_alone_is_one_level_phase(seed: int) -> None:
    [phase] = find_phases(range(200), np.exp(0.05 * np.random.default_rng(seed).standard_normal(200)))
    assert phase.course == "level"


def test_noise_whose_neighbours_resemble_each_other_is_not_split_into_many() -> None:
    """An AR(1) noise of correlation 0.7 around a level, which plain BIC would cut to pieces."""
    counts = []
    for seed in range(20):
        rng, value, values = np.random.default_rng(seed), 0.0, []
        for _ in range(200):
            value = 0.7 * value + 0.05 * rng.standard_normal()
            values.append(np.exp(value))
        counts.append(len(find_phases(range(200), values)))
    assert np.mean(counts) < 2
    assert counts.count(1) > 10


def test_three_pieces_without_noise_are_exact() -> None:
    steps = np.arange(90.0)
    values = np.exp(np.concatenate([3 - steps[:30] / 10, np.zeros(30), (steps[60:] - 59) / 15]))
    first, second, third = find_phases(steps, values)
    assert [phase.course for phase in (first, second, third)] == ["falling", "level", "rising"]
    assert abs(second.first_step - 30) <= 1
    assert abs(third.first_step - 60) <= 1
    assert third.end == pytest.approx(values[-1], rel=1e-3)


def test_much_scatter_and_little_data_leave_the_course_unclear() -> None:
    values = np.exp(np.random.default_rng(3).standard_normal(12))
    assert {phase.course for phase in find_phases(range(12), values)} == {"unclear"}


def test_values_of_zero_are_split_as_they_are() -> None:
    values = np.concatenate([np.linspace(5, 0, 50), np.zeros(50)])
    falling, level = find_phases(range(100), values)
    assert falling.start == pytest.approx(5, abs=0.05)
    assert (falling.course, level.course) == ("falling", "level")


def test_few_points_have_no_phases_and_many_are_thinned() -> None:
    assert find_phases(range(5), [5.0, 4.0, 3.0, 2.0, 1.0]) == []
    long = np.repeat(planted(0), 100) * np.exp(0.1 * np.random.default_rng(1).standard_normal(20_000))
    phases = find_phases(range(20_000), long)
    assert len(phases) == 2
    assert abs(phases[1].first_step - 6000) < 3 * 20_000 / MAX_POINTS


def test_smoothing_by_hand() -> None:
    assert smoothed([1.0, 2.0, 6.0, 3.0], 3) == pytest.approx([1.5, 3.0, 11 / 3, 4.5])
    assert smoothed([4.0], 3) == [4.0]


def test_spikes_stand_out_above_their_neighbours_only() -> None:
    values = 1 + 0.01 * np.random.default_rng(0).standard_normal(100)
    assert spikes(values) == []
    values[40], values[70] = 1.5, 0.5  # one up, one down
    assert spikes(values) == [40]
    assert spikes([20 * 0.6**n + 0.01 * (n % 2) for n in range(30)]) == []
