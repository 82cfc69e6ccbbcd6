"""Arteries run where anatomy says, relative to the heart's own axes, in every simulated patient."""

from __future__ import annotations

import numpy as np
import pytest

from angiova.data.syntax import RIGHT_SEGMENTS, SEGMENT_NAMES
from angiova.simulate.catheter import draw_catheter
from angiova.simulate.heart import Heart, draw_heart
from angiova.simulate.projection import LEFT_VIEWS, RIGHT_VIEWS, draw_c_arm
from angiova.simulate.tree import Tree, draw_tree

SEEDS = range(8)


def patient(seed: int, side: str, left_dominant: bool = False) -> tuple[Heart, Tree]:
    rng = np.random.default_rng(seed)
    heart = draw_heart(rng)
    return heart, draw_tree(rng, heart, side, left_dominant)


def points_of(tree: Tree, segment: str) -> np.ndarray:
    """Local points (towards the apex, up, left) of a segment, in order."""
    return tree.points_N3[tree.segment_N == tree.segments.index(segment)]


@pytest.mark.parametrize("seed", SEEDS)
def test_lad_ends_near_the_apex_and_runs_along_the_top(seed: int) -> None:
    heart, tree = patient(seed, "left")
    apical, middle = points_of(tree, "8"), points_of(tree, "7")
    assert apical[:, 0].max() > 0.8 * heart.length_mm
    assert middle[:, 1].mean() > 0.4 * heart.radius_mm
    assert abs(middle[:, 2].mean()) < 0.35 * heart.radius_mm


@pytest.mark.parametrize("seed", SEEDS)
def test_circumflex_keeps_to_the_groove_on_the_left(seed: int) -> None:
    heart, tree = patient(seed, "left")
    distal = points_of(tree, "13")
    assert np.abs(distal[:, 0]).mean() < 0.25 * heart.length_mm
    assert distal[:, 2].mean() > 0.3 * heart.radius_mm


@pytest.mark.parametrize("seed", SEEDS)
def test_right_artery_goes_round_the_right_border_to_the_underside(seed: int) -> None:
    heart, tree = patient(seed, "right")
    assert points_of(tree, "2")[:, 2].mean() < -0.7 * heart.radius_mm
    assert points_of(tree, "3")[-1, 1] < -0.5 * heart.radius_mm
    descending = points_of(tree, "4")
    assert descending[-1, 0] > descending[0, 0] + 0.3 * heart.length_mm  # towards the apex


@pytest.mark.parametrize("seed", SEEDS)
def test_segments_follow_each_other_without_a_gap(seed: int) -> None:
    _, left = patient(seed, "left")
    for proximal, distal in (("6", "7"), ("7", "8"), ("11", "13")):
        gap_mm = np.linalg.norm(points_of(left, distal)[0] - points_of(left, proximal)[-1])
        assert gap_mm < 0.5, (proximal, distal)
    gaps_mm = [np.linalg.norm(points_of(left, daughter)[0] - points_of(left, "5")[-1]) for daughter in ("6", "11")]
    assert max(gaps_mm) < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_calibres_are_those_of_adults(seed: int) -> None:
    _, left = patient(seed, "left")
    _, right = patient(seed, "right")

    def diameter(tree: Tree, segment: str) -> float:
        chosen = (tree.segment_N == tree.segments.index(segment)) & ~tree.stenosis_N
        return 2 * float(np.median(tree.radius_N_mm[chosen]))

    # Dodge et al., Circulation 86:232-246 (1992): left main 4.5, proximal LAD 3.7, right coronary 3.9, each +- 0.6 mm.
    assert 2.9 < diameter(left, "5") < 5.2
    assert 2.2 < diameter(left, "6") < 4.6
    assert 2.4 < diameter(right, "1") < 4.8
    assert diameter(left, "8") < diameter(left, "6") < diameter(left, "5")


def test_the_dominant_side_supplies_the_posterior_descending_artery() -> None:
    assert "15" in patient(1, "left", left_dominant=True)[1].segments
    assert not {"4", "16"} & set(patient(1, "right", left_dominant=True)[1].segments)
    assert "15" not in patient(1, "left")[1].segments
    assert {"4", "16"} <= set(patient(1, "right")[1].segments)


def test_every_named_segment_of_the_syntax_score_occurs_and_lies_on_its_side() -> None:
    seen: set[str] = set()
    for seed in range(12):
        for left_dominant in (False, True):
            right = set(patient(seed, "right", left_dominant)[1].segments)
            left = set(patient(seed, "left", left_dominant)[1].segments)
            assert right <= RIGHT_SEGMENTS and not left & RIGHT_SEGMENTS
            seen |= left | right
    assert seen == set(SEGMENT_NAMES)


def test_the_tip_of_the_catheter_lies_in_the_artery_and_its_end_above_the_heart() -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        ostium, into = np.array([10.0, -20.0, 15.0]), np.array([1.0, 0.0, 0.0])
        catheter = draw_catheter(rng, ostium, into, "left")
        np.testing.assert_allclose(catheter.points_N3[0], [12, -20, 15], atol=0.01)
        assert catheter.points_N3[-1, 2] > 80
        assert np.linalg.norm(np.diff(catheter.points_N3, axis=0), axis=1).max() < 1.0
        assert 5 / 6 - 1e-6 <= catheter.radius_mm <= 7 / 6 + 1e-6  # 5 to 7 French


@pytest.mark.parametrize(("side", "views"), [("left", LEFT_VIEWS), ("right", RIGHT_VIEWS)])
def test_views_are_clinical_ones_with_realistic_distances(side: str, views: tuple[tuple[int, int], ...]) -> None:
    for seed in range(20):
        arm = draw_c_arm(np.random.default_rng(seed), side, 512)
        away = [max(abs(arm.primary_deg - a), abs(arm.secondary_deg - b)) for a, b in views]
        assert min(away) <= 4.1
        assert 1.2 < arm.source_to_detector_mm / arm.source_to_isocentre_mm < 1.6
        assert 0.15 < arm.spacing_mm < 0.3
