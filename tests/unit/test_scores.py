"""Shape metrics on shapes that can be worked out by hand, and what must hold for any shape."""

from __future__ import annotations

from math import hypot

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from angiova.data.rle import BoolMask
from angiova.evaluation.branches import CalibreClass, class_of, count_branches
from angiova.evaluation.geometry import MaskGeometry
from angiova.evaluation.metrics import METRICS, SHARE_METRICS
from angiova.evaluation.scores import Outcome, score_masks

SIDE = 64
masks = hnp.arrays(bool, (9, 11))


def box(rows: slice, columns: slice) -> BoolMask:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[rows, columns] = True
    return mask


def values_of(target: BoolMask, answer: BoolMask, **options: object) -> dict[str, float]:
    return dict(score_masks(target, answer, **options).values or {})  # type: ignore[arg-type]


NOTHING = np.zeros((SIDE, SIDE), dtype=bool)
LINE = box(slice(10, 11), slice(5, 45))  # 40 pixels long, one wide


def test_a_line_shifted_by_three_rows() -> None:
    """Every pixel is 3 from the other line: no share within 2 px, HD95 and mean 3; at 0.1 mm a pixel all within 0.5."""
    shifted = np.roll(LINE, 3, axis=0)
    values = values_of(LINE, shifted, spacing_mm=(0.1, 0.1))
    assert (values["nsd"], values["hd95_px"], values["assd_px"]) == (0.0, 3.0, 3.0)
    assert (values["nsd_mm"], values["hd95_mm"]) == (1.0, pytest.approx(0.3))
    assert (values["b0_error"], values["area_bias"]) == (0.0, 0.0)
    assert values_of(LINE, np.roll(LINE, 2, axis=0))["nsd"] == 1.0


def test_rows_and_columns_of_unequal_spacing_are_not_mixed_up() -> None:
    assert values_of(LINE, np.roll(LINE, 3, axis=0), spacing_mm=(0.5, 0.1))["hd95_mm"] == pytest.approx(1.5)


def test_hd95_does_not_hide_a_missed_vessel() -> None:
    """A short vessel of 4 pixels, 40 rows away, is 4 of 44 pixels: beyond the 95th percentile of its own direction."""
    target = LINE | box(slice(50, 51), slice(5, 9))
    values = values_of(target, LINE)
    assert values["hd95_px"] == 40.0
    assert values["assd_px"] == pytest.approx(4 * 40 / (44 + 40))


def test_pieces_and_holes_by_hand() -> None:
    ring = box(slice(20, 30), slice(20, 30)) & ~box(slice(23, 26), slice(23, 26))
    values = values_of(ring, ring & ~box(slice(0, 64), slice(24, 25)))
    assert (values["b0_error"], values["b1_error"]) == (1.0, 1.0)
    diagonal = np.eye(SIDE, dtype=bool)
    assert (MaskGeometry(diagonal).num_pieces, MaskGeometry(diagonal).num_holes) == (1, 0)


def test_branches_of_two_calibres() -> None:
    """A vessel 9 px wide found, a line of 40 px missed: thick recall 1, thin recall 0, one of two branches found."""
    thick = box(slice(30, 39), slice(5, 45))
    scores = score_masks(thick | LINE, thick)
    assert scores.values is not None
    assert (scores.values["recall_thick"], scores.values["recall_thin"]) == (1.0, 0.0)
    assert "recall_medium" not in scores.values
    assert scores.values["branches_found"] == 0.5
    assert scores.branches[CalibreClass.THIN].length_px == 40


def test_a_crossing_has_four_branches_and_half_of_one_is_found() -> None:
    cross = LINE | box(slice(2, 30), slice(25, 26))
    counts = count_branches(MaskGeometry(cross), MaskGeometry(box(slice(0, 64), slice(0, 16)) & cross))
    thin = counts[CalibreClass.THIN]
    assert (thin.num_branches, thin.num_found, thin.covered_px) == (4, 1, 11)


