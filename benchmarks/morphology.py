"""How right vessel measures are on simulated frames, and how many frames of 512 x 512 a second they take.

    python benchmarks/morphology.py --runs 40 --workers 2

Masks are the labels of well opacified frames, one a run; narrowings are measured on the lumen, of which the anatomy
states the per cent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from angiova.morphology import measure_vessels
from angiova.morphology.accuracy import FoundCounts, calibre_errors_px, match_bifurcations, percent_at
from angiova.simulate.plan import RunPlan, plan_runs
from angiova.simulate.scene import draw_scene
from angiova.simulate.truth import FrameTruth, label_truth, lumen_truth

SIDE_PX = 512
THINNEST_PX = 3.0
LEAST_REFERENCE_PX = 5.0


@dataclass
class Accuracy:
    """What one run adds.

    Attributes:
        calibre_N_px: measured less true calibres, of vessels of 4 pixels and more.
        bifurcations: which were found.
        percents: measured less true percent diameter stenosis.
        seconds: processor time of measuring the label.
    """

    calibre_N_px: np.ndarray
    bifurcations: FoundCounts
    percents: list[float]
    seconds: float


def judge(plan: RunPlan) -> Accuracy:
    scene = draw_scene(plan, SIDE_PX)
    truth = label_truth(scene, scene.bolus.start_s + 0.9 * scene.bolus.duration_s)
    started = time.process_time()
    measures = measure_vessels(truth.mask_HW)
    seconds = time.process_time() - started
    wide = truth.is_alone_N & (truth.calibre_N_px >= 4)
    counts = match_bifurcations(
        measures,
        [fork.path_N2 for fork in truth.forks],
        [fork.radius_px for fork in truth.forks],
        [fork.is_clear for fork in truth.forks],
    )
    errors_N = calibre_errors_px(measures, truth.points_N2[wide], truth.calibre_N_px[wide])
    return Accuracy(errors_N, counts, stenosis_errors(lumen_truth(scene, scene.bolus.end_s, THINNEST_PX)), seconds)


def stenosis_errors(truth: FrameTruth) -> list[float]:
    """Return measured less true per cent, where nothing lies over or beside the narrowest place."""
    wanted = [s for s in truth.stenoses if s.is_clear and s.reference_px >= LEAST_REFERENCE_PX]
    if not wanted:
        return []
    measures = measure_vessels(truth.mask_HW)
    return [percent_at(measures, s.row, s.column, within_px=12) - s.percent for s in wanted]


def show(found: Sequence[Accuracy], workers: int) -> None:
    error_N = np.concatenate([a.calibre_N_px for a in found])
    counts = sum((a.bifurcations for a in found), FoundCounts(0, 0, 0))
    percents = np.array([error for a in found for error in a.percents])
    absolute_N = np.abs(error_N)
    print(f"{len(found)} simulated frames of {SIDE_PX} x {SIDE_PX}")
    print(f"calibre >= 4 px: mean error {absolute_N.mean():.3f} px, bias {error_N.mean():+.3f} px, ", end="")
    print(f"{np.mean(absolute_N <= 0.5):.1%} within 0.5 px, {len(error_N)} places")
    print(f"bifurcations: F1 {counts.f1:.3f}, {counts}")
    if len(percents):
        print(f"narrowings: mean error {np.abs(percents).mean():.1f} points, ", end="")
        print(f"{int(np.sum(np.abs(percents) <= 10))} of {len(percents)} within 10")
    print(f"speed: {workers * len(found) / sum(a.seconds for a in found):.1f} frames/s of processor time x {workers}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    plans = plan_runs(options.runs, 3 * options.runs, options.seed)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        show(list(pool.map(judge, plans)), options.workers)


if __name__ == "__main__":
    main()
