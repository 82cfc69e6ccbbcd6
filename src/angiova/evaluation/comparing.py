"""`angiova eval --compare`: several evaluations of the same frames, patient by patient.

The unit is the patient (frames averaged in a run, runs in a patient). Frames are units only where the data set's owner
stated that frames without patient ids are independent, and then the result says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from angiova.data.records import Split, TargetKind
from angiova.errors import ConfigError, DataError
from angiova.evaluation.metrics import ALL_METRICS, Unit
from angiova.evaluation.paired import (
    cohens_dz,
    holm,
    patients_for_difference,
    patients_for_half_width,
    sign_flip_p,
)
from angiova.evaluation.result import Evaluation, Interval
from angiova.evaluation.statistics import Observation, frame_means, mean_interval, patient_means
from angiova.evaluation.store import EVALUATION_NAME, read_evaluation, read_frames
from angiova.files import atomic_path, read_json, sha256_file, write_json
from angiova.run_record import EVALUATION_DIR

FORMAT: Final = "angiova-comparison/1"
COMPARISON_NAME: Final = "comparison.json"
TABLE_NAME: Final = "comparison.csv"
# Few, one of each family: every further one costs all of them power under Holm's correction.
COMPARED_METRICS: Final = ("dice", "cldice", "nsd", "hd95_px", "b0_error", "branches_found")
_SHARES: Final = frozenset(metric.name for metric in ALL_METRICS if metric.unit is Unit.SHARE)

UnitValues = dict[str, float]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelMean(_Part):
    """One model's mean of one metric over the units that all compared models were scored on.

    Attributes:
        units_for_point: how many units would bring the interval to 0.01 on each side; None for metrics in pixels,
            and where all values are equal: no spread says nothing of how many are needed.
    """

    model: str
    kind: TargetKind
    metric: str
    interval: Interval
    units_for_point: int | None


class PairDifference(_Part):
    """The first model less the second, on the same units.

    Attributes:
        difference: mean of the paired differences, with its interval.
        p: of the two-sided sign-flip permutation test.
        p_holm: p corrected for all tests of this comparison.
        effect_dz: the mean difference in standard deviations of the differences; None where that is 0.
        units_for_point: how many units a paired t test needs to see a difference of 0.01 with power 0.8 at alpha 0.05;
            None for metrics in pixels, and where all differences are equal.
    """

    first: str
    second: str
    kind: TargetKind
    metric: str
    difference: Interval
    p: float
    p_holm: float
    effect_dz: float | None
    units_for_point: int | None


class Comparison(_Part):
    """Several models on the same frames.

    Attributes:
        phrases: those compared, where a model can be asked for some only; None: all of them.
        evaluation_sha256: of each model's evaluation.json: tells a report whether it was made again since.
        unit: what is averaged over and exchanged between models.
        num_units: number of patients (or frames) that every model was scored on, by kind.
        num_left_out: units that a model was not scored on, so that they are in no figure here, by kind.
        num_tests: tests that Holm's correction counts.
        untrusted: models whose evaluation holds an error finding.
    """

    format: Literal["angiova-comparison/1"] = FORMAT
    manifest_sha256: str
    split: Split
    unit: Literal["patient", "frame"]
    models: list[str]
    folders: list[str]
    evaluation_sha256: list[str]
    phrases: tuple[str, ...] | None = None
    num_units: dict[TargetKind, int]
    num_left_out: dict[TargetKind, int]
    num_tests: int
    untrusted: list[str]
    means: list[ModelMean]
    pairs: list[PairDifference]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One evaluation with its cases."""

    name: str
    folder: Path
    evaluation: Evaluation
    sha256: str
    frames: pl.DataFrame


