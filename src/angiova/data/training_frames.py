"""What a model was trained on, kept beside its run: by it an evaluation knows whether it tests or repeats.

One row a frame: patient, hash of the source file, hash of the pixels, and the 48 x 48 thumbnail that near-duplicates
are found by (`angiova.data.duplicates`), about 2 kB a frame.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from angiova.data.duplicates import THUMBNAIL_SIZE_PX, Thumbnails, thumbnail
from angiova.data.manifest import Manifest
from angiova.data.pixel_hashes import pixels_sha256
from angiova.data.records import FrameRecord
from angiova.data.rle import decode
from angiova.errors import DataError
from angiova.files import atomic_path, sha256_file

TRAINING_FRAMES_NAME: Final = "training_frames.parquet"
_SCHEMA: Final = pl.Schema(
    {
        "frame_id": pl.String,
        "patient": pl.String,
        "source_sha256": pl.String,
        "pixels_sha256": pl.String,
        "thumbnail": pl.Binary,
    }
)


def describe_frames(manifest: Manifest, records: Iterable[FrameRecord]) -> pl.DataFrame:
    """Return one row for each of the records; every image is read once.

    Raises:
        DataError: an image cannot be read.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda record: _row(manifest, record), records))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def write_training_frames(folder: Path, frames: pl.DataFrame) -> str:
    """Write the rows of `describe_frames` into `folder`, atomically, and return the file's SHA-256."""
    path = folder / TRAINING_FRAMES_NAME
    with atomic_path(path) as partial:
        frames.write_parquet(partial)
    return sha256_file(path)


def read_training_frames(folder: Path, sha256: str) -> pl.DataFrame:
    """Read what `write_training_frames` wrote into `folder`.

    Raises:
        DataError: it is missing, damaged, or not the file of that hash.
    """
    path = folder / TRAINING_FRAMES_NAME
    try:
        if sha256_file(path) != sha256:
            raise DataError("not the file that run.json names", where=path, remedy="restore it from the training run")
        return pl.read_parquet(path, schema=_SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"cannot be read ({error})", where=path, remedy="restore it from the training run") from None


def thumbnails_of(frames: pl.DataFrame) -> Thumbnails:
    """Return the thumbnails (N, 48, 48) of the rows."""
    joined = np.frombuffer(b"".join(frames["thumbnail"]), dtype=np.uint8)
    return joined.reshape(-1, THUMBNAIL_SIZE_PX, THUMBNAIL_SIZE_PX)


def _row(manifest: Manifest, record: FrameRecord) -> tuple[str, str | None, str, str, bytes]:
    image_HW = manifest.read_image(record)
    view_HW = None if record.field_of_view is None else decode(record.field_of_view)
    small = thumbnail(image_HW, view_HW).tobytes()
    return record.frame_id, record.patient, record.source_sha256, pixels_sha256(image_HW), small
