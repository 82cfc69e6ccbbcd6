"""A probability map in few bytes: the masks of pixels at and above 0.1, 0.2 ... 0.9, and the mean inside each bin.

With these, and a target, calibration can be computed again without the map: how many pixels of each bin are vessel, and
what the model said of them on average. Nine run-length masks take a few times the room of the answer itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from angiova.data import rle
from angiova.data.rle import Rle

NUM_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class ProbabilityLevels:
    """A probability map of an image, in ten bins of equal width.

    Attributes:
        at_least: the pixels of probability k / 10 and more, for k from 1 to 9; each lies in the one before.
        means: mean probability of the pixels of each bin, from the lowest; 0 for a bin without pixels.
    """

    at_least: tuple[Rle, ...]
    means: tuple[float, ...]


def levels_of(probabilities_HW: npt.NDArray[np.floating]) -> ProbabilityLevels:
    """Return the levels of a map of shape (H, W) with values from 0 to 1; 1 itself is in the highest bin."""
    bins_HW = np.minimum((probabilities_HW * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    num_10 = np.bincount(bins_HW.ravel(), minlength=NUM_BINS)
    sums_10 = np.bincount(bins_HW.ravel(), weights=probabilities_HW.ravel(), minlength=NUM_BINS)
    return ProbabilityLevels(
        at_least=tuple(rle.encode(bins_HW >= level) for level in range(1, NUM_BINS)),
        means=tuple((sums_10 / np.maximum(num_10, 1)).tolist()),
    )
