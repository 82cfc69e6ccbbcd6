"""The benchmark of realism measures what it says, and tells nothing apart where nothing differs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "realism.py"


@pytest.fixture(scope="module")
def realism() -> ModuleType:
    spec = importlib.util.spec_from_file_location("realism", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["realism"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def frame(realism: ModuleType, image_HW: np.ndarray, segments_HW: np.ndarray) -> Any:  # noqa: ANN401
    return realism.Frame(image_HW.astype(np.uint8), segments_HW, np.ones(image_HW.shape, bool), "one")


def test_contrast_and_diameter_of_a_straight_band(realism: ModuleType) -> None:
    segments_HW = np.zeros((60, 80), bool)
    segments_HW[25:34] = True
    band = frame(realism, np.where(segments_HW, 70, 100), segments_HW)
    assert realism.contrast(band) == pytest.approx(30)
    # Nine rows: the middle one lies five pixels from the first row outside.
    assert np.median(realism.diameters_px(band)) == 10


def test_contrast_looks_no_nearer_than_3_and_no_further_than_9_px(realism: ModuleType) -> None:
    away = np.abs(np.arange(61) - 30)
    rows = np.select([away == 0, away < 3, away <= 9], [50, 0, 90], 255)
    image_HW = np.repeat(rows[:, None], 40, axis=1)
    assert realism.contrast(frame(realism, image_HW, np.repeat((away == 0)[:, None], 40, axis=1))) == pytest.approx(40)


def test_noise_is_the_deviation_of_white_noise_less_what_the_gaussian_keeps(realism: ModuleType) -> None:
    white_HW = np.random.default_rng(0).normal(128, 6, (200, 200))
    # Of white noise minus its blur: 1 - 2 g(0) + sum of g squared, g the kernel at a Gaussian of 1.5 px.
    left = np.sqrt(1 - 2 / (2 * np.pi * 1.5**2) + 1 / (4 * np.pi * 1.5**2))
    assert realism.noise(frame(realism, white_HW.round(), white_HW > 0)) == pytest.approx(6 * left, rel=0.05)


def test_fine_stripes_have_their_power_in_the_band_of_their_frequency(realism: ModuleType) -> None:
    stripes = 128 + 50 * np.sin(2 * np.pi * 0.25 * np.arange(64))
    spectrum = realism.features(np.tile(stripes, (64, 1)).astype(np.uint8))[realism.GROUPS["power spectrum"]]
    assert np.argmax(spectrum) == 5  # from 0.2 to 0.3 cycles a pixel
    assert np.isfinite(realism.features(np.full((64, 64), 9, np.uint8))).all()


def test_what_is_the_same_is_not_told_apart_and_what_differs_is(realism: ModuleType) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(600, 2))
    is_real = np.arange(600) < 300
    groups = np.array([f"{index // 5}" for index in range(600)])
    same = realism.told_apart(values, is_real, groups)
    assert abs(same["auc"] - 0.5) < 4 * same["auc_standard_error"]
    assert realism.told_apart(values + 2 * is_real[:, None], is_real, groups)["auc"] > 0.95


def test_a_patient_is_never_learnt_from_and_judged(realism: ModuleType) -> None:
    # Values know the patient and nothing of the kind; a split by patch would look the patient up.
    rng = np.random.default_rng(1)
    own = np.repeat(np.eye(40), 10, axis=0)
    is_real = np.repeat(rng.permutation(40) < 20, 10)
    groups = np.repeat([f"{index}" for index in range(40)], 10)
    assert realism.told_apart(own, is_real, groups)["auc"] < 0.75


def test_patches_stay_inside_the_borders_and_the_open_collimator(realism: ModuleType) -> None:
    image_HW = np.zeros((400, 400), np.uint8)
    image_HW[60:340, 60:200] = 1
    field_HW = np.zeros((400, 400), bool)
    field_HW[:, :200] = True
    one = realism.Frame(image_HW, field_HW, field_HW, "one")
    found = realism.patches(one, np.random.default_rng(0))
    assert len(found) == realism.PATCHES
    assert all(patch.min() == 1 for patch in found)
