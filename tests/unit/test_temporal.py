"""Figures of masks over time: hand-worked courses, known motion, and the cases that an average would hide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask
from angiova.evaluation.motion import Motion, carry, motion_between, motions_of, still
from angiova.evaluation.runs import RunValue, summarise_runs
from angiova.evaluation.temporal import (
    RunMeasures,
    area_flicker,
    consistency,
    distances_from,
    flicker,
    measure_run,
    trend,
)
from angiova.simulate import simulate

SHAPE_PX = (8, 10)
NOTHING = np.zeros(SHAPE_PX, dtype=bool)
VESSEL = NOTHING.copy()
VESSEL[2:6, 3:5] = True
courses = hnp.arrays(bool, (5, *SHAPE_PX))


def still_run(num_frames: int, shape_px: tuple[int, int] = SHAPE_PX) -> list[Motion]:
    return [still(shape_px)] * (num_frames - 1)


def shift(rows: float, columns: float, shape_px: tuple[int, int] = SHAPE_PX) -> Motion:
    """Return the motion of content that moves by so many rows and columns."""
    field = np.zeros((2, *shape_px), dtype=np.float32)
    field[0], field[1] = -rows, -columns
    return Motion(shape_px, field)


def texture(side_px: int = 96) -> GreyImage:
    noise = gaussian_filter(np.random.default_rng(3).normal(size=(side_px + 20, side_px + 20)), 2.5)
    return np.clip(128 + 300 * noise, 0, 255).astype(np.uint8)


def test_a_mask_is_carried_by_a_known_motion() -> None:
    carried = carry(VESSEL, shift(1, 2))
    expected = NOTHING.copy()
    expected[3:7, 5:7] = True
    np.testing.assert_array_equal(carried.mask_HW, expected)
    assert not carried.known_HW[0].any()
    assert not carried.known_HW[:, :2].any()
    assert carried.known_HW[1:, 2:].all()


def test_a_mask_carried_out_of_the_image_is_gone() -> None:
    assert not carry(VESSEL, shift(0, 20)).mask_HW.any()


def test_a_coarse_motion_is_spread_over_the_frame() -> None:
    coarse = Motion(SHAPE_PX, np.array([[[0.0]], [[-2.0]]], dtype=np.float32))
    np.testing.assert_array_equal(carry(VESSEL, coarse).mask_HW, carry(VESSEL, shift(0, 2)).mask_HW)


def test_equal_frames_have_no_motion() -> None:
    image = texture()
    assert not motion_between(image, image).displacement_2hw.any()


@pytest.mark.parametrize("side_px", [96, 700])  # the second is estimated on a coarser grid
def test_the_motion_of_a_moved_image_is_found(side_px: int) -> None:
    whole = texture(side_px)
    before, after = whole[10:-10, 10:-10], whole[7:-13, 12:-8]  # content moves 3 down and 2 to the left
    motion = motion_between(before, after)
    middle = tuple(slice(n // 4, -n // 4) for n in motion.displacement_2hw.shape[1:])
    found = [np.median(part[middle]) for part in motion.displacement_2hw]
    np.testing.assert_allclose(found, [-3, 2], atol=0.4)


def test_motion_is_not_guessed_in_frames_too_small_for_a_window() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (2, 9, 9)).astype(np.uint8)
    assert not motion_between(*frames).displacement_2hw.any()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one frame is"):
        motion_between(np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8))
    with pytest.raises(ValueError, match="mask is"):
        carry(VESSEL.T, still(SHAPE_PX))
    with pytest.raises(ValueError, match="argument"):
        consistency([VESSEL] * 3, still_run(2))


def test_a_mask_that_stays_in_a_still_run_is_perfect() -> None:
    found = measure_run([VESSEL] * 6, still_run(6), dict.fromkeys(range(6), VESSEL), key_frames=[2])
    assert (found.consistency, found.flicker, found.area_flicker) == (1.0, 0.0, 0.0)
    assert (found.drift, found.consistency_drift, found.presence_f1) == (0.0, 0.0, 1.0)


def test_consistency_of_a_pair_worked_out_by_hand() -> None:
    moved = np.roll(VESSEL, 1, axis=1)  # 4 of 8 pixels in common
    found = consistency([VESSEL, moved], still_run(2))
    assert (found.ious, found.dices) == ((4 / 12,), (8 / 16,))


def test_a_mask_that_moves_with_the_image_is_consistent_only_along_the_motion() -> None:
    whole = texture(150)
    images = [whole[10 + 2 * t : 120 + 2 * t, 10:120] for t in range(4)]  # content moves 2 up a frame
    line = np.zeros((130, 110), dtype=bool)
    line[60:63, 20:90] = True
    masks = [line[2 * t : 110 + 2 * t] for t in range(4)]
    along = consistency(masks, list(motions_of(images))).mean_iou
    without = consistency(masks, still_run(4, (110, 110))).mean_iou
    assert along is not None
    assert along > 0.9
    assert without == pytest.approx(1 / 5)  # three rows, moved by two


def test_pixels_that_come_from_outside_are_not_held_against_a_mask() -> None:
    full = np.ones(SHAPE_PX, dtype=bool)
    assert consistency([full, full], [shift(0, 3)]).ious == (1.0,)


def test_empty_pairs_are_counted_and_in_no_mean() -> None:
    found = consistency([NOTHING, NOTHING, VESSEL, VESSEL], still_run(4))
    assert found.ious == (None, 0.0, 1.0)
    assert (found.mean_iou, found.num_empty) == (0.5, 1)


def test_a_run_that_shows_nothing_has_no_figures() -> None:
    found = measure_run([NOTHING] * 4, still_run(4), dict.fromkeys(range(4), NOTHING), key_frames=[0])
    assert (found.consistency, found.flicker, found.area_flicker, found.presence_f1) == (None,) * 4
    assert (found.drift, found.consistency_drift, found.dice_of_frame) == (None, None, {})
    assert found.num_empty_pairs == 3


@pytest.mark.parametrize("num_frames", [1, 2])
def test_short_runs_have_no_flicker(num_frames: int) -> None:
    assert flicker([VESSEL] * num_frames, still_run(num_frames)) is None
    assert area_flicker([8] * num_frames) is None


def test_every_second_mask_empty_flickers_wholly() -> None:
    masks = [VESSEL, NOTHING, VESSEL, NOTHING, VESSEL]
    assert flicker(masks, still_run(5)) == 1.0
    assert area_flicker([8, 0, 8, 0, 8]) == 1.0


def test_flicker_of_one_false_piece_worked_out_by_hand() -> None:
    spot = VESSEL.copy()
    spot[0:2, 8:10] = True  # 4 pixels, in the third of five frames
    # Triples (0,0,+), (0,+,0), (+,0,0): shown 12, 12 and 12 pixels; only the middle one sees it come and go.
    assert flicker([VESSEL, VESSEL, spot, VESSEL, VESSEL], still_run(5)) == 4 / 36
    # Areas 8 8 12 8 8: |4| + |-8| + |4| over 36 + 40 + 36.
    assert area_flicker([8, 8, 12, 8, 8]) == 16 / 112


def test_a_gap_flickers_as_a_spot_does() -> None:
    cut = VESSEL.copy()
    cut[3:, :] = False  # rows 3 to 5 gone for a frame; row 3 lies within the tolerance of row 2
    assert flicker([VESSEL, cut, VESSEL], still_run(3)) == 4 / 8


def test_contrast_that_comes_and_goes_once_is_no_flicker() -> None:
    assert flicker([NOTHING, NOTHING, VESSEL, VESSEL, NOTHING, NOTHING], still_run(6)) == 0.0


def test_an_outline_that_wavers_by_a_pixel_is_no_flicker() -> None:
    assert flicker([VESSEL, np.roll(VESSEL, 1, axis=0), VESSEL], still_run(3)) == 0.0


def test_flicker_is_seen_along_the_motion() -> None:
    masks = [np.roll(VESSEL, t, axis=1) for t in range(5)]
    moving = [shift(0, 1)] * 4
    assert flicker(masks, moving) == 0.0
    masks[2] = NOTHING
    assert flicker(masks, moving) == pytest.approx(1 / 3)  # one of three triples, all of its pixels


@settings(deadline=None, max_examples=25)
@given(courses)
def test_shares_stay_shares_and_time_may_run_backwards(masks_THW: BoolMask) -> None:
    masks = list(masks_THW)
    forwards, backwards = flicker(masks, still_run(5)), flicker(masks[::-1], still_run(5))
    assert forwards == backwards
    assert forwards is None or 0 <= forwards <= 1
    assert consistency(masks, still_run(5)).ious == consistency(masks[::-1], still_run(5)).ious[::-1]
    areas = [int(mask.sum()) for mask in masks]
    jump = area_flicker(areas)
    assert jump is None or 0 <= jump <= 1


def test_dice_and_drift_from_the_key_frame() -> None:
    true_of_frame = {0: VESSEL, 2: VESSEL, 4: VESSEL, 5: NOTHING}  # labelled sparsely
    masks = [VESSEL.copy() for _ in range(6)]
    masks[2][2:4], masks[4][:] = False, False  # halves the mask, then loses it
    masks[5] = NOTHING
    found = measure_run(masks, still_run(6), true_of_frame, key_frames=[0])
    assert found.dice_of_frame == {0: 1.0, 2: 8 / 12, 4: 0.0}
    # Slopes of pairs: -1/6 (0,2), -1/4 (0,4), -1/3 (2,4).
    assert found.drift == pytest.approx(-1 / 4)
    assert found.presence_f1 == 2 * 2 / (2 * 2 + 1)


def test_drift_counts_from_the_nearest_key_frame() -> None:
    assert distances_from([2, 8], [0, 2, 4, 6, 9]) == [2, 0, 2, 2, 1]


def test_one_failure_is_no_trend_and_few_values_have_none() -> None:
    assert trend([0, 1, 2, 3, 4, 5, 6], [0.9, 0.9, 0.9, 0.0, 0.9, 0.9, 0.9]) == 0.0
    assert trend([0, 1], [1.0, 0.5]) is None
    assert trend([1, 1, 1], [1.0, 0.5, 0.2]) is None


def test_without_truth_only_steadiness_is_measured() -> None:
    found = measure_run([VESSEL] * 3, still_run(3))
    assert found == RunMeasures(1.0, 0, 0.0, 0.0)


def test_runs_are_averaged_in_their_patient_and_lacking_values_counted() -> None:
    values = [RunValue("a", "p1", 1.0), RunValue("b", "p1", 0.0), RunValue("c", "p2", 0.9), RunValue("d", "p3", None)]
    found = summarise_runs(values)
    assert found.run is not None
    assert found.patient is not None
    assert (found.run.n, found.run.mean) == (3, pytest.approx(1.9 / 3))
    assert (found.patient.n, found.patient.mean) == (2, pytest.approx(0.7))
    assert found.num_without == 1


def test_runs_without_any_value_or_patient() -> None:
    nothing = summarise_runs([RunValue("a", "p1", None)])
    assert (nothing.run, nothing.patient, nothing.num_without) == (None, None, 1)
    assert summarise_runs([RunValue("a", None, 0.5)]).patient is None
    with pytest.raises(ValueError, match="not finite"):
        summarise_runs([RunValue("a", "p1", float("nan"))])


def test_true_masks_of_simulated_runs_are_steadier_along_the_estimated_motion(tmp_path: Path) -> None:
    manifest: Manifest = simulate(tmp_path / "runs", num_runs=1, num_frames=24, size_px=192, workers=1)
    records = [record for record in manifest.records() if record.targets][8:14]
    masks = [rle.decode(record.targets[0].mask) for record in records]
    motions = list(motions_of(map(manifest.read_image, records)))
    along = consistency(masks, motions).mean_iou
    without = consistency(masks, still_run(len(masks), (192, 192))).mean_iou
    assert along is not None
    assert without is not None
    assert along > without + 0.05