def compare(folders: Sequence[Path]) -> Comparison:
    """Compare two or more run or evaluation folders.

    Raises:
        ConfigError: fewer than two folders, or the same one twice.
        DataError: an evaluation is missing, was made of other frames, or its units cannot be paired.
    """
    entries = _entries(folders)
    unit = _unit(entries)
    values = {kind: _values(entries, kind, unit) for kind in _kinds(entries)}
    shared = {kind: _shared(by_model) for kind, by_model in values.items()}
    means, pairs = [], []
    for kind, by_model in values.items():
        for metric in COMPARED_METRICS:
            columns = {
                name: _column(metrics.get(metric, {}), shared[kind][metric]) for name, metrics in by_model.items()
            }
            if shared[kind][metric]:
                means += [_mean(name, kind, metric, column) for name, column in columns.items()]
                pairs += [_pair(*pair, kind, metric, columns) for pair in combinations(columns, 2)]
    corrected = holm([pair.p for pair in pairs])
    return Comparison(
        manifest_sha256=entries[0].evaluation.manifest_sha256,
        split=entries[0].evaluation.split,
        unit=unit,
        models=[entry.name for entry in entries],
        folders=[str(entry.folder) for entry in entries],
        evaluation_sha256=[entry.sha256 for entry in entries],
        phrases=_phrases_of_all(entries),
        num_units={kind: len(shared[kind]["dice"]) for kind in values},
        num_left_out={kind: len(_all_units(by_model)) - len(shared[kind]["dice"]) for kind, by_model in values.items()},
        num_tests=len(pairs),
        untrusted=[entry.name for entry in entries if not entry.evaluation.is_trustworthy],
        means=means,
        pairs=[pair.model_copy(update={"p_holm": p}) for pair, p in zip(pairs, corrected, strict=True)],
    )


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write comparison.csv, a row a pair and metric, and then comparison.json into `folder`."""
    rows = [
        pair.model_dump(mode="json", exclude={"difference"})
        | {f"difference_{name}": value for name, value in pair.difference.model_dump().items()}
        for pair in comparison.pairs
    ]
    with atomic_path(folder / TABLE_NAME) as partial:
        pl.DataFrame(rows, infer_schema_length=None).write_csv(partial)
    write_json(folder / COMPARISON_NAME, comparison.model_dump(mode="json"))


def read_comparison(folder: Path) -> Comparison:
    """Read comparison.json of `folder`.

    Raises:
        DataError: it is missing or not of this form.
    """
    path = folder / COMPARISON_NAME
    try:
        return Comparison.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(f"field {field}: {first['msg']}", where=path, remedy="compare again, or remove it") from None


def _entries(folders: Sequence[Path]) -> list[_Entry]:
    if len(folders) < 2 or len({folder.resolve() for folder in folders}) < len(folders):
        remedy = "give two or more different run or evaluation folders"
        raise ConfigError("nothing to compare", where="--compare", remedy=remedy)
    entries = _on_shared_phrases([_entry(folder, name) for folder, name in zip(folders, _names(folders), strict=True)])
    first = entries[0]
    for entry in entries[1:]:
        _refuse_other_frames(first, entry)
    return entries


def _entry(folder: Path, name: str) -> _Entry:
    where = folder if (folder / EVALUATION_NAME).exists() else folder / EVALUATION_DIR
    evaluation = read_evaluation(where)
    return _Entry(name, folder, evaluation, sha256_file(where / EVALUATION_NAME), read_frames(where))


def _on_shared_phrases(entries: Sequence[_Entry]) -> list[_Entry]:
    """Return the entries with the cases of those phrases alone that every model can be asked for."""
    phrases = _phrases_of_all(entries)
    if phrases is None:
        return list(entries)
    return [replace(entry, frames=entry.frames.filter(pl.col("phrase").is_in(phrases))) for entry in entries]


def _phrases_of_all(entries: Sequence[_Entry]) -> tuple[str, ...] | None:
    """Return the phrases that every model can be asked for; None where each can be asked for anything.

    Raises:
        DataError: there is none.
    """
    limited = [set(entry.evaluation.phrases_asked) for entry in entries if entry.evaluation.phrases_asked is not None]
    if not limited:
        return None
    shared = set.intersection(*limited)
    if not shared:
        problem = "no phrase that all of these models can be asked for"
        raise DataError(problem, where=entries[0].folder, remedy="compare models that draw the same thing")
    return tuple(sorted(shared))


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell the folders apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("the folders differ")


def _refuse_other_frames(first: _Entry, other: _Entry) -> None:
    one, two = first.evaluation, other.evaluation
    same_frames = _asked(first.frames).equals(_asked(other.frames))
    if one.manifest_sha256 != two.manifest_sha256 or one.split is not two.split or not same_frames:
        problem = f"not evaluated on the same frames as {first.folder}"
        raise DataError(problem, where=other.folder, remedy="evaluate both on one data set and split")


def _asked(frames: pl.DataFrame) -> pl.DataFrame:
    keys = ("frame_id", "phrase", "observer")
    return frames.select(keys).sort(keys)


def _unit(entries: Sequence[_Entry]) -> Literal["patient", "frame"]:
    first = entries[0]
    if first.evaluation.num_patients is not None:
        return "patient"
    if first.evaluation.frames_are_independent:
        return "frame"
    raise DataError(
        "frames without patient ids: nobody knows which belong together",
        where=first.folder,
        remedy="import with patient ids, or split with --frames-are-independent",
    )


def _kinds(entries: Sequence[_Entry]) -> list[TargetKind]:
    return [kind for kind in TargetKind if all(_has_scores(entry, kind) for entry in entries)]


def _has_scores(entry: _Entry, kind: TargetKind) -> bool:
    return not entry.frames.filter(pl.col("kind") == kind.value)["dice"].drop_nulls().is_empty()


def _values(entries: Sequence[_Entry], kind: TargetKind, unit: str) -> dict[str, dict[str, UnitValues]]:
    return {
        entry.name: {metric: _unit_values(entry, kind, metric, unit) for metric in COMPARED_METRICS}
        for entry in entries
    }


def _unit_values(entry: _Entry, kind: TargetKind, metric: str, unit: str) -> UnitValues:
    rows = entry.frames.filter((pl.col("kind") == kind.value) & pl.col(metric).is_not_null())
    columns = rows.select("frame_id", "run", "patient", metric).iter_rows()
    frames = frame_means([Observation(*row) for row in columns])
    patients = patient_means(frames) if unit == "patient" else None
    return {frame.frame_id: frame.value for frame in frames} if patients is None else patients


def _shared(by_model: Mapping[str, Mapping[str, UnitValues]]) -> dict[str, list[str]]:
    """Return by metric the units that every model has a value for, in order."""
    return {
        metric: sorted(set.intersection(*(set(metrics[metric]) for metrics in by_model.values())))
        for metric in COMPARED_METRICS
    }


def _all_units(by_model: Mapping[str, Mapping[str, UnitValues]]) -> set[str]:
    return set().union(*(metrics["dice"] for metrics in by_model.values()))


def _column(values: UnitValues, units: Sequence[str]) -> list[float]:
    return [values[unit] for unit in units]


def _mean(name: str, kind: TargetKind, metric: str, values: Sequence[float]) -> ModelMean:
    interval = mean_interval(values)
    needed = patients_for_half_width(interval.sd) if metric in _SHARES and interval.sd else None
    return ModelMean(model=name, kind=kind, metric=metric, interval=interval, units_for_point=needed)


def _pair(
    first: str, second: str, kind: TargetKind, metric: str, columns: Mapping[str, Sequence[float]]
) -> PairDifference:
    differences = [a - b for a, b in zip(columns[first], columns[second], strict=True)]
    interval, p = mean_interval(differences), sign_flip_p(differences)
    needed = patients_for_difference(interval.sd) if metric in _SHARES and interval.sd else None
    return PairDifference(
        first=first,
        second=second,
        kind=kind,
        metric=metric,
        difference=interval,
        p=p,
        p_holm=p,
        effect_dz=cohens_dz(differences),
        units_for_point=needed,
    )
