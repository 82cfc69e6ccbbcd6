"""How many 512 x 512 frames a second the metrics take, beside MONAI on the part of them that it has.

    python benchmarks/metrics.py --frames 40 --workers 2

Targets are simulated vessel trees; predictions are the same trees shifted, thinned or thickened, and cut.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from scipy import ndimage

from angiova.data import rle
from angiova.data.records import TargetKind
from angiova.data.rle import BoolMask
from angiova.evaluation import boundary, overlap
from angiova.evaluation.geometry import MaskGeometry
from angiova.evaluation.scores import score_masks
from angiova.simulate import simulate

Pair = tuple[BoolMask, BoolMask]
SIDE_PX = 512


def make_pairs(num_frames: int, seed: int = 0) -> list[Pair]:
    """Return targets with predictions that resemble them, (512, 512) each."""
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        manifest = simulate(Path(folder) / "data", num_runs=10, num_frames=num_frames, seed=seed, size_px=SIDE_PX)
        trees = [t.mask for r in manifest.records() for t in r.targets if t.kind is TargetKind.VESSEL_TREE]
        return [(mask, spoilt(mask, random)) for mask in map(rle.decode, trees) if mask.any()]


def spoilt(mask_HW: BoolMask, random: np.random.Generator) -> BoolMask:
    """Return a mask shifted by up to two pixels, thinned or thickened by one, with a stripe cut out."""
    changed = random.choice([ndimage.binary_erosion, ndimage.binary_dilation])(mask_HW)
    changed = np.roll(changed, random.integers(-2, 3, 2), axis=(0, 1))
    column = random.integers(0, SIDE_PX - 40)
    changed[:, column : column + random.integers(5, 40)] = False
    return changed if changed.any() else mask_HW


def ours(pair: Pair) -> None:
    score_masks(*pair, spacing_mm=(0.25, 0.25))


def ours_shared(pair: Pair) -> None:
    """Only what MONAI has too: Dice, IoU, surface Dice, HD95, mean surface distance."""
    counts = overlap.confusion(*pair)
    overlap.dice(counts), overlap.iou(counts)
    found = boundary.boundary_distances(MaskGeometry(pair[0]), MaskGeometry(pair[1]))
    boundary.nsd(found, boundary.TOLERANCE_PX), boundary.hd95(found), boundary.assd(found)


def monai_shared(pair: Pair) -> None:
    target, prediction = (torch.from_numpy(mask)[None, None].float() for mask in pair)
    compute_dice(prediction, target), compute_iou(prediction, target)
    compute_surface_dice(prediction, target, [boundary.TOLERANCE_PX], include_background=True)
    compute_hausdorff_distance(prediction, target, True, percentile=95)
    compute_average_surface_distance(prediction, target, True, symmetric=True)


def quiet() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)


def rate(measure: Callable[[Pair], None], pairs: Sequence[Pair], pool: ProcessPoolExecutor, workers: int) -> float:
    """Return frames a second of processor time, times the workers, after a first pass that loads everything.

    Processor time, so that other work on the machine does not count.
    """
    list(pool.map(measure, pairs[: 2 * workers]))
    seconds = sum(pool.map(partial(_seconds, measure), [pairs[i::workers] for i in range(workers)]))
    return workers * len(pairs) / seconds


def _seconds(measure: Callable[[Pair], None], pairs: Sequence[Pair]) -> float:
    started = time.process_time()
    for pair in pairs:
        measure(pair)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    quiet()
    pairs = make_pairs(options.frames)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"), initializer=quiet) as pool:
        rates = {f.__name__: rate(f, pairs, pool, options.workers) for f in (ours, ours_shared, monai_shared)}
    print(f"{len(pairs)} frames of {SIDE_PX} x {SIDE_PX}, {options.workers} processes")
    for name, per_second in rates.items():
        print(f"{name:14} {per_second:7.1f} frames/s")
    print(f"ours / MONAI on the shared part: {rates['ours_shared'] / rates['monai_shared']:.1f}")


if __name__ == "__main__":
    main()
