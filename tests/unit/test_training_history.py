"""What a model was trained on stays known when it is merged, converted and trained further."""

from __future__ import annotations

from pathlib import Path

import pytest

from angiova.data.manifest import Manifest
from angiova.data.records import Split
from angiova.errors import DataError
from angiova.inference.evaluation import evaluate_model
from angiova.model.convert.converting import convert
from angiova.model.merging import merge
from angiova.training.trainer import train
from angiova.training_history import HISTORY_NAME, history_of, keep_history
from models import quick_recipe, write_frames, write_start


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="module")
def merged(start: Path) -> Path:
    """Return an adapter's model, folded into its base."""
    train(quick_recipe(start, "run", trainable={"lora": {"rank": 2, "alpha": 2, "dropout": 0}}))
    merge(start / "run", start / "merged", dtype="float32")
    return start / "merged"


def frames_of(model: Path) -> set[str]:
    history = history_of(model)
    assert history is not None
    return set(history["frame_id"])


def trained_frames(data: Path) -> set[str]:
    return {record.frame_id for record in Manifest(data).records(Split.TRAIN)}


def test_a_new_model_has_no_history(start: Path) -> None:
    assert history_of(start / "start") is None


def test_merging_keeps_it(start: Path, merged: Path) -> None:
    assert frames_of(merged) == frames_of(start / "run") == trained_frames(start / "data")


def test_converting_keeps_it(start: Path, merged: Path) -> None:
    convert(merged, start / "again")
    assert frames_of(start / "again") == frames_of(merged)


def test_a_merged_model_is_not_tested_on_what_it_was_trained_on(start: Path, merged: Path, tmp_path: Path) -> None:
    evaluation = evaluate_model(merged, start / "data", split="test", out=tmp_path / "clean", device="cpu")
    assert evaluation.leakage is not None
    assert evaluation.leakage.is_clean
    with pytest.raises(DataError, match="trained on"):
        evaluate_model(merged, start / "data", split="train", out=tmp_path / "leaked", device="cpu")


def test_training_further_adds_to_it(start: Path, merged: Path, tmp_path: Path) -> None:
    write_frames(tmp_path / "others", frames=6, patients=6)
    data = {"folder": str(tmp_path / "others"), "repeats": 4, "workers": 0}
    train(quick_recipe(start, "further", model={"checkpoint": str(merged)}, data=data))
    history = history_of(start / "further")
    assert history is not None
    assert len(history) == len(trained_frames(start / "data")) + len(trained_frames(tmp_path / "others"))


def test_damage_is_named(merged: Path, tmp_path: Path) -> None:
    keep_history(merged, tmp_path)
    (tmp_path / "training_frames.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"training_frames\.parquet"):
        history_of(tmp_path)
    (tmp_path / HISTORY_NAME).write_text("{}")
    with pytest.raises(DataError, match=HISTORY_NAME):
        history_of(tmp_path)