@pytest.mark.parametrize(("calibre", "name"), [(2.99, "thin"), (3.0, "medium"), (5.99, "medium"), (6.0, "thick")])
def test_edges_of_the_calibre_classes(calibre: float, name: str) -> None:
    assert class_of(calibre) == name


def test_bias_of_a_widened_and_of_a_shifted_vessel() -> None:
    """8 against 4 pixels wide: twice the area, 4 px wider. Shifted by one pixel: no bias."""
    thin, wide = box(slice(20, 24), slice(5, 60)), box(slice(18, 26), slice(5, 60))
    values = values_of(thin, wide)
    assert values["area_bias"] == 1.0
    assert values["calibre_bias_px"] == pytest.approx(4.0, abs=0.5)
    assert values_of(thin, np.roll(thin, 1, axis=0))["calibre_bias_px"] == 0.0


def test_the_table_of_empty_masks() -> None:
    missed, false = score_masks(LINE, NOTHING, spacing_mm=(0.5, 0.5)), score_masks(NOTHING, LINE)
    assert (missed.outcome, false.outcome) == (Outcome.MISSED, Outcome.FALSE)
    assert missed.values is not None and false.values is not None
    for values in (missed.values, false.values):
        assert {values[name] for name in SHARE_METRICS if name in values} == {0.0}
        assert values["hd95_px"] == values["assd_px"] == hypot(SIDE, SIDE)
        assert values["b0_error"] == 1.0
    assert missed.values["hd95_mm"] == hypot(SIDE, SIDE) / 2
    assert (missed.values["area_bias"], "area_bias" in false.values) == (-1.0, False)
    assert score_masks(NOTHING, NOTHING).values is None
    unanswered = score_masks(NOTHING, NOTHING, answered=False)
    assert unanswered.values is not None
    assert (unanswered.values["dice"], "b0_error" in unanswered.values) == (0.0, False)


@given(masks)
def test_a_mask_agrees_with_itself_exactly(mask: BoolMask) -> None:
    assume(mask.any())
    values = values_of(mask, mask, spacing_mm=(0.2, 0.3))
    for name in SHARE_METRICS:
        assert values.get(name, 1.0) == 1.0
    assert {values.get(name, 0.0) for name in METRICS if name not in SHARE_METRICS} == {0.0}


@given(masks, masks)
def test_boundaries_and_topology_are_symmetric(target: BoolMask, answer: BoolMask) -> None:
    assume(target.any() and answer.any())
    there, back = values_of(target, answer), values_of(answer, target)
    for name in ("dice", "cldice", "nsd", "hd95_px", "assd_px", "b0_error", "b1_error"):
        assert there[name] == pytest.approx(back[name])


@given(masks, st.integers(0, 98))
def test_missing_a_pixel_more_is_never_better(mask: BoolMask, index: int) -> None:
    assume(np.count_nonzero(mask) > 2)
    pixels = np.argwhere(mask)
    one, two = mask.copy(), mask.copy()
    first, second = pixels[index % len(pixels)], pixels[(index + 1) % len(pixels)]
    one[tuple(first)] = False
    two[tuple(first)] = two[tuple(second)] = False
    once, twice = values_of(mask, one), values_of(mask, two)
    assert twice["dice"] <= once["dice"] and twice["recall"] <= once["recall"]
    assert twice["area_bias"] < once["area_bias"] < 0


@given(masks, masks)
def test_every_value_is_a_finite_number_in_its_range(target: BoolMask, answer: BoolMask) -> None:
    values = score_masks(target, answer, spacing_mm=(0.3, 0.3)).values
    assert values is None or set(values) <= set(METRICS)
    assert all(np.isfinite(value) for value in (values or {}).values())
    assert all(0 <= value <= 1 for name, value in (values or {}).items() if name in SHARE_METRICS)
