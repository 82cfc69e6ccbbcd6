"""Calibration from files equals calibration from the probability maps themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from angiova.data import rle
from angiova.data.predictions import read_predictions, write_predictions
from angiova.data.probabilities import levels_of
from angiova.data.records import Prediction
from angiova.errors import DataError
from angiova.evaluation.calibration import calibration, count_bins

SHAPE = (40, 30)


def test_four_pixels_by_hand() -> None:
    """0.05 and 0.15 are background, 0.85 is vessel, 0.95 is not: gaps 0.05, 0.15, 0.15, 0.95 of one pixel each."""
    target = rle.encode(np.array([[False, False], [True, False]]))
    found = calibration([count_bins(target, levels_of(np.array([[0.05, 0.15], [0.85, 0.95]])))], 3)
    assert found is not None
    assert found.ece == pytest.approx((0.05 + 0.15 + 0.15 + 0.95) / 4)
    assert found.ece_foreground == pytest.approx((0.15 + 0.15 + 0.95) / 3)
    assert (found.num_cases, found.num_without) == (1, 3)
    assert [found.bins[k].num_pixels for k in (0, 1, 5, 8, 9)] == [1, 1, 0, 1, 1]
    assert (found.bins[8].num_vessel, found.bins[5].mean_probability) == (1, None)
    assert calibration([], 2) is None


def test_run_lengths_give_what_the_maps_give() -> None:
    random = np.random.default_rng(0)
    maps = random.beta(0.3, 0.6, (5, *SHAPE))
    targets = random.random((5, *SHAPE)) < maps**2
    pairs = zip(targets, maps, strict=True)
    found = calibration([count_bins(rle.encode(target), levels_of(each)) for target, each in pairs], 0)
    bins = np.minimum(np.floor(maps * 10), 9)
    gaps = [abs(targets[bins == k].mean() - maps[bins == k].mean()) * (bins == k).mean() for k in range(10)]
    assert found is not None
    assert found.ece == pytest.approx(sum(gaps))
    assert found.ece > 0.05


def test_probabilities_that_are_right_have_no_error() -> None:
    maps = np.random.default_rng(1).random((400, 400))
    target = np.random.default_rng(2).random((400, 400)) < maps
    found = calibration([count_bins(rle.encode(target), levels_of(maps))], 0)
    assert found is not None
    assert found.ece < 0.01


def test_levels_come_back_from_files_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    levels = levels_of(np.random.default_rng(3).random(SHAPE))
    mask = levels.at_least[4]
    kept, bare = Prediction("f", "tree", mask, 0.9, "", levels), Prediction("g", "tree", mask, 0.9)
    path = tmp_path / "predictions.parquet"
    write_predictions(path, [kept, bare])
    assert read_predictions(path) == [kept, bare]
    (tmp_path / "predictions.probabilities.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match="probabilities cannot be read"):
        read_predictions(path)
    write_predictions(path, [bare])
    assert read_predictions(path) == [bare]
