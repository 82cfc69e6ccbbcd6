"""The evaluation folder: evaluation.json, frames.csv, predictions.parquet and comparisons/*.png."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import ValidationError

from angiova.data.manifest import Manifest
from angiova.data.predictions import write_predictions
from angiova.data.records import Prediction
from angiova.errors import DataError
from angiova.evaluation.cases import METRICS, Case, Outcome
from angiova.evaluation.comparison import write_comparisons
from angiova.evaluation.result import Evaluation
from angiova.files import atomic_path, read_json, write_json

EVALUATION_NAME: Final = "evaluation.json"
FRAMES_NAME: Final = "frames.csv"
PREDICTIONS_NAME: Final = "predictions.parquet"
COMPARISONS_DIR: Final = "comparisons"
_AGAIN: Final = "compute it again with `angiova eval --from-predictions`"

_TEXTS: Final = (
    *("frame_id", "patient", "run", "kind", "phrase", "segment", "observer", "origin", "outcome"),
    *("view", "phase"),
)
FRAMES_SCHEMA: Final = pl.Schema(
    [
        *((name, pl.String()) for name in _TEXTS),
        ("frame", pl.Int64()),
        *((name, pl.Boolean()) for name in ("answered", "missed", "false")),
        ("presence", pl.Float64()),
        *((name, pl.Int64()) for name in ("tp", "fp", "fn", "tn")),
        *((name, pl.Float64()) for name in METRICS),
    ]
)


def write_evaluation(
    folder: Path, manifest: Manifest, evaluation: Evaluation, predictions: Iterable[Prediction]
) -> None:
    """Write an evaluation with its evidence; evaluation.json comes last, so a folder that has it is whole.

    Raises:
        DataError: the image of a comparison picture cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EVALUATION_NAME).unlink(missing_ok=True)
    answers = list(predictions)
    write_predictions(folder / PREDICTIONS_NAME, answers)
    with atomic_path(folder / FRAMES_NAME) as partial:
        frames_table(evaluation.cases).write_csv(partial)
    write_comparisons(folder / COMPARISONS_DIR, manifest, evaluation, answers)
    write_json(folder / EVALUATION_NAME, evaluation.model_dump(mode="json"))


def read_evaluation(folder: Path) -> Evaluation:
    """Read evaluation.json of `folder`; its cases stay in frames.csv, see `read_frames`.

    Raises:
        DataError: it is missing or not of this form.
    """
    try:
        return Evaluation.model_validate(read_json(folder / EVALUATION_NAME))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(f"field {field}: {first['msg']}", where=folder / EVALUATION_NAME, remedy=_AGAIN) from None


def frames_table(cases: Sequence[Case]) -> pl.DataFrame:
    """Return one row a case, of FRAMES_SCHEMA: who, what, outcome, counts in pixels, and each metric."""
    return pl.DataFrame([_row(case) for case in cases], schema=FRAMES_SCHEMA)


def read_frames(folder: Path) -> pl.DataFrame:
    """Read frames.csv of `folder`, as `frames_table` made it.

    Raises:
        DataError: it is missing or damaged.
    """
    path = folder / FRAMES_NAME
    try:
        return pl.read_csv(path, schema=FRAMES_SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"cannot be read ({error})", where=path, remedy="evaluate again") from None


def _row(case: Case) -> dict[str, object]:
    return {
        "frame_id": case.frame_id,
        "patient": case.patient,
        "run": case.run,
        "kind": case.kind.value,
        "phrase": case.phrase,
        "segment": case.segment,
        "observer": case.observer,
        "origin": case.origin.value,
        "outcome": case.outcome.value,
        "view": case.view,
        "phase": case.phase,
        "frame": case.frame,
        "answered": case.answered,
        "missed": case.outcome is Outcome.MISSED,
        "false": case.outcome is Outcome.FALSE,
        "presence": case.presence,
        "tp": case.counts.tp,
        "fp": case.counts.fp,
        "fn": case.counts.fn,
        "tn": case.counts.tn,
        **(dict.fromkeys(METRICS) | dict(case.scores or {})),
    }
