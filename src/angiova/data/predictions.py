"""Predictions on disk: one row an answer, masks as COCO RLE, so that every number can be computed again.

Probabilities, where they were kept, lie in a file beside it, `NAME.probabilities.parquet`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import polars as pl

from angiova.data.probabilities import NUM_BINS, ProbabilityLevels
from angiova.data.records import Prediction
from angiova.data.rle import Rle
from angiova.errors import DataError
from angiova.files import atomic_path

SCHEMA: Final = pl.Schema(
    {
        "frame_id": pl.String,
        "phrase": pl.String,
        "height": pl.Int32,
        "width": pl.Int32,
        "counts": pl.String,
        "presence": pl.Float64,
        "text": pl.String,
    }
)

_LEVELS_SCHEMA: Final = pl.Schema(
    [
        ("frame_id", pl.String()),
        ("phrase", pl.String()),
        ("height", pl.Int32()),
        ("width", pl.Int32()),
        ("at_least", pl.List(pl.String())),
        ("means", pl.List(pl.Float64())),
    ]
)


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions as a Parquet file, atomically; an answer without a mask has null counts."""
    answers = list(predictions)
    rows = [
        {
            "frame_id": p.frame_id,
            "phrase": p.phrase,
            "height": None if p.mask is None else p.mask.height,
            "width": None if p.mask is None else p.mask.width,
            "counts": None if p.mask is None else p.mask.counts,
            "presence": p.presence,
            "text": p.text,
        }
        for p in answers
    ]
    with atomic_path(path) as partial:
        pl.DataFrame(rows, schema=SCHEMA).write_parquet(partial)
    _write_levels(_levels_path(path), answers)


def read_predictions(path: Path) -> list[Prediction]:
    """Read what `write_predictions` wrote.

    Raises:
        DataError: the file is missing, damaged or of another form.
    """
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"predictions cannot be read ({error})", where=path, remedy="predict again") from None
    if table.schema != SCHEMA:
        raise DataError("not a predictions file", where=path, remedy="predict again")
    levels = _read_levels(_levels_path(path))
    return [
        Prediction(
            frame_id=row["frame_id"],
            phrase=row["phrase"],
            mask=None if row["counts"] is None else Rle(row["height"], row["width"], row["counts"]),
            presence=row["presence"],
            text=row["text"],
            levels=levels.get((row["frame_id"], row["phrase"])),
        )
        for row in table.iter_rows(named=True)
    ]


def _levels_path(path: Path) -> Path:
    return path.with_suffix(".probabilities.parquet")


def _write_levels(path: Path, predictions: list[Prediction]) -> None:
    """Write the probabilities of those predictions that have any; without any there is no file."""
    rows = [
        (
            p.frame_id,
            p.phrase,
            p.levels.at_least[0].height,
            p.levels.at_least[0].width,
            [level.counts for level in p.levels.at_least],
            list(p.levels.means),
        )
        for p in predictions
        if p.levels is not None
    ]
    path.unlink(missing_ok=True)
    if rows:
        with atomic_path(path) as partial:
            pl.DataFrame(rows, schema=_LEVELS_SCHEMA, orient="row").write_parquet(partial)


def _read_levels(path: Path) -> dict[tuple[str, str], ProbabilityLevels]:
    if not path.exists():
        return {}
    try:
        table = pl.read_parquet(path, schema=_LEVELS_SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"probabilities cannot be read ({error})", where=path, remedy="predict again") from None
    return {(row[0], row[1]): _levels(path, *row[2:]) for row in table.iter_rows()}


def _levels(path: Path, height: int, width: int, at_least: list[str], means: list[float]) -> ProbabilityLevels:
    if len(at_least) != NUM_BINS - 1 or len(means) != NUM_BINS:
        raise DataError(f"probabilities are not in {NUM_BINS} bins", where=path, remedy="predict again")
    return ProbabilityLevels(tuple(Rle(height, width, counts) for counts in at_least), tuple(means))
