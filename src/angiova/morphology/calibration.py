"""Millimetres from a catheter of known size, where the file says nothing of the spacing.

One French is a third of a millimetre of outer diameter. The catheter lies near the ostium: vessels nearer to the tube
appear larger than it does, by some per cent.
"""

from __future__ import annotations

from typing import Final

from angiova.data.rle import BoolMask
from angiova.errors import DataError
from angiova.morphology.measuring import measure_vessels

FRENCH_MM: Final = 1 / 3
MIN_LENGTH_PX: Final = 20.0


def catheter_spacing_mm(catheter_HW: BoolMask, french: float) -> float:
    """Return the distance of pixel centres in the plane of a catheter, in mm, rows and columns alike.

    Args:
        catheter_HW: mask of the catheter, (H, W).
        french: its outer diameter.

    Raises:
        DataError: `french` is not positive, or too little of the catheter is seen.
    """
    diameter_mm = french_mm(french)
    branches = measure_vessels(catheter_HW).branches
    longest = max(branches, key=lambda branch: branch.length_px, default=None)
    if longest is None or longest.length_px < MIN_LENGTH_PX or not longest.is_measured_N.any():
        raise DataError(
            f"less than {MIN_LENGTH_PX:g} px of catheter to calibrate by", remedy="give the spacing with --spacing"
        )
    return diameter_mm / longest.mean_calibre_px


def french_mm(french: float) -> float:
    """Return the outer diameter of a catheter in mm.

    Raises:
        DataError: `french` is not positive.
    """
    if not french > 0:
        raise DataError(f"a catheter of {french:g} French", remedy="give its outer diameter, often 5, 6 or 7")
    return french * FRENCH_MM
