"""What a run writes about itself: `run.json`, from which every report is made.

    RUN/
      run.json                   the record below
      metrics.jsonl              one line a logged step: optimizer_step, samples_seen, lr, each loss, seconds
      recipe.yaml                the recipe, every default written out
      checkpoints/checkpoint-N/  one folder a checkpoint, after N optimizer steps; counts once complete.json is there
      training_frames.parquet    patient, hashes and thumbnail of every frame trained on, so that tests can be refused
      evaluation/                evaluation.json, frames.csv, predictions.parquet, comparisons/*.png
      comparison/                comparison.json: this model beside others on the same frames
      questions/                 questions.json, questions.md and pictures of wrong answers, of answers in words
      tensorboard/               curves for TensorBoard, unless the recipe says no
      nnunet/                    nnU-Net's own folders, for the baseline of that name
      report.html, report.md     the report; report_files/ holds the pictures of report.md
      report.json, model_card.md the report as data, and the model card

A *micro-step* is one forward and backward pass on one device; an *optimizer step* ends an accumulation;
*samples seen* counts samples over all devices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from angiova.errors import DataError
from angiova.files import read_json, write_json

FORMAT: Final = "angiova-run/1"
RUN_NAME: Final = "run.json"
METRICS_NAME: Final = "metrics.jsonl"
EVALUATION_DIR: Final = "evaluation"
COMPARISON_DIR: Final = "comparison"
QUESTIONS_DIR: Final = "questions"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelPart(_Part):
    """Parameters of one part of the model, counted whole (never one shard)."""

    name: str
    total: int
    trainable: int
    num_bytes: int


class SplitFacts(_Part):
    """What one split of the training data holds."""

    frames: int
    patients: int | None
    targets: int
    frame_ids_sha256: str
    runs: int | None = None


class OtherDataFacts(_Part):
    """Another data set that was mixed in: its share of the samples, and the frames that it gave."""

    folder: str
    manifest_sha256: str
    share: float
    trained: SplitFacts
    importer: str | None = None
    source: str | None = None
    licence: str | None = None


class DataFacts(_Part):
    """The data set trained on, and where it says it came from.

    `training_frames_sha256` is of training_frames.parquet: patient, hashes and thumbnail of every frame trained on,
    those of other data sets and of the run that this one started from included. None in runs of versions before it.
    """

    folder: str
    manifest_sha256: str
    frames_are_independent: bool
    splits: dict[str, SplitFacts]
    importer: str | None = None
    source: str | None = None
    licence: str | None = None
    training_frames_sha256: str | None = None
    also: list[OtherDataFacts] = Field(default_factory=list)


class Progress(_Part):
    """How far training came."""

    samples_seen: int = 0
    micro_steps: int = 0
    optimizer_steps: int = 0
    planned_optimizer_steps: int = 0


class LossFacts(_Part):
    """One loss over the run: its weight in the sum, and its mean over the first and last logged steps."""

    weight: float
    first: float
    last: float


class Checkpoint(_Part):
    """One checkpoint on disk."""

    path: str
    role: str
    optimizer_step: int
    num_bytes: int
    sha256: str
    validation: dict[str, float] = Field(default_factory=dict)


class StepTime(_Part):
    """Seconds of wall clock that steps of one kind took, over `count` steps of the last session."""

    count: int
    mean: float
    median: float
    longest: float


class Throughput(_Part):
    """How fast training went, waiting for data included, validation and saving not.

    Over `steps` optimizer steps of the last session, the first ones left out, in which kernels are chosen and memory
    is laid out. `device_seconds_per_sample` multiplies by the number of devices; `data_wait_share` is the part of the
    time in which the first process waited for its next batch. `flops_per_sample` is counted on a first batch,
    forward and backward, what checkpointing computes again included; `flop_utilisation` is its share of what the
    device can do in bfloat16, None where that is not known.
    """

    steps: int
    samples_per_second: float
    device_seconds_per_sample: float
    data_wait_share: float
    flops_per_sample: float | None = None
    flop_utilisation: float | None = None


class DeviceMemory(_Part):
    """Memory of one device in bytes: its own, and the most that was allocated and reserved on it."""

    name: str
    total_bytes: int
    peak_allocated_bytes: int
    peak_reserved_bytes: int


class Interruption(_Part):
    """A stop that the run was taken up from; `stopped` is None when the process was killed and could not write it."""

    stopped: str | None
    resumed: str
    optimizer_step: int


class Resources(_Part):
    """Time in seconds of wall clock and memory in bytes, as measured; None is "not recorded".

    `cpu_seconds` is what all processes of the run spent on all cores. `micro_step` lasts from the batch to the
    gradients, `optimizer_step` from the first batch to the changed weights; waiting for data and validation are in
    neither. `seconds.first_step` lasts from the start of the process to the end of its first optimizer step,
    `seconds.longest_save` is the longest that training stood still for a checkpoint.
    `counters` counts events of the first process in the last session; `slow_processes` are the ranks whose micro-steps
    took clearly longer than the median process's.
    """

    seconds: dict[str, float] = Field(default_factory=dict)
    peak_rss_bytes: int = 0
    peak_device_bytes: list[int] = Field(default_factory=list)
    cpu_seconds: float | None = None
    micro_step: StepTime | None = None
    optimizer_step: StepTime | None = None
    throughput: Throughput | None = None
    counters: dict[str, int] = Field(default_factory=dict)
    slow_processes: list[int] = Field(default_factory=list)
    devices: list[DeviceMemory] = Field(default_factory=list)


class RunRecord(_Part):
    """Everything a report may say about a run."""

    format: str = FORMAT
    angiova_version: str
    code_commit: str | None
    command: list[str]
    status: str
    started: str
    finished: str | None = None
    machine: dict[str, str | int | float | None]
    recipe: dict[str, object]
    seed: int
    data: DataFacts
    model_preset: str
    model_parts: list[ModelPart]
    progress: Progress = Field(default_factory=Progress)
    losses: dict[str, LossFacts] = Field(default_factory=dict)
    resources: Resources = Field(default_factory=Resources)
    checkpoints: list[Checkpoint] = Field(default_factory=list)
    evaluations: list[str] = Field(default_factory=list)
    messages: list[str] = Field(default_factory=list)
    interruptions: list[Interruption] = Field(default_factory=list)
    warnings: dict[str, int] | None = None


def write_run(folder: Path, record: RunRecord) -> None:
    """Write `run.json` into `folder`, atomically."""
    write_json(folder / RUN_NAME, record.model_dump())


def run_of(model: Path) -> Path | None:
    """Return the run folder that a run or checkpoint folder belongs to; None where there is none around it."""
    around = (model, *model.resolve().parents[:2])
    return next((folder for folder in around if (folder / RUN_NAME).exists()), None)


def read_run(folder: Path) -> RunRecord:
    """Read `run.json` of `folder`.

    Raises:
        DataError: it is missing or not of this form.
    """
    try:
        return RunRecord.model_validate(read_json(folder / RUN_NAME))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(f"field {field}: {first['msg']}", where=folder / RUN_NAME) from None
