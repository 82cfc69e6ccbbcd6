"""What is let through of a DICOM header: nothing that is not listed here leaves the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

# Times are few digits and frames are many; the decoding process caps both before it answers.
_PAIRS: Final = ("spacing_mm", "angles_deg")


@dataclass(frozen=True, slots=True)
class DicomFacts:
    """The facts of one image file.

    The four identifiers are only ever hashed with the user's key; they reach no output.

    Attributes:
        patient: Patient ID, or name and date of birth where there is none.
        study: Study Instance UID.
        series: Series Instance UID.
        instance: SOP Instance UID.
        acquisition: Acquisition Number.
        number: Instance Number.
        height: rows, in pixels.
        width: columns, in pixels.
        num_frames: frames in the file.
        bits: bits stored a sample.
        channels: samples a pixel.
        inverted: whether it is stored as MONOCHROME1.
        needs_range: more than 8 bits and no window: the range of values in the run decides what is black and white.
        times_s: seconds from the first frame, one a frame, where the file says.
        spacing_mm: (row, column) spacing in the plane of the patient, where the file says.
        angles_deg: (primary, secondary) positioner angles, LAO and cranial positive, where they are constant.
        says_burned_in: the header says itself that text is burned in.
        notes: short codes of facts that were there and could not be used.
    """

    patient: str | None
    study: str | None
    series: str | None
    instance: str
    acquisition: int | None
    number: int | None
    height: int
    width: int
    num_frames: int
    bits: int
    channels: int
    inverted: bool
    needs_range: bool
    times_s: tuple[float, ...] | None
    spacing_mm: tuple[float, float] | None
    angles_deg: tuple[float, float] | None
    says_burned_in: bool
    notes: tuple[str, ...]

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return the facts that `dataclasses.asdict` and JSON made of them."""
        pairs = {name: None if fields[name] is None else (fields[name][0], fields[name][1]) for name in _PAIRS}
        times_s = None if fields["times_s"] is None else tuple(fields["times_s"])
        return cls(**{**fields, **pairs, "times_s": times_s, "notes": tuple(fields["notes"])})
