"""Comparison pictures show what they say, in colours that stay apart, and nobody chooses them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from angiova.data import rle
from angiova.data.pixels import GreyImage
from angiova.data.records import FrameRecord, Origin, Prediction, Target, TargetKind
from angiova.evaluation import comparison
from angiova.evaluation.cases import Case, score_target
from angiova.evaluation.selection import select_pictures

SIDE = 24
LUMA = np.array([0.2126, 0.7152, 0.0722])


def grey(side: int = SIDE) -> GreyImage:
    return np.full((side, side), 100, dtype=np.uint8)


def test_agreement_colours_each_kind_of_pixel() -> None:
    target = np.zeros((SIDE, SIDE), dtype=bool)
    prediction = target.copy()
    target[4:8, 2:10], prediction[4:8, 6:14] = True, True
    panels = comparison.compare(grey(), target, prediction)
    assert panels.shape == (SIDE, 4 * SIDE + 3 * 8, 3)
    agreement = panels[:, 3 * (SIDE + 8) :].astype(int)
    for place, colour in (((5, 7), comparison.AGREED), ((5, 3), comparison.MISSED), ((5, 12), comparison.FALSE)):
        assert np.abs(agreement[place] - np.array(colour)).max() < 40, place
    assert (agreement[20, 20] == agreement[20, 20, 0]).all()
    np.testing.assert_array_equal(panels[:, :SIDE, 0], grey())


def test_colours_differ_in_lightness_too() -> None:
    """So that they stay apart for every kind of colour blindness and on a grey printer."""
    lightness = [float(LUMA @ np.array(c)) for c in (comparison.AGREED, comparison.MISSED, comparison.FALSE)]
    assert all(abs(one - other) > 35 for one, other in combinations(lightness, 2))


def test_large_images_shrink_to_the_panel() -> None:
    empty = np.zeros((1024, 1024), dtype=bool)
    assert comparison.compare(grey(1024), empty, empty).shape == (512, 4 * 512 + 3 * 8, 3)


def case(name: str, width: int, kind: TargetKind = TargetKind.VESSEL_TREE) -> Case:
    """A case whose Dice is 2 * width / (width + 10): the prediction is a part of a target of 10 columns."""
    pixels = np.zeros((SIDE, SIDE), dtype=bool)
    pixels[4:8, 2:12] = True
    target = Target("thing", kind, rle.encode(pixels), Origin.MANUAL)
    pixels[:, 2 + width :] = False
    record = FrameRecord(name, "x.png", SIDE, SIDE, "s", "0", "r", targets=(target,))
    return score_target(record, target, Prediction(name, "thing", rle.encode(pixels), 0.9))


def test_best_median_worst_and_two_others_whatever_the_order() -> None:
    cases = [case(f"f{width}", width) for width in range(1, 10)]
    chosen = select_pictures(cases)
    assert [picture.role for picture in chosen[:5]] == ["best", "median", "worst", "random", "random"]
    assert [picture.frame_id for picture in chosen[:3]] == ["f9", "f5", "f1"]
    assert len({picture.frame_id for picture in chosen}) == len(chosen)
    failed = {"f2", "f3"} - {picture.frame_id for picture in chosen[:5]}
    assert {picture.frame_id for picture in chosen[5:]} == failed
    assert {picture.role for picture in chosen[5:]} <= {"failure"}
    assert select_pictures(cases[::-1]) == chosen


@pytest.mark.parametrize(("number", "roles"), [(0, []), (1, ["best"]), (2, ["best", "worst"])])
def test_few_cases_give_few_pictures(number: int, roles: list[str]) -> None:
    assert [p.role for p in select_pictures([case(f"f{w}", w + 1) for w in range(number)])] == roles


def test_the_tree_is_shown_before_other_kinds() -> None:
    cases = [case("stenosis", 9, TargetKind.STENOSIS), case("tree", 3)]
    assert [picture.frame_id for picture in select_pictures(cases)] == ["tree"]


def test_failures_are_the_worst_of_each_kind_before_the_second_of_any() -> None:
    trees = [case(f"t{width}", width) for width in (9, 8, 7)]
    stenoses = [case(f"s{width}", width, TargetKind.STENOSIS) for width in (3, 1, 2)]
    catheter = case("c3", 3, TargetKind.CATHETER)
    chosen = select_pictures([*trees, *stenoses, catheter])
    assert [(p.role, p.frame_id) for p in chosen[3:]] == [("failure", "s1"), ("failure", "c3"), ("failure", "s2")]
