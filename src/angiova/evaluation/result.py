"""What an evaluation states, in a form that is written to `evaluation.json` and read back unchanged."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from angiova.data.records import Finding, Severity, Split
from angiova.evaluation.cases import Case

FORMAT: Final = "angiova-evaluation/1"

DEFINITIONS: Final = {
    "dice": "2 TP / (2 TP + FP + FN) over all pixels of the image; also called F1",
    "iou": "TP / (TP + FP + FN)",
    "precision": "TP / (TP + FP)",
    "recall": "TP / (TP + FN)",
    "specificity": "TN / (TN + FP)",
    "accuracy": "(TP + TN) / all pixels",
    "cldice": "harmonic mean of the shares of each hard skeleton inside the other mask (Shit et al., CVPR 2021)",
    "empty": "absent from target and answer: in no mean, counted; missed, false or unanswered: every metric 0",
    "frame": "targets of a frame are averaged, then mean and sample standard deviation over frames",
    "patient": "frames averaged in a run, runs in a patient; mean, sample standard deviation and 95 % interval by "
    "Student's t over patients, not clipped to 0..1",
    "challenge_f1": "Dice of every named segment asked, averaged in each image, then over images",
    "chance": "Dice of a named segment's target with the answers for the other segments present in the same frame",
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(_Part):
    """Mean and sample standard deviation (n - 1) of `n` values; the deviation of one value is None, not 0."""

    n: int
    mean: float
    sd: float | None


class Interval(Spread):
    """A spread with its 95 % confidence interval of the mean; None below two values."""

    low: float | None
    high: float | None


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


class Picture(_Part):
    """One comparison picture, a file of `comparisons/`."""

    file: str
    role: Literal["best", "median", "worst", "random"]
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
        definitions: of every metric and rule, in words.
        cases: every case; written to frames.csv, not to evaluation.json.
    """

    format: Literal["angiova-evaluation/1"] = FORMAT
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
    findings: list[Finding]
    pictures: list[Picture]
    definitions: dict[str, str] = Field(default_factory=lambda: dict(DEFINITIONS))
    cases: tuple[Case, ...] = Field(default=(), exclude=True, repr=False)

    @property
    def is_trustworthy(self) -> bool:
        """Whether no finding says that the figures cannot be right."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)
