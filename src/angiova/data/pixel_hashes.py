"""The hash of every image as it was imported, beside the manifest; by it a later change is noticed.

The manifest's `source_sha256` can't serve: it is of the source file, and an imported image is another file of the same
pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from angiova.data.pixels import GreyImage
from angiova.errors import DataError
from angiova.files import atomic_path, sha256_bytes

PIXEL_HASHES_NAME: Final = "pixel_hashes.parquet"
_SCHEMA: Final = pl.Schema({"frame_id": pl.String, "pixels_sha256": pl.String})


def pixels_sha256(grey_HW: GreyImage) -> str:
    """Return the SHA-256 of the size and the grey values of an image (H, W)."""
    return sha256_bytes(f"{grey_HW.shape[0]} {grey_HW.shape[1]} ".encode() + grey_HW.tobytes())


def write_pixel_hashes(folder: Path, hash_of_frame: Mapping[str, str]) -> None:
    """Write the hashes by frame id into the data set `folder`."""
    with atomic_path(folder / PIXEL_HASHES_NAME) as partial:
        pl.DataFrame(list(hash_of_frame.items()), schema=_SCHEMA, orient="row").write_parquet(partial)


def read_pixel_hashes(folder: Path) -> dict[str, str]:
    """Return the hashes by frame id; none for a data set that no importer made.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / PIXEL_HASHES_NAME
    try:
        return dict(pl.read_parquet(path, schema=_SCHEMA).iter_rows()) if path.exists() else {}
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"cannot be read ({error})", where=path, remedy="import again") from None
