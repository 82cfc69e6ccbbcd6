"""Every metric equals two independent computations on a thousand masks, ordinary and adversarial.

Overlap: scikit-learn and MONAI. Boundaries: MONAI and every pair of boundary pixels. Topology: scikit-image and SciPy.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.measure import euler_number, label
from skimage.morphology import skeletonize
from sklearn.metrics import jaccard_score, precision_recall_fscore_support

from angiova.data.rle import BoolMask
from angiova.evaluation.boundary import TOLERANCE_PX
from angiova.evaluation.geometry import MaskGeometry
from angiova.evaluation.scores import score_masks

NUM_PAIRS = 500  # of two masks each
SHAPE = (22, 27)
CROSS = ndimage.generate_binary_structure(2, 1)
EIGHT = np.ones((3, 3))
SPACING_MM = (0.3, 0.2)


def random_mask(random: np.random.Generator) -> BoolMask:
    """Return one of: noise, a few pixels, vessel-like walks, boxes at the rim, stripes, diagonals, the whole image."""
    mask = np.zeros(SHAPE, dtype=bool)
    kind = random.integers(0, 8)
    if kind == 0:
        mask = random.random(SHAPE) < random.uniform(0.05, 0.95)
    elif kind == 1:
        mask[random.integers(0, SHAPE[0], 3), random.integers(0, SHAPE[1], 3)] = True
    elif kind in (2, 3, 4):
        steps = np.cumsum(random.integers(-1, 2, (60, 2)), axis=0) + random.integers(0, 20, 2)
        mask[tuple(np.clip(steps, 0, np.array(SHAPE) - 1).T)] = True
        mask = ndimage.binary_dilation(mask, CROSS, iterations=int(random.integers(0, 3)) or -1) if kind < 4 else mask
    elif kind == 5:
        top, left = random.integers(0, 12, 2)
        mask[top : top + random.integers(1, 22), left : left + random.integers(1, 27)] = True
        mask[top + 2, left + 2] = False
    elif kind == 6:
        mask[:: random.integers(2, 5), :: random.integers(1, 4)] = True
    else:
        mask[np.eye(*SHAPE, k=int(random.integers(-5, 6)), dtype=bool)] = True
    return mask if mask.any() else ~mask


@pytest.fixture(scope="module")
def pairs() -> list[tuple[BoolMask, BoolMask]]:
    random = np.random.default_rng(20251119)
    found = [(random_mask(random), random_mask(random)) for _ in range(NUM_PAIRS // 2)]
    # The other half resemble each other, as a prediction does its target.
    for target, _ in found[: NUM_PAIRS // 2]:
        near = target ^ (random.random(SHAPE) < 0.03)
        found.append((target, near if near.any() else ~near))
    return found


@pytest.fixture(scope="module")
def scores(pairs: list[tuple[BoolMask, BoolMask]]) -> list[dict[str, float]]:
    return [dict(score_masks(*pair, spacing_mm=SPACING_MM).values or {}) for pair in pairs]


def tensors(pairs: list[tuple[BoolMask, BoolMask]]) -> tuple[torch.Tensor, torch.Tensor]:
    targets, predictions = (torch.tensor(np.stack(masks))[:, None].float() for masks in zip(*pairs, strict=True))
    return predictions, targets


def column(scores: list[dict[str, float]], name: str) -> list[float]:
    return [values[name] for values in scores]


def test_overlap_equals_scikit_learn(pairs: list[tuple[BoolMask, BoolMask]], scores: list[dict[str, float]]) -> None:
    for (target, prediction), values in zip(pairs, scores, strict=True):
        truth, answer = target.ravel(), prediction.ravel()
        precision, recall, f1, _ = precision_recall_fscore_support(truth, answer, average="binary", zero_division=0)
        expected = (precision, recall, f1, jaccard_score(truth, answer))
        found = (values["precision"], values["recall"], values["dice"], values["iou"])
        assert found == pytest.approx(expected, abs=1e-6)


def test_overlap_equals_monai(pairs: list[tuple[BoolMask, BoolMask]], scores: list[dict[str, float]]) -> None:
    predictions, targets = tensors(pairs)
    assert column(scores, "dice") == pytest.approx(compute_dice(predictions, targets)[:, 0].tolist(), abs=1e-6)
    assert column(scores, "iou") == pytest.approx(compute_iou(predictions, targets)[:, 0].tolist(), abs=1e-6)


# monai 1.6.1 calls its own deprecated option; gone in 1.7 (noted 2026-11-23)
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize(("unit", "spacing"), [("px", (1.0, 1.0)), ("mm", SPACING_MM)])
def test_boundaries_equal_monai(
    pairs: list[tuple[BoolMask, BoolMask]], scores: list[dict[str, float]], unit: str, spacing: tuple[float, float]
) -> None:
    predictions, targets = tensors(pairs)
    hd95 = compute_hausdorff_distance(predictions, targets, True, percentile=95, spacing=list(spacing))
    assert column(scores, f"hd95_{unit}") == pytest.approx(hd95[:, 0].tolist(), abs=1e-3)
    if unit == "px":
        assd = compute_average_surface_distance(predictions, targets, True, symmetric=True)
        nsd = compute_surface_dice(predictions, targets, [TOLERANCE_PX], include_background=True)
        assert column(scores, "assd_px") == pytest.approx(assd[:, 0].tolist(), abs=1e-3)
        assert column(scores, "nsd") == pytest.approx(nsd[:, 0].tolist(), abs=1e-3)


def test_boundaries_equal_every_pair_of_pixels(
    pairs: list[tuple[BoolMask, BoolMask]], scores: list[dict[str, float]]
) -> None:
    for (target, prediction), values in zip(pairs, scores, strict=True):
        outlines = [np.argwhere(mask & ~ndimage.binary_erosion(mask, CROSS)) for mask in (target, prediction)]
        table = cdist(*outlines)
        there, back = table.min(axis=1), table.min(axis=0)
        both = np.concatenate([there, back])
        assert values["hd95_px"] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-6)
        assert values["assd_px"] == pytest.approx(both.mean(), abs=1e-6)
        assert values["nsd"] == pytest.approx(np.mean(both <= TOLERANCE_PX), abs=1e-6)


def test_pieces_and_holes_equal_scikit_image_and_scipy(pairs: list[tuple[BoolMask, BoolMask]]) -> None:
    for mask, _ in pairs:
        found = MaskGeometry(mask)
        assert found.num_pieces == label(mask, connectivity=2).max() == ndimage.label(mask, EIGHT)[1]
        assert found.num_holes == ndimage.label(np.pad(~mask, 1, constant_values=True), CROSS)[1] - 1
        assert found.num_pieces - found.num_holes == euler_number(np.pad(mask, 1), connectivity=2)


def test_calibres_equal_the_distance_transform(pairs: list[tuple[BoolMask, BoolMask]]) -> None:
    for mask, _ in pairs:
        found, expected = MaskGeometry(mask), 2 * ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        np.testing.assert_array_equal(found.centreline_N2, np.argwhere(skeletonize(mask)))
        np.testing.assert_allclose(found.calibres_N, expected[tuple(found.centreline_N2.T)])


def test_cldice_equals_set_arithmetic(pairs: list[tuple[BoolMask, BoolMask]], scores: list[dict[str, float]]) -> None:
    for (target, prediction), values in zip(pairs, scores, strict=True):
        lines = [set(map(tuple, np.argwhere(skeletonize(mask)))) for mask in (target, prediction)]
        areas = [set(map(tuple, np.argwhere(mask))) for mask in (target, prediction)]
        sensitivity, precision = (len(lines[i] & areas[1 - i]) / len(lines[i]) for i in (0, 1))
        expected = 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0
        assert values["cldice"] == pytest.approx(expected, abs=1e-6)
