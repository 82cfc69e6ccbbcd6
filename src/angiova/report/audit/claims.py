"""What a run states about itself, whoever wrote it: one form for every source, nothing required.

The form is that of a report's figures as YAML; a training log, a configuration or a folder of checkpoints fills the
same fields. What a source does not state is None, never a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from angiova.errors import DataError


class IterationUnit(StrEnum):
    """What one "iteration" is."""

    MICRO_STEP = "micro_step"
    OPTIMIZER_STEP = "optimizer_step"
    SAMPLE = "sample"


class _Section(BaseModel):
    """A part of the form. Fields that nobody checks are passed over: reports say many other things."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


Count = Annotated[float | None, Field(ge=0, le=1e18)]
Share = Annotated[float | None, Field(ge=-1e6, le=1e6)]
Name = Annotated[str | None, Field(max_length=1000)]


class Architecture(_Section):
    """Sizes of the model as stated."""

    parameters_total: Count = None
    parameters_trainable: Count = None
    trainable_share_percent: Share = None
    trained_parts: tuple[str, ...] = Field(default=(), max_length=100)


class Devices(_Section):
    """The accelerators."""

    count: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    kind: Name = None
    memory_gb: Count = None


class Training(_Section):
    """The course of training as stated; durations in the unit that the name says."""

    devices: Devices = Devices()
    strategy: Name = None
    micro_batch_per_device: Count = None
    gradient_accumulation_steps: Count = None
    effective_batch: Count = None
    learning_rate: Count = None
    epochs: Count = None
    repeats: Count = None
    frames: Count = None
    videos: Count = None
    samples: Count = None
    iterations: Count = None
    iteration_unit: IterationUnit | None = None
    iterations_done: Count = None
    started: datetime | None = None
    finished: datetime | None = None
    duration_hours: Count = None
    duration_days: Count = None
    seconds_per_iteration: Count = None
    memory_per_device_gb: tuple[float, ...] = Field(default=(), max_length=100_000)
    memory_utilisation_percent: tuple[float, ...] = Field(default=(), max_length=100_000)


def _as_loss(value: object) -> object:
    """Read the short form ``[first, last, drop in percent]``."""
    if isinstance(value, list | tuple) and len(value) in (2, 3):
        return dict(zip(("first", "last", "drop_percent"), value, strict=False))
    return value


def _as_metric(value: object) -> object:
    """Read the short forms ``[mean, standard deviation]`` and ``mean``."""
    if isinstance(value, list | tuple) and len(value) in (1, 2):
        return dict(zip(("mean", "sd"), value, strict=False))
    return {"mean": value} if isinstance(value, int | float) else value


class LossClaim(_Section):
    """A loss's first and last value, and its drop."""

    first: float
    last: float
    drop_percent: float | None = None


class MetricClaim(_Section):
    """A metric's mean and standard deviation."""

    mean: float
    sd: float | None = None


class Evaluation(_Section):
    """The evaluation as stated."""

    test_samples: Count = None
    note: Name = None
    metrics: dict[str, Annotated[MetricClaim, BeforeValidator(_as_metric)]] = Field(default={}, max_length=1000)
    train_ids: tuple[str, ...] = Field(default=(), validation_alias=AliasChoices("train_ids", "train_patients"))
    test_ids: tuple[str, ...] = Field(default=(), validation_alias=AliasChoices("test_ids", "test_patients"))


class Checkpoints(_Section):
    """Checkpoint files by name with their size in bytes; parameters where a header says them."""

    files: dict[str, Annotated[float, Field(ge=0, le=1e18)]] = Field(default={}, max_length=100_000)
    parameters: dict[str, Annotated[int, Field(ge=0)]] = Field(default={}, max_length=100_000)


class Claims(_Section):
    """Everything that can be audited of a foreign run."""

    model: Name = None
    architecture: Architecture = Architecture()
    training: Training = Training()
    losses: dict[str, Annotated[LossClaim, BeforeValidator(_as_loss)]] = Field(default={}, max_length=1000)
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()


@dataclass(frozen=True, slots=True)
class Reading:
    """What one file states."""

    source: str
    claims: Claims


@dataclass(frozen=True, slots=True)
class Evidence:
    """What all files of a run state together; where two state the same field, the first counts.

    Attributes:
        claims: the fields of all readings.
        readings: the files, in the order of their weight.
    """

    claims: Claims
    readings: tuple[Reading, ...]

    def where(self, *paths: str) -> str:
        """Name the file and field that each path such as ``training.iterations`` was read from."""
        places: dict[str, list[str]] = {}
        for path in paths:
            places.setdefault(self._source(path), []).append(path)
        return "; ".join(f"{source}: {', '.join(fields)}" for source, fields in places.items())

    def _source(self, path: str) -> str:
        stating = (r.source for r in self.readings if any(_is_of(p, path) for p, _ in leaves(r.claims)))
        return next(stating, self.readings[0].source)


def combine(readings: list[Reading]) -> Evidence:
    """Return the evidence of one or more readings."""
    merged: dict[str, Any] = {}
    for reading in reversed(readings):
        _overlay(merged, reading.claims.model_dump(exclude_none=True, exclude_defaults=True))
    return Evidence(Claims.model_validate(merged), tuple(readings))


def parse_claims(values: object, where: object) -> Claims:
    """Return the claims that a nested mapping holds.

    Raises:
        DataError: it is no mapping, or a field has a value it cannot have; the field is named.
    """
    if not isinstance(values, Mapping):
        raise DataError(
            "claimed figures are a mapping of sections", where=where, remedy="see docs/how-to/audit-a-run.md"
        )
    try:
        return Claims.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(
            f"field {field}: {first['msg']}", where=where, remedy="correct or remove the field, then audit again"
        ) from None


def leaves(claims: Claims) -> Iterator[tuple[str, object]]:
    """Yield (path, value) of every field that is stated."""
    yield from _leaves(claims.model_dump(exclude_none=True, exclude_defaults=True), "")


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_of(path: str, asked: str) -> bool:
    return path == asked or path.startswith(f"{asked}.")


def _overlay(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for name, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(name), dict):
            _overlay(below[name], value)
        else:
            below[name] = dict(value) if isinstance(value, Mapping) else value
