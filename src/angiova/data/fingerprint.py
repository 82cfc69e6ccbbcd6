"""What a data set is made of: sizes, grey levels, calibres and areas, gathered frame by frame in bounded memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, find_objects
from skimage.morphology import skeletonize

from angiova.data.pixels import GreyImage
from angiova.data.records import FrameRecord, TargetKind
from angiova.data.rle import BoolMask, decode

FORMAT: Final = "angiova-fingerprint/1"
PERCENTILES: Final = (0.5, 5, 25, 50, 75, 95, 99.5)
CALIBRE_STEP_PX: Final = 0.25
CALIBRE_STEP_MM: Final = 0.05
GREY_LEVELS: Final = 256

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def calibres_px(mask_HW: BoolMask) -> Floats:
    """Return the calibre in pixels at every pixel of the skeleton of a mask (H, W).

    The calibre is twice the Euclidean distance to the centre of the nearest background pixel, the usual definition:
    right for even widths, and one pixel too much for odd ones. What lies beyond the image counts as background.
    """
    boxes = find_objects(mask_HW.astype(np.int8))
    if not boxes:
        return np.empty(0)
    padded_HW = np.pad(mask_HW[boxes[0]], 1)
    return np.asarray(2 * distance_transform_edt(padded_HW)[skeletonize(padded_HW)])


@dataclass(slots=True)
class Distribution:
    """Counts of values in bins of equal width from 0 on, from which percentiles come without keeping the values."""

    step: float
    counts: Counts

    @classmethod
    def with_step(cls, step: float) -> Distribution:
        """Return an empty distribution with bins `step` wide."""
        return cls(step, np.zeros(0, dtype=np.int64))

    def add(self, values: npt.NDArray[np.generic]) -> None:
        """Count non-negative `values`, each in the bin whose centre is nearest."""
        bins = np.rint(values.astype(np.float64).ravel() / self.step).astype(np.int64)
        added = np.bincount(bins, minlength=len(self.counts))
        added[: len(self.counts)] += self.counts
        self.counts = added

    def summary(self) -> dict[str, Any] | None:
        """Return number, mean, extremes and percentiles, to the width of a bin; None without values."""
        number = int(self.counts.sum())
        if number == 0:
            return None
        values, below = np.arange(len(self.counts)) * self.step, np.cumsum(self.counts)
        present = values[self.counts > 0]
        at = [float(values[np.searchsorted(below, p / 100 * number)]) for p in PERCENTILES]
        return _described(number, float(np.average(values, weights=self.counts)), present[0], present[-1], at)


class Fingerprint:
    """Gathers the facts; `add` each frame, then read `as_json`."""

    def __init__(self) -> None:
        self._sizes: Counter[str] = Counter()
        self._spacings: Counter[str] = Counter()
        self._phrases: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._origins: Counter[str] = Counter()
        self._splits: Counter[str] = Counter()
        self._runs: Counter[str] = Counter()
        self._patients: Counter[str] = Counter()
        self._levels = np.zeros(GREY_LEVELS, dtype=np.int64)
        self._calibre_px = Distribution.with_step(CALIBRE_STEP_PX)
        self._calibre_mm = Distribution.with_step(CALIBRE_STEP_MM)
        self._areas_px: dict[str, list[int]] = defaultdict(list)

    def add(self, record: FrameRecord, image_HW: GreyImage | None, calibre_px: Floats) -> None:
        """Add one frame, its image (H, W) where it could be read, and the calibres of its vessel tree in pixels."""
        self._add_counts(record)
        if image_HW is not None:
            self._levels += np.bincount(image_HW.ravel(), minlength=GREY_LEVELS)
        self._calibre_px.add(calibre_px)
        if record.spacing_mm is not None:
            # The geometric mean: exact for square pixels, and within their aspect for others.
            self._calibre_mm.add(calibre_px * float(np.sqrt(record.spacing_mm[0] * record.spacing_mm[1])))

    def _add_counts(self, record: FrameRecord) -> None:
        self._sizes[f"{record.height} x {record.width}"] += 1
        self._spacings["unknown" if record.spacing_mm is None else "{:g} x {:g}".format(*record.spacing_mm)] += 1
        self._splits[record.split.value if record.split else "none"] += 1
        self._runs[record.run] += 1
        if record.patient is not None:
            self._patients[record.patient] += 1
        for target in record.targets:
            self._phrases[target.phrase] += 1
            self._kinds[target.kind.value] += 1
            self._origins[target.origin.value] += 1
            self._areas_px[target.kind.value].append(target.mask.area_px)

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain values, keys sorted, so that the same data give the same file."""
        return {
            "format": FORMAT,
            "num_frames": sum(self._runs.values()),
            "num_runs": len(self._runs),
            "num_patients": len(self._patients),
            "frames_by_size_px": _sorted(self._sizes),
            "frames_by_spacing_mm": _sorted(self._spacings),
            "frames_by_split": _sorted(self._splits),
            "frames_per_run": _summary(list(self._runs.values())),
            "frames_per_patient": _summary(list(self._patients.values())),
            "grey_levels": {**(Distribution(1, self._levels).summary() or {}), "histogram": self._levels.tolist()},
            "targets_by_kind": _sorted(self._kinds),
            "targets_by_origin": _sorted(self._origins),
            "targets_by_phrase": _sorted(self._phrases),
            "area_px_by_kind": {kind: _summary(areas) for kind, areas in sorted(self._areas_px.items())},
            "calibre_px": self._calibre_px.summary(),
            "calibre_mm": self._calibre_mm.summary(),
        }


def tree_calibres_px(record: FrameRecord) -> Floats:
    """Return the calibres, in pixels, of the first vessel tree of a frame; none where it has no tree."""
    tree = next((target for target in record.targets if target.kind is TargetKind.VESSEL_TREE), None)
    return np.empty(0) if tree is None else calibres_px(decode(tree.mask))


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _summary(values: Sequence[int]) -> dict[str, Any] | None:
    if not values:
        return None
    at = np.percentile(values, PERCENTILES, method="inverted_cdf").tolist()
    return _described(len(values), float(np.mean(values)), min(values), max(values), at)


def _described(number: int, mean: float, least: float, most: float, at: Sequence[float]) -> dict[str, Any]:
    percentiles = {f"p{p:g}": round(float(value), 4) for p, value in zip(PERCENTILES, at, strict=True)}
    return {"number": number, "mean": round(mean, 4), "min": float(least), "max": float(most), **percentiles}
