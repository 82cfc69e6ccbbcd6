"""What an evaluation states, in a form that is written to `evaluation.json` and read back unchanged."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from angiova.data.records import Finding, Severity, Split, TargetKind
from angiova.evaluation.boundary import TOLERANCE_MM, TOLERANCE_PX
from angiova.evaluation.branches import CalibreClass
from angiova.evaluation.calibration import Calibration
from angiova.evaluation.cases import Case
from angiova.evaluation.metrics import ALL_METRICS, DEFINITIONS, Better, Unit

FORMAT: Final = "angiova-evaluation/2"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(_Part):
    """Mean and sample standard deviation (n - 1) of `n` values; the deviation of one value is None, not 0."""

    n: int
    mean: float
    sd: float | None


class Interval(Spread):
    """A spread with its 95 % confidence interval of the mean; None below two values.

    Attributes:
        method: how the interval was made: Student's t, or the BCa bootstrap; None where there is none.
    """

    low: float | None
    high: float | None
    method: Literal["t", "bca"] | None = None


class MetricSummary(_Part):
    """One metric over frames and, where every frame has a patient, over patients."""

    frame: Spread
    patient: Interval | None


class GroupSummary(_Part):
    """One kind, phrase or segment.

    Attributes:
        num_targets: everything asked.
        num_scored: those in the means: compared, missed, false or unanswered.
        num_missed: present in the target, and the answer is empty or lacking; scored 0.
        num_false: absent from the target, and answered with a mask; scored 0.
        num_absent: absent from target and answer; in no mean.
        num_unanswered: no answer at all, whatever the target; scored 0.
        num_frames: frames in the means.
        num_patients: patients in the means; None where a frame has no patient.
        metrics: by name; empty when nothing was scored.
    """

    num_targets: int
    num_scored: int
    num_missed: int
    num_false: int
    num_absent: int
    num_unanswered: int
    num_frames: int
    num_patients: int | None
    metrics: dict[str, MetricSummary]


class CalibreSummary(_Part):
    """Branches of one calibre class, over all targets of one kind.

    Attributes:
        num_branches: branches of the targets.
        num_found: of how many at least half of the centreline was found.
        length_px: pixels of their centrelines.
        covered_px: of these, how many were found.
        recall: share of the centreline found in each target, averaged as every metric is.
    """

    num_branches: int
    num_found: int
    length_px: int
    covered_px: int
    recall: MetricSummary


class LeakageFacts(_Part):
    """What the evaluated frames share with those that the model was trained on.

    Attributes:
        num_training_frames: frames compared with.
        num_shared_patients: patients in both.
        num_shared_files: evaluated frames whose source file or whose very pixels were trained on.
        num_near_duplicates: other evaluated frames that show nearly the same as one trained on.
    """

    num_training_frames: int
    num_shared_patients: int
    num_shared_files: int
    num_near_duplicates: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing is shared."""
        return not (self.num_shared_patients or self.num_shared_files or self.num_near_duplicates)


class MetricFacts(_Part):
    """What a metric counts and which way is better."""

    unit: Unit
    better: Better


def _metric_facts() -> dict[str, MetricFacts]:
    return {metric.name: MetricFacts(unit=metric.unit, better=metric.better) for metric in ALL_METRICS}


class ChanceLevel(_Part):
    """Whether the answers follow the name that was asked for.

    Over frames with at least two named segments present. `asked` is the mean Dice of each segment with its own answer,
    `chance` with the answers for the other segments, `margin` their difference; `interval` is the 95 % interval of the
    margin over `unit`.

    Attributes:
        chance_by_segment: chance Dice by SYNTAX number, mean over frames.
    """

    num_frames: int
    num_pairs: int
    asked: float
    chance: float
    margin: float
    unit: Literal["patient", "frame"]
    interval: Interval
    chance_by_segment: dict[str, float]

    @property
    def is_better_than_chance(self) -> bool:
        """Whether the whole interval of the margin lies above 0."""
        return self.interval.low is not None and self.interval.low > 0


PictureRole = Literal["best", "median", "worst", "random", "failure"]


class Picture(_Part):
    """One comparison picture, a file of `comparisons/`."""

    file: str
    role: PictureRole
    frame_id: str
    phrase: str
    observer: str | None
    dice: float
    cldice: float


class Evaluation(_Part):
    """What was measured, on what, and what is doubtful about it.

    Attributes:
        manifest_sha256: of the data set evaluated on; equal to the training run's when it is the same data set.
        split: the part evaluated.
        frames_are_independent: the user stated that frames without patient ids are independent.
        phrases_asked: all that the model can be asked for; targets of other phrases are in no figure. None: anything.
        num_frames: frames with targets in the split.
        num_patients: patients in the split; None where any frame has none, and then only frame figures are given.
        num_patients_in_training: of these, how many also have frames in the train split.
        origins: number of targets by how they were made.
        num_missing_predictions: targets without any answer; each scored 0.
        num_unasked_predictions: answers to phrases that nobody labelled on that frame; not scored.
        kinds: by target kind.
        phrases: by phrase.
        segments: by SYNTAX number.
        challenge_f1: the ARCADE challenge's figure, see `angiova.evaluation.evaluate.challenge_f1`.
        chance: None where no frame has two named segments.
        main_kind: the vessel tree, or else the first kind with scores: what `patients`, `phases` and `views` are of,
            since a mean over trees and segments together would say nothing.
        patients: by patient; empty where any frame has none.
        phases: by phase of the contrast; empty where no run is labelled densely enough to tell.
        views: by position of the C-arm; empty where no frame states its angles.
        calibres: by kind and calibre class, for kinds with centrelines.
        calibration: by kind, where the predictions kept probabilities.
        leakage: None where nobody knows what the model was trained on.
        tolerance_px: of nsd.
        tolerance_mm: of nsd_mm.
        metric_facts: unit and direction of every metric.
        definitions: of every metric and rule, in words.
        cases: every case; written to frames.csv, not to evaluation.json.
    """

    format: Literal["angiova-evaluation/2"] = FORMAT
    angiova_version: str
    dataset: str
    manifest_sha256: str
    split: Split
    frames_are_independent: bool
    phrases_asked: tuple[str, ...] | None = None
    num_frames: int
    num_patients: int | None
    num_patients_in_training: int | None
    origins: dict[str, int]
    num_missing_predictions: int
    num_unasked_predictions: int
    kinds: dict[str, GroupSummary]
    phrases: dict[str, GroupSummary]
    segments: dict[str, GroupSummary]
    challenge_f1: MetricSummary | None
    chance: ChanceLevel | None
    main_kind: TargetKind | None = None
    patients: dict[str, GroupSummary] = Field(default_factory=dict)
    phases: dict[str, GroupSummary] = Field(default_factory=dict)
    views: dict[str, GroupSummary] = Field(default_factory=dict)
    calibres: dict[TargetKind, dict[CalibreClass, CalibreSummary]] = Field(default_factory=dict)
    calibration: dict[TargetKind, Calibration] = Field(default_factory=dict)
    leakage: LeakageFacts | None = None
    tolerance_px: float = TOLERANCE_PX
    tolerance_mm: float = TOLERANCE_MM
    metric_facts: dict[str, MetricFacts] = Field(default_factory=_metric_facts)
    findings: list[Finding]
    pictures: list[Picture]
    definitions: dict[str, str] = Field(default_factory=lambda: dict(DEFINITIONS))
    cases: tuple[Case, ...] = Field(default=(), exclude=True, repr=False)

    @property
    def is_trustworthy(self) -> bool:
        """Whether no finding says that the figures cannot be right."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)
