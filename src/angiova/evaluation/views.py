"""Where the C-arm stood, in the words of the catheter laboratory.

Positive angles are LAO and cranial, as in DICOM PS3.3 section C.8.7.5, Positioner Primary and Secondary Angle.
"""

from __future__ import annotations

from typing import Final

STRAIGHT_DEG: Final = 10.0  # what is nearer to 0 than this is called straight


def view_of(primary_deg: float, secondary_deg: float) -> str:
    """Return a name such as ``"LAO cranial"``, ``"RAO"`` or ``"AP"`` for two positioner angles in degrees."""
    side = "" if abs(primary_deg) < STRAIGHT_DEG else "LAO" if primary_deg > 0 else "RAO"
    tilt = "" if abs(secondary_deg) < STRAIGHT_DEG else "cranial" if secondary_deg > 0 else "caudal"
    return " ".join(filter(None, (side or "AP", tilt)))
