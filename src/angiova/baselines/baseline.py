"""What all baselines have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a baseline draws on one image.

    Attributes:
        mask_HW: the mask.
        probability_HW: the probability of each pixel; None for a method that has none (a filter's answer is none).
    """

    mask_HW: BoolMask
    probability_HW: npt.NDArray[np.float32] | None = None


class Baseline(Protocol):
    """A method that draws one kind of thing and takes no words."""

    @property
    def phrase(self) -> str:
        """What it draws."""

    @property
    def images_a_call(self) -> int:
        """How many images it should get at once, at least, where there are as many."""

    def segment(self, images: Sequence[GreyImage], threshold: float) -> list[Drawing]:
        """Return what is drawn on each image; the mask is where its probability is above `threshold`."""
