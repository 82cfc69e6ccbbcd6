"""What a model was trained on stays known when it is merged, converted and trained further."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from angiova.data.manifest import Manifest
from angiova.data.records import Split
from angiova.errors import ConfigError, DataError, ModelError
from angiova.inference.evaluation import evaluate_model
from angiova.model.averaged import average
from angiova.model.convert.converting import convert
from angiova.model.merging import merge
from angiova.model.opening import checkpoint_folder, open_model
from angiova.training.trainer import train
from angiova.training_history import HISTORY_NAME, history_of, keep_history
from models import quick_recipe, small_model, write_frames, write_start


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


def test_averaging_joins_it(start: Path, tmp_path: Path) -> None:
    write_frames(tmp_path / "other", frames=12)
    runs = [tmp_path / "first", tmp_path / "second"]
    for number, run in enumerate(runs):
        folder = start / "data" if number == 0 else tmp_path / "other"
        data = {"folder": str(folder), "repeats": 1, "workers": 0}
        train(quick_recipe(start, "unused", output=str(run), data=data, seed=number))
    average(runs, tmp_path / "mean")
    assert frames_of(tmp_path / "mean") == trained_frames(start / "data") | trained_frames(tmp_path / "other")
    weights = [open_model(checkpoint_folder(folder))[0].state_dict() for folder in (*runs, tmp_path / "mean")]
    name = next(name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name]))
    torch.testing.assert_close(weights[2][name], (weights[0][name] + weights[1][name]) / 2)
    average([runs[0], start / "start"], tmp_path / "unknown")
    assert history_of(tmp_path / "unknown") is None


def test_what_cannot_be_averaged_is_refused(start: Path, merged: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no mean"):
        average([merged], tmp_path / "out")
    with pytest.raises(ModelError, match="adapter"):
        average([merged, start / "run"], tmp_path / "out")
    model, processor = small_model(refiner_width=16)
    model.save_pretrained(tmp_path / "wider")
    processor.tokenizer.save_pretrained(tmp_path / "wider")
    with pytest.raises(ModelError, match="another architecture"):
        average([merged, tmp_path / "wider"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
