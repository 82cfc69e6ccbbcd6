"""The plain data that everything downstream of the importers works on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum

from angiova.data.probabilities import ProbabilityLevels
from angiova.data.rle import Rle


class TargetKind(StrEnum):
    """What a target mask shows."""

    VESSEL_TREE = "vessel_tree"
    SEGMENT = "segment"
    STENOSIS = "stenosis"
    CATHETER = "catheter"
    OTHER = "other"


class Origin(StrEnum):
    """How a target mask came to be."""

    MANUAL = "manual"
    PSEUDO = "pseudo"
    SIMULATED = "simulated"


class Split(StrEnum):
    """The part of a data set that a frame belongs to."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Target:
    """One labelled object of a frame.

    An empty mask means *labelled and absent*; an object that nobody labelled has no target at all.

    Attributes:
        phrase: what a user would ask for, in lower case apart from abbreviations, e.g. ``"proximal LAD"``.
        kind: what the mask shows.
        mask: the mask at image resolution.
        origin: how the mask was made.
        observer: who drew it, where known.
        segment: SYNTAX segment number such as ``"9a"``, for targets of kind SEGMENT.
    """

    phrase: str
    kind: TargetKind
    mask: Rle
    origin: Origin
    observer: str | None = None
    segment: str | None = None


@dataclass(frozen=True, slots=True)
class Photometry:
    """Facts about the grey values of the source file.

    Attributes:
        bits: bits stored a sample in the source.
        channels: samples a pixel in the source.
        inverted: whether vessels are *bright* in the source (MONOCHROME1 shown as stored; not fundus).
    """

    bits: int = 8
    channels: int = 1
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame with its targets.

    Attributes:
        frame_id: unique in its data set, and safe as a file name.
        image: the image file, relative to the data set's folder or absolute when referenced.
        height: rows, in pixels.
        width: columns, in pixels.
        source: the file that the frame came from, as the importer saw it.
        source_sha256: SHA-256 of that file (or of the generated pixels).
        run: one cine; frames of a run share it.
        frame: index of the frame in its run, from 0.
        patient: patient identifier; None where the source gives none.
        study: study identifier, where known.
        time_s: seconds from the start of the run, where known.
        spacing_mm: (row, column) distance of pixel centres in the plane of the vessel, where known.
        angles_deg: (primary, secondary) positioner angles; LAO and cranial positive, where known.
        photometry: facts about the grey values of the source.
        field_of_view: where the image is valid, where known (fundus camera, collimator).
        targets: the labelled objects.
        split: the part the frame belongs to, once split or where the publisher fixed it.
    """

    frame_id: str
    image: str
    height: int
    width: int
    source: str
    source_sha256: str
    run: str
    frame: int = 0
    patient: str | None = None
    study: str | None = None
    time_s: float | None = None
    spacing_mm: tuple[float, float] | None = None
    angles_deg: tuple[float, float] | None = None
    photometry: Photometry = field(default_factory=Photometry)
    field_of_view: Rle | None = None
    targets: tuple[Target, ...] = ()
    split: Split | None = None

    def only(self, phrases: Collection[str] | None) -> FrameRecord:
        """Return the frame with the targets of these phrases alone; None keeps all."""
        if phrases is None:
            return self
        return replace(self, targets=tuple(target for target in self.targets if target.phrase in phrases))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered to one phrase on one frame.

    Attributes:
        frame_id: the frame asked about.
        phrase: the phrase asked for.
        mask: the answer at image resolution; None when the model gave no mask at all.
        presence: probability that the object is there, between 0 and 1.
        text: the words of the answer.
        levels: the probabilities behind the mask, where they were kept; None also for an object judged absent.
    """

    frame_id: str
    phrase: str
    mask: Rle | None
    presence: float
    text: str = ""
    levels: ProbabilityLevels | None = None


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a check, an importer or an audit noticed.

    Attributes:
        code: stable identifier such as ``"mask-size-mismatch"``.
        severity: how much it matters.
        where: the file, frame or field concerned.
        message: what was seen.
        remedy: what to do about it.
        repaired: whether `--fix` already took care of it.
    """

    code: str
    severity: Severity
    where: str
    message: str
    remedy: str = ""
    repaired: bool = False
