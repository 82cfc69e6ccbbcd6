"""Measures of simulated masks against the anatomy that they were drawn from."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from angiova.morphology import VesselMeasures, measure_vessels
from angiova.morphology.accuracy import FoundCounts, calibre_errors_px, match_bifurcations, percent_at
from angiova.morphology.calibration import catheter_spacing_mm
from angiova.simulate.plan import plan_runs
from angiova.simulate.scene import Scene, draw_scene
from angiova.simulate.truth import FrameTruth, label_truth, lumen_truth

NUM_RUNS = 10


@cache
def cases(seed: int = 7) -> list[tuple[FrameTruth, VesselMeasures]]:
    """Return truth and measures of the label of one well opacified frame a run."""
    found = []
    for plan in plan_runs(NUM_RUNS, 3 * NUM_RUNS, seed):
        scene = draw_scene(plan, 512)
        truth = label_truth(scene, scene.bolus.start_s + 0.9 * scene.bolus.duration_s)
        found.append((truth, measure_vessels(truth.mask_HW)))
    return found


@cache
def narrowed_lumens() -> list[tuple[Scene, FrameTruth]]:
    """Return runs with narrowings, and the truth about the lumen at the end of the injection."""
    scenes = [draw_scene(plan, 512) for plan in plan_runs(30, 90, 11)]
    return [(s, lumen_truth(s, s.bolus.end_s, thinnest_px=3.0)) for s in scenes if s.tree.stenoses]


def test_calibres_of_four_pixels_and_more_are_right_to_half_a_pixel() -> None:
    errors = []
    for truth, measures in cases():
        chosen = truth.is_alone_N & (truth.calibre_N_px >= 4)
        errors.append(calibre_errors_px(measures, truth.points_N2[chosen], truth.calibre_N_px[chosen]))
    error_N = np.concatenate(errors)
    assert len(error_N) > 3000
    assert np.abs(error_N).mean() < 0.3
    assert abs(error_N.mean()) < 0.1
    assert np.mean(np.abs(error_N) <= 0.5) > 0.85


def test_bifurcations_have_an_f1_of_nine_tenths() -> None:
    counts = FoundCounts(0, 0, 0)
    for truth, measures in cases():
        forks = truth.forks
        counts += match_bifurcations(
            measures, [f.path_N2 for f in forks], [f.radius_px for f in forks], [f.is_clear for f in forks]
        )
    assert counts.num_found > 100
    assert counts.f1 >= 0.9


def test_narrowings_are_right_to_ten_points() -> None:
    """Of the lumen, from five pixels of reference on, where nothing lies over or beside the narrowest place."""
    errors = []
    for _, truth in narrowed_lumens():
        wanted = [s for s in truth.stenoses if s.is_clear and s.reference_px >= 5]
        if wanted:
            measures = measure_vessels(truth.mask_HW)
            errors += [percent_at(measures, s.row, s.column, 12) - s.percent for s in wanted]
    assert len(errors) >= 6
    assert np.abs(errors).mean() <= 6
    assert np.mean(np.abs(errors) <= 10) >= 0.8


def test_the_true_percent_is_that_of_the_anatomy() -> None:
    checked = 0
    for scene, truth in narrowed_lumens():
        for drawn, projected in zip(scene.tree.stenoses, truth.stenoses, strict=True):
            if projected.reference_px > 0:  # thinner arteries are left out of the mask
                assert projected.percent == pytest.approx(drawn.percent, abs=6)
                checked += 1
    assert checked >= 10


def test_the_label_of_a_straight_tube_is_as_wide_as_the_truth_says() -> None:
    """Counted across the mask at right angles to rows or columns; no measuring code is involved."""
    scene = draw_scene(plan_runs(1, 3, 3)[0], 512)
    truth = label_truth(scene, scene.bolus.start_s + 0.9 * scene.bolus.duration_s)
    direction_N2 = np.gradient(truth.points_N2, axis=0)
    down_N = np.abs(direction_N2[:, 0]) / np.maximum(np.linalg.norm(direction_N2, axis=1), 1e-9)
    chosen = np.flatnonzero(truth.is_alone_N & (truth.calibre_N_px >= 4) & (down_N > 0.995))
    assert len(chosen) > 30
    rows, columns = truth.points_N2[chosen].round().astype(int).T
    widths = []
    for row, column in zip(rows, columns, strict=True):
        line = truth.mask_HW[row]
        left, right = column - np.argmin(line[column::-1]), column + np.argmin(line[column:])
        widths.append(right - left - 1)
    assert np.mean(widths) == pytest.approx(truth.calibre_N_px[chosen].mean(), abs=0.35)


def test_bifurcations_lie_where_arteries_leave() -> None:
    scene = draw_scene(plan_runs(1, 3, 3)[0], 512)
    truth = lumen_truth(scene, scene.bolus.end_s)
    starts = np.flatnonzero(np.diff(scene.tree.artery_N, prepend=-1))[1:]
    origins = truth.points_N2[starts]
    for fork in truth.forks:
        assert np.linalg.norm(origins - fork.path_N2[0], axis=1).min() < 1e-6
    assert len(truth.forks) <= len(starts)


def test_the_catheter_of_a_simulated_frame_gives_its_spacing() -> None:
    """The label is cut at a fifth of the diameter's path, so that it is sqrt(1 - 0.04) as wide; the table is near."""
    for plan in plan_runs(3, 9, 5):
        scene = draw_scene(plan, 512)
        outer_HW, _ = scene.catheter_paths_mm(0.0)
        mask_HW = outer_HW > 0.2 * 2 * scene.catheter.radius_mm
        french = 2 * scene.catheter.radius_mm * 3
        assert catheter_spacing_mm(mask_HW, french) == pytest.approx(scene.c_arm.spacing_mm, rel=0.1)


def test_matching_counts_what_was_found_missed_and_made_up() -> None:
    truth, measures = cases()[0]
    nowhere = [np.array([[-100.0, -100.0]])]
    none = match_bifurcations(measures, nowhere, [1.0], [True])
    assert (none.num_found, none.num_missed) == (0, 1)
    hidden = match_bifurcations(measures, nowhere, [1.0], [False])
    assert (hidden.num_found, hidden.num_missed) == (0, 0)
    every = [np.array([[n.row, n.column]]) for n in measures.nodes if n.kind == "bifurcation"]
    whole = match_bifurcations(measures, every, [1.0] * len(every), [True] * len(every))
    assert (whole.num_found, whole.num_missed, whole.num_false) == (len(every), 0, 0)
    assert whole.f1 == 1
    assert calibre_errors_px(measures, truth.points_N2[:0], truth.calibre_N_px[:0]).size == 0
