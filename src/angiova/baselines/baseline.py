"""What all baselines have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask


class Baseline(Protocol):
    """A method that draws one kind of thing and takes no words."""

    @property
    def phrase(self) -> str:
        """What it draws."""

    @property
    def images_a_call(self) -> int:
        """How many images it should get at once, at least, where there are as many."""

    def segment(self, images: Sequence[GreyImage], threshold: float) -> list[BoolMask]:
        """Return the mask of each image, (H, W), where its probability is above `threshold`."""
