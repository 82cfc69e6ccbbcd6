"""The recipe: one set of fields, the same in Python, in YAML and on the command line (`--set field=value`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from angiova.baselines.settings import BaselineSettings
from angiova.data.augment import AugmentSettings
from angiova.data.clips import ClipSettings
from angiova.data.dataset import ExampleSettings
from angiova.data.questions.drawing import QuestionSettings
from angiova.errors import ConfigError
from angiova.model.trainable import TrainableSettings
from angiova.training.engine_settings import EngineSettings

MAX_RECIPE_BYTES = 1_000_000


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(_Section):
    """What is trained: random weights of a preset, a checkpoint, or a baseline to compare with; one of the three."""

    preset: str | None = Field(None, description="Preset with random weights, e.g. nano.")
    checkpoint: Path | None = Field(None, description="Checkpoint folder to go on from, instead of a preset.")
    baseline: BaselineSettings | None = Field(None, description="A baseline, e.g. {method: unet}; below.")
    tile_px: int | None = Field(
        None, ge=64, multiple_of=32, description="Side of the image that the language model sees, for nano; null: 256."
    )
    segmenter_px: int | None = Field(
        None, ge=64, multiple_of=32, description="Side of the square that SAM2 sees, for nano; null: its own, 512."
    )
    refiner_width: int | None = Field(
        None, ge=8, multiple_of=8, description="Channels of the refiner's first level, for nano; null: its own, 24."
    )
    refiner_levels: int | None = Field(
        None, ge=2, le=6, description="Resolutions that the refiner looks at, for nano; null: its own, 4."
    )
    refiner_px: int | None = Field(
        None,
        ge=32,
        description="Longest side of a frame as the refiner looks at it, in training and after: those that differ by "
        "more than a tenth are resampled. null: the checkpoint's; with random weights the longest side of the median "
        "training frame.",
    )

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if sum(start is not None for start in (self.preset, self.checkpoint, self.baseline)) != 1:
            raise ValueError("give either preset, checkpoint or baseline")
        if self.chosen_sizes and self.preset != "nano":
            raise ValueError(f"{next(iter(self.chosen_sizes))} can be chosen for the preset nano only")
        if self.refiner_px is not None and self.baseline is not None:
            raise ValueError("refiner_px can be chosen for a model with a refiner; a baseline has none")
        return self

    @property
    def chosen_sizes(self) -> dict[str, int]:
        """The sizes of nano that are not its own."""
        names = ("tile_px", "segmenter_px", "refiner_width", "refiner_levels")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def trains_by_gradient(self) -> bool:
        """Whether several devices can share it; a filter's search and nnU-Net's own tools take one process."""
        return self.baseline is None or self.baseline.method not in ("frangi", "nnunet")

    @property
    def name(self) -> str:
        """What a record calls it."""
        return f"baseline {self.baseline.method}" if self.baseline else self.preset or str(self.checkpoint)


class OtherData(_Section):
    """Another data set whose training frames are mixed in."""

    folder: Path = Field(description="Data set made by `angiova import` or `angiova simulate`, and split.")
    share: float = Field(gt=0, lt=1, description="Share of all samples that it gives.")


class DataSettings(_Section):
    """Which frames are trained on and how they are varied."""

    folder: Path = Field(description="Data set made by `angiova import` or `angiova simulate`, and split.")
    train_split: Literal["train", "val", "test"] = Field("train", description="Part trained on.")
    repeats: int = Field(10, ge=1, description="Shuffled passes over the frames.")
    also: tuple[OtherData, ...] = Field(
        (), description="Other data sets whose training frames are mixed in; validation stays with folder."
    )
    workers: int | None = Field(None, ge=0, description="Processes that prepare examples; null: one a core, at most 8.")
    examples: ExampleSettings = Field(default_factory=ExampleSettings, description="What is asked about a frame.")
    augmentation: AugmentSettings = Field(default_factory=AugmentSettings, description="How frames are varied.")
    views: int | None = Field(
        None,
        ge=1,
        description="Variations of a frame, taken in turn, so that its features can be kept; null: endless. A flip "
        "counts as another.",
    )
    bucketing: int = Field(
        0, ge=0, description="Optimizer steps whose examples are sorted together by length, against padding; 0: none."
    )
    clips: ClipSettings = Field(default_factory=ClipSettings, description="Frames of one run as one example.")
    questions: QuestionSettings = Field(
        default_factory=QuestionSettings, description="Questions to be answered in words."
    )

    @model_validator(mode="after")
    def _leaves_a_share(self) -> Self:
        if sum(other.share for other in self.also) >= 1:
            raise ValueError("also: the shares leave nothing for folder; together they must stay below 1")
        return self


class OptimizerSettings(_Section):
    """AdamW with linear warm-up and a schedule after it."""

    lr: float = Field(3e-4, gt=0, description="Peak learning rate.")
    lr_scale: dict[str, float] = Field(
        default_factory=dict, description="Factor on lr for single parts, e.g. {refiner: 3}; parts as in the report."
    )
    weight_decay: float = Field(0.05, ge=0, description="Decay of weight matrices; biases and norms have none.")
    betas: tuple[float, float] = Field((0.9, 0.98), description="Momentum terms of AdamW.")
    warmup: float = Field(0.05, ge=0, le=1, description="Share of optimizer steps spent warming up.")
    schedule: Literal["cosine", "linear", "constant", "wsd"] = Field(
        "cosine", description="After warm-up: decay to zero as half a cosine or a line, none, or only at the end (wsd)."
    )
    cooldown: float = Field(0.2, gt=0, le=1, description="Share of optimizer steps that wsd spends decaying to zero.")
    average: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay of a moving average of the weights, which is validated and saved, e.g. 0.999.",
    )
    clip: float = Field(1.0, gt=0, description="Largest gradient norm.")
    unfreeze: dict[str, float] = Field(
        default_factory=dict,
        description="Share of the optimizer steps after which single parts are trained, e.g. {vision_tower: 0.3}.",
    )


class WarmupSettings(_Section):
    """Text-only steps that teach a language model with random weights the names of vessels; 0 steps: none."""

    steps: int = Field(0, ge=0, description="Optimizer steps on text alone, before training; 0 for pretrained models.")
    batch: int = Field(16, ge=1, description="Texts a step.")
    lr: float = Field(1e-3, gt=0, description="Peak learning rate.")


class BatchSettings(_Section):
    """How many examples make an optimizer step."""

    micro: int = Field(2, ge=1, description="Examples a device holds at once (one micro-step).")
    accumulation: int = Field(1, ge=1, description="Micro-steps an optimizer step.")


class LossWeights(_Section):
    """Weight of each loss in the sum that is minimised."""

    language: float = Field(1.0, ge=0, description="Cross-entropy of the answer's words.")
    mask: float = Field(2.0, ge=0, description="Binary cross-entropy of the mask at image resolution.")
    dice: float = Field(1.0, ge=0, description="Soft Dice of the mask at image resolution.")
    focal: float = Field(
        0.0, ge=0, description="Focal loss of the mask at image resolution, instead of or beside `mask`."
    )
    cldice: float = Field(0.0, ge=0, description="Soft centreline Dice of the mask at image resolution: gaps count.")
    iou: float = Field(0.05, ge=0, description="Error of SAM2's own estimate of the mask's IoU.")
    presence: float = Field(0.2, ge=0, description="Cross-entropy of 'the object is in the frame', where it is.")
    absence: float = Field(0.2, ge=0, description="The same, where it is not.")
    prompts: float = Field(
        0.0,
        ge=0,
        description="Distance of the masks' prompts from those of the model that training started from. Above 0 it is "
        "all that is learnt of masks: for teaching words alone, with a frozen segmenter, which is then not run.",
    )
    coarse: float = Field(0.5, ge=0, description="Both mask losses of SAM2's low-resolution logits.")


class ValidationSettings(_Section):
    """How training is watched; the best checkpoint is chosen by mean Dice on these frames."""

    split: Literal["train", "val", "test"] = Field("val", description="Part looked at during training.")
    times: int = Field(4, ge=0, description="How often, spread evenly over the run; 0: never.")
    frames: int = Field(32, ge=1, description="Most frames looked at, spread over the part.")
    batch: int = Field(4, ge=1, description="Frames predicted together.")
    patience: int | None = Field(
        None, ge=1, description="Validations without a better score after which training stops; null: it never does."
    )


class Recipe(_Section):
    """Everything that decides how a run goes."""

    output: Path = Field(description="Run folder.")
    model: ModelSettings
    data: DataSettings
    seed: int = Field(0, ge=0, description="Source of all randomness.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one.")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the GPU has it.")
    trainable: TrainableSettings | None = Field(
        None, description="What is trained; null: an adapter on a large checkpoint, else everything."
    )
    optimizer: OptimizerSettings = Field(default_factory=OptimizerSettings)
    language_warmup: WarmupSettings = Field(
        default_factory=WarmupSettings, description="Teaching names on text alone, before frames."
    )
    batch: BatchSettings = Field(default_factory=BatchSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings, description="Choices between time and memory.")
    losses: LossWeights = Field(default_factory=LossWeights)
    validation: ValidationSettings = Field(default_factory=ValidationSettings)
    log_every: int = Field(10, ge=1, description="Optimizer steps between log lines.")
    tensorboard: bool = Field(True, description="Write TensorBoard files to RUN/tensorboard.")
    report_to: tuple[Literal["wandb", "mlflow", "trackio"], ...] = Field(
        (), description="Send figures to these services too; each needs its package, and none is asked by default."
    )

    @model_validator(mode="after")
    def _fits_a_baseline(self) -> Self:
        fields = {
            "trainable": self.trainable is not None,
            "language_warmup.steps": self.language_warmup.steps > 0,
            "optimizer.lr_scale": bool(self.optimizer.lr_scale),
            "optimizer.unfreeze": bool(self.optimizer.unfreeze),
            "engine": self.engine != EngineSettings(),
            "data.clips.share": self.data.clips.share > 0,
            "data.questions.share": self.data.questions.share > 0,
        }
        unknown = [name for name, is_set in fields.items() if is_set and self.model.baseline is not None]
        if unknown:
            raise ValueError(f"a baseline has no parts and no language, so it cannot have {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _memory_needs_clips(self) -> Self:
        if self.trainable is not None and self.trainable.segmenter_memory and self.data.clips.share == 0:
            raise ValueError("trainable.segmenter_memory learns from clips alone: give data.clips.share")
        return self


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides such as ``optimizer.lr=1e-4``.

    Relative paths in the recipe are relative to the working directory, as everywhere on the command line.

    Raises:
        ConfigError: the file cannot be read, or a field is unknown or has a value it cannot have.
    """
    values = _read_yaml(path)
    for override in overrides:
        _apply(values, override)
    return parse_recipe(values, where=path)


def parse_recipe(values: dict[str, Any], where: object) -> Recipe:
    """Return the recipe that `values` describe.

    Raises:
        ConfigError: a field is unknown, missing or has a value it cannot have; it is named.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors()]
        raise ConfigError("; ".join(problems), where=where, remedy="docs/how-to/write-a-recipe.md") from None


def dump_recipe(recipe: Recipe) -> str:
    """Return the recipe as YAML with every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise ConfigError("too large for a recipe", where=path)
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("recipe not found", where=path, remedy="see the folder recipes/") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"not valid YAML ({error})", where=path) from None
    if not isinstance(values, dict):
        raise ConfigError("a recipe is a mapping of fields", where=path)
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    name, separator, text = override.partition("=")
    if not separator:
        raise ConfigError(f"{override!r} has no '='", where="--set", remedy="write --set field=value")
    *sections, field = name.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{section!r} is not a section", where=f"--set {override}")
    values[field] = yaml.safe_load(text)
