"""A data set that was cut, changed or made up is refused in words, whatever is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from angiova.data.manifest import SCHEMA, Manifest, Provenance, write_dataset
from angiova.data.records import FrameRecord
from angiova.errors import DataError

Spoil = Callable[[Path], object]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    record = FrameRecord("f1", "images/f1.png", 6, 8, "f1.png", "00" * 32, run="r1")
    return write_dataset(tmp_path, [record], Provenance("coco", "here", "0.1.0")).folder


def description(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        content = json.loads((folder / "dataset.json").read_text())
        change(content)
        (folder / "dataset.json").write_text(json.dumps(content))

    return spoil


def table(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Spoil:
    return lambda folder: change(pl.read_parquet(folder / "manifest.parquet")).write_parquet(
        folder / "manifest.parquet"
    )


def content(change: Callable[[bytes], bytes]) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "manifest.parquet"
        path.write_bytes(change(path.read_bytes()))

    return spoil


DAMAGE: dict[str, Spoil] = {
    "description is a list": lambda folder: (folder / "dataset.json").write_text("[]"),
    "description has no provenance": description(lambda d: d.pop("provenance")),
    "description has an unknown field": description(lambda d: d["provenance"].update(importr="coco")),
    "number of frames is a word": description(lambda d: d.update(num_frames="many")),
    "number of frames is wrong": description(lambda d: d.update(num_frames=2)),
    "manifest is missing": lambda folder: (folder / "manifest.parquet").unlink(),
    "manifest is empty": content(lambda _: b""),
    "manifest is cut": content(lambda whole: whole[: len(whole) // 2]),
    "manifest is something else": content(lambda _: b"PK\x03\x04" * 100),
    "bytes in the middle are changed": content(lambda whole: whole[:200] + b"\xff" * 20 + whole[220:]),
    "columns are others": table(lambda _: pl.DataFrame({"frame_id": ["f1"]})),
    "split is unknown": table(lambda rows: rows.with_columns(split=pl.lit("holdout"))),
    "targets are null": table(lambda rows: rows.with_columns(targets=pl.lit(None, dtype=SCHEMA["targets"]))),
}


@pytest.mark.parametrize("spoil", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_refused_by_name(dataset: Path, spoil: Spoil) -> None:
    spoil(dataset)
    with pytest.raises(DataError, match=r"dataset\.json|manifest\.parquet"):
        list(Manifest(dataset).records())
