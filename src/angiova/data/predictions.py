"""Predictions on disk: one row an answer, masks as COCO RLE, so that every number can be computed again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import polars as pl

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


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions as a Parquet file, atomically; an answer without a mask has null counts."""
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
        for p in predictions
    ]
    with atomic_path(path) as partial:
        pl.DataFrame(rows, schema=SCHEMA).write_parquet(partial)


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
    return [
        Prediction(
            frame_id=row["frame_id"],
            phrase=row["phrase"],
            mask=None if row["counts"] is None else Rle(row["height"], row["width"], row["counts"]),
            presence=row["presence"],
            text=row["text"],
        )
        for row in table.iter_rows(named=True)
    ]
