"""Smoothing over time: exact weights where nothing moves, motion followed where something does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift
from skimage.transform import resize

from angiova.evaluation.motion import displacements, motion_between
from angiova.inference.motion import Floats, smooth, warp

SHAPE_PX = (48, 64)


def still(num_frames: int) -> list[np.ndarray]:
    return [np.full(SHAPE_PX, 120, dtype=np.uint8)] * num_frames


def smoothed(images: Sequence[np.ndarray], probabilities: Sequence[Floats], presence: Sequence[float]) -> list[Floats]:
    logits = [np.log(p / (1 - p))[None].astype(np.float32) for p in probabilities]
    there = [np.array([value], dtype=np.float32) for value in presence]
    return [np.append(1 / (1 + np.exp(-l)), p) for l, p in smooth(zip(images, logits, there, strict=True))]  # noqa: E741


def flat(value: float) -> Floats:
    return np.full(SHAPE_PX, value, dtype=np.float32)


# Worked out by hand: weights 1 4 6 4 1, those of missing frames shared out over the others.
@pytest.mark.parametrize(
    ("course", "expected"),
    [
        ([0.2, 0.2, 0.2, 0.8, 0.2, 0.2, 0.2], [0.2, 0.2 + 0.6 / 15, 0.35, 0.425, 0.35, 0.2 + 0.6 / 15, 0.2]),
        ([0.2, 0.8], [(6 * 0.2 + 4 * 0.8) / 10, (4 * 0.2 + 6 * 0.8) / 10]),
        ([0.3], [0.3]),
    ],
)
def test_where_nothing_moves_the_weights_are_binomial(course: list[float], expected: list[float]) -> None:
    found = smoothed(still(len(course)), [flat(value) for value in course], course)
    assert len(found) == len(course)
    for values, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, value, atol=1e-4)


def test_no_frame_waits_for_more_than_two_others() -> None:
    taken = []

    def frames() -> object:
        for index in range(7):
            taken.append(index)
            yield still(1)[0], np.zeros((1, *SHAPE_PX), np.float32), np.zeros(1, np.float32)

    lag = [len(taken) - 1 - given for given, _ in enumerate(smooth(frames()))]  # type: ignore[arg-type]
    assert lag == [2, 2, 2, 2, 2, 1, 0]


def textured(shift_px: tuple[float, float]) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(160, 160)), 3)
    moved = shift(noise, shift_px, order=3, mode="nearest")
    return np.asarray((moved - noise.min()) / np.ptp(noise), dtype=np.float32)


def test_a_known_motion_is_found_on_small_frames_in_pixels_of_the_large_ones() -> None:
    one, other = (np.rint(255 * resize(textured(move), (320, 320))).astype(np.uint8) for move in ((0, 0), (2, -1)))
    found = displacements(motion_between(other, one, side_px=160))[:, 60:-60, 60:-60]
    assert np.median(found[0]) == pytest.approx(4, abs=0.3)
    assert np.median(found[1]) == pytest.approx(-2, abs=0.3)


def test_warping_fetches_from_where_the_flow_leads() -> None:
    values = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    right = np.stack([np.zeros((3, 4)), np.ones((3, 4))]).astype(np.float32)
    assert warp(values, right).tolist() == [[[1, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11]]]
    assert warp(values[:0], right).shape == (0, 3, 4)


def test_a_moving_object_stays_sharper_with_motion_than_without() -> None:
    course = [(3.0 * frame, 0.0) for frame in range(-2, 3)]
    images = [np.rint(textured(move) * 255).astype(np.uint8) for move in course]
    bar = np.full((160, 160), 0.02, np.float32)
    bar[78:82, 30:130] = 0.98
    masks = [np.clip(shift(bar, move, order=1, mode="nearest"), 0.02, 0.98) for move in course]
    middle = smoothed(images, masks, [1.0] * 5)[2][:-1].reshape(160, 160)
    without = sum(w * m for w, m in zip((1, 4, 6, 4, 1), masks, strict=True)) / 16
    inside = np.s_[78:82, 40:120]
    assert without[inside].mean() < 0.75
    assert middle[inside].mean() > 0.9
