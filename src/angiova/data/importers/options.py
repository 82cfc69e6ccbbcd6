"""What a user may tell an importer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from angiova.data.decoding.limits import DecodeLimits
from angiova.data.pixels import GreyImage, inverted
from angiova.data.records import Origin
from angiova.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the source's files don't say themselves, and how to treat them.

    Attributes:
        pattern: how image paths name patient, run and frame; see `angiova.data.importers.pattern`.
        phrase: what the masks show, for sources without names; default "blood vessels".
        origin: how the masks were made: manual, pseudo or simulated.
        bright_vessels: vessels are brighter than their surroundings; images are stored inverted, so that they are dark.
        reference: refer to the images where they lie instead of copying them.
        fix: repair what can be repaired safely; each repair becomes a finding.
        licence: licence of the data, for the record.
        key: file of the secret under which patients of DICOM files get other names; made where it is missing.
            Default: `angiova.data.importers.pseudonyms.default_key_path`.
        mask_burned_in: blank what looks like text in DICOM and video files.
        limits: what opening a DICOM or video file may use.

    Raises:
        ConfigError: `origin` is none of the three, or images that are referred to would have to be inverted.
    """

    pattern: str | None = None
    phrase: str | None = None
    origin: str = Origin.MANUAL.value
    bright_vessels: bool = False
    reference: bool = False
    fix: bool = False
    licence: str | None = None
    key: Path | None = None
    mask_burned_in: bool = False
    limits: DecodeLimits = field(default_factory=DecodeLimits)

    def __post_init__(self) -> None:
        if self.origin not in list(Origin):
            choices = ", ".join(Origin)
            raise ConfigError(f"unknown origin {self.origin!r}", where="--origin", remedy=f"choose one of {choices}")
        if self.bright_vessels and self.reference:
            problem = "images that are only referred to cannot be inverted"
            raise ConfigError(problem, where="--bright-vessels", remedy="leave --reference out")

    @property
    def target_origin(self) -> Origin:
        """`origin` as the manifest stores it."""
        return Origin(self.origin)

    def with_dark_vessels(self, grey_HW: GreyImage) -> GreyImage:
        """Return an image as it is stored: inverted where its vessels are bright."""
        return inverted(grey_HW) if self.bright_vessels else grey_HW

    def as_record(self) -> dict[str, Any]:
        """Return what the data set says of the options: all but where the key lies."""
        return {name: value for name, value in asdict(self).items() if name != "key"}
