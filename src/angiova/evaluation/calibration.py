"""Can the model's probabilities be taken at their word? Of the pixels it calls 80 % vessel, 80 % should be.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equations 2 to 5, over pixels and with the
probability of vessel, so that both errors count: vessel called background and background called vessel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import BaseModel, ConfigDict

from angiova.data.probabilities import NUM_BINS, ProbabilityLevels
from angiova.data.rle import Rle


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReliabilityBin(_Part):
    """Pixels to which the model gave a probability from `low` to below `high`.

    Attributes:
        num_pixels: how many.
        num_vessel: how many of them are foreground in the target.
        mean_probability: what the model said of them, on average; None without pixels.
    """

    low: float
    high: float
    num_pixels: int
    num_vessel: int
    mean_probability: float | None


class Calibration(_Part):
    """How far the model's probabilities can be taken at their word.

    Attributes:
        bins: the reliability curve, in order.
        ece: expected calibration error over all pixels; small wherever most of the image is plain background.
        ece_foreground: the same over pixels of probability 0.1 and more; None without any.
        num_cases: answers whose probabilities were kept.
        num_without: answers without probabilities (none kept, or judged absent); in no bin.
    """

    bins: list[ReliabilityBin]
    ece: float
    ece_foreground: float | None
    num_cases: int
    num_without: int


@dataclass(frozen=True, slots=True)
class BinCounts:
    """Pixels of one answer, or of many, by bin of probability.

    Attributes:
        num_pixels_10: how many.
        num_vessel_10: how many of them are foreground in the target.
        sum_10: sum of their probabilities.
    """

    num_pixels_10: tuple[int, ...]
    num_vessel_10: tuple[int, ...]
    sum_10: tuple[float, ...]


def count_bins(target: Rle, levels: ProbabilityLevels) -> BinCounts:
    """Count the pixels of each bin against a target of the same size, from run lengths alone."""
    inside = [coco_mask.merge([target.as_coco(), level.as_coco()], intersect=True) for level in levels.at_least]
    pixels_10 = _between([target.height * target.width, *(level.area_px for level in levels.at_least)])
    vessel_10 = _between([target.area_px, *(int(coco_mask.area(merged)) for merged in inside)])
    sums_10 = tuple(number * mean for number, mean in zip(pixels_10, levels.means, strict=True))
    return BinCounts(pixels_10, vessel_10, sums_10)


def calibration(counts: Sequence[BinCounts], num_without: int) -> Calibration | None:
    """Return the reliability curve and its errors over the pixels of all answers; None without any.

    Args:
        counts: of each answer.
        num_without: answers whose probabilities are not known.
    """
    if not counts:
        return None
    pixels_10 = np.sum([count.num_pixels_10 for count in counts], axis=0)
    vessel_10 = np.sum([count.num_vessel_10 for count in counts], axis=0)
    sum_10 = np.sum([count.sum_10 for count in counts], axis=0)
    gaps_10 = np.abs(vessel_10 - sum_10)  # pixels times |share of vessel - mean probability|
    num_foreground = int(pixels_10[1:].sum())
    return Calibration(
        bins=[_bin(k, int(pixels_10[k]), int(vessel_10[k]), float(sum_10[k])) for k in range(NUM_BINS)],
        ece=float(gaps_10.sum() / pixels_10.sum()),
        ece_foreground=float(gaps_10[1:].sum() / num_foreground) if num_foreground else None,
        num_cases=len(counts),
        num_without=num_without,
    )


def _between(at_least: Sequence[int]) -> tuple[int, ...]:
    """Return the number in each bin from those at and above each of its lower edges."""
    return tuple(number - above for number, above in zip(at_least, (*at_least[1:], 0), strict=True))


def _bin(index: int, num_pixels: int, num_vessel: int, total: float) -> ReliabilityBin:
    mean = total / num_pixels if num_pixels else None
    low, high = index / NUM_BINS, (index + 1) / NUM_BINS
    return ReliabilityBin(low=low, high=high, num_pixels=num_pixels, num_vessel=num_vessel, mean_probability=mean)
