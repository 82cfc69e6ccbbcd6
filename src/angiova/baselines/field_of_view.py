"""Where an angiogram shows the patient: everything but the dark shutters of the collimator.

Their edges are the strongest lines of many frames; a filter that looks for lines must not see them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from angiova.data.pixels import GreyImage
from angiova.data.rle import BoolMask

# A shutter is darker than this share of the frame's median, after smoothing away single pixels.
SHUTTER_SHARE: Final = 0.4
SMOOTHING_PX: Final = 1.5
# Dark things narrower than this are vessels and catheters, also where they leave the frame.
MIN_SHUTTER_PX: Final = 17


@dataclass(frozen=True, slots=True)
class FieldOfView:
    """The valid part of a frame.

    Attributes:
        inside_HW: where the patient is seen.
        depth_HW: distance to the nearest pixel outside, in pixels; infinite everywhere when all is inside.
    """

    inside_HW: BoolMask
    depth_HW: npt.NDArray[np.float64]

    def fill(self, image_HW: GreyImage) -> GreyImage:
        """Return the image with each pixel outside replaced by the nearest one inside."""
        if self.inside_HW.all():
            return image_HW
        rows, columns = ndimage.distance_transform_edt(~self.inside_HW, return_distances=False, return_indices=True)
        return np.asarray(image_HW[rows, columns])


def field_of_view(image_HW: GreyImage) -> FieldOfView:
    """Find the field of view of an 8-bit grey frame: wide dark areas that touch the frame's border are outside.

    The border of the frame itself is no edge of the view. A frame that is dark all over is inside as a whole.
    """
    smooth_HW = ndimage.gaussian_filter(image_HW.astype(np.float32), SMOOTHING_PX)
    dark_HW = smooth_HW < SHUTTER_SHARE * np.median(image_HW)
    inside_HW = ~_wide_parts_at_border(dark_HW)
    if inside_HW.all() or not inside_HW.any():
        return FieldOfView(np.ones_like(dark_HW), np.full(image_HW.shape, np.inf))
    return FieldOfView(inside_HW, ndimage.distance_transform_edt(inside_HW))


def _wide_parts_at_border(dark_HW: BoolMask) -> BoolMask:
    """Return what stays of the dark area when a square is rolled through it, as far as it hangs on the border.

    Beyond the border counts as dark, so a shutter that shows only two pixels is wide enough.
    """
    margin = MIN_SHUTTER_PX
    padded = np.pad(dark_HW, margin, constant_values=True)
    opened = ndimage.maximum_filter(ndimage.minimum_filter(padded, MIN_SHUTTER_PX), MIN_SHUTTER_PX)
    parts, _ = ndimage.label(opened)
    return np.asarray((parts == parts[0, 0])[margin:-margin, margin:-margin])
