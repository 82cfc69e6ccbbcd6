"""What angiova asks of nnU-Net's programs, and what it makes of their answers; programs that stand in for them run."""

from __future__ import annotations

from pathlib import Path

import pytest

from angiova.data.manifest import Manifest
from angiova.data.syntax import TREE_PHRASE
from angiova.errors import ExitCode, ModelError
from angiova.inference.evaluation import evaluate_model
from angiova.inference.predictor import load
from angiova.run_record import read_run
from angiova.training.checkpoints import complete_checkpoints
from angiova.training.config import Recipe, parse_recipe
from angiova.training.nnunet import trainer_name
from angiova.training.trainer import train
from models import write_frames
from nnunet_stand_in import CALLS, FAIL_ONCE, write_tools


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe on drawn frames, with the programs on the path."""
    write_tools(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("sys.executable", str(tmp_path / "elsewhere" / "python"))
    monkeypatch.setenv(CALLS, str(tmp_path / "calls.txt"))
    write_frames(tmp_path / "data")
    values = {
        "output": str(tmp_path / "run"),
        "model": {"baseline": {"method": "nnunet", "epochs": 5}},
        "data": {"folder": str(tmp_path / "data")},
        "device": "cpu",
    }
    return parse_recipe(values, where="test")


def calls(recipe: Recipe) -> list[str]:
    return (recipe.output.parent / "calls.txt").read_text().split()


def test_a_run_is_planned_trained_kept_and_asked(recipe: Recipe) -> None:
    assert train(recipe) is ExitCode.DONE
    run, record = recipe.output, read_run(recipe.output)
    assert calls(recipe) == ["nnUNetv2_plan_and_preprocess", "nnUNetv2_train"]
    assert (record.status, record.model_preset) == ("finished", "baseline nnunet")
    assert (record.progress.optimizer_steps, record.progress.samples_seen) == (1250, 1250 * 7)
    (kept,) = complete_checkpoints(run / "checkpoints")
    assert kept.name == "checkpoint-1250"
    evaluation = evaluate_model(run, recipe.data.folder, split="test", device="cpu", batch=1)
    assert set(evaluation.phrases) == {TREE_PHRASE}
    assert evaluation.kinds["vessel_tree"].metrics["dice"].frame.mean == 1.0
    assert calls(recipe)[2:] == ["nnUNetv2_predict_from_modelfolder"]  # one call, whatever the batch
    assert train(recipe, resume=True) is ExitCode.DONE
    assert len(calls(recipe)) == 3


def test_a_run_that_failed_goes_on_from_where_nnunet_was(recipe: Recipe) -> None:
    (recipe.output / "nnunet").mkdir(parents=True)
    (recipe.output / "nnunet" / FAIL_ONCE).touch()
    with pytest.raises(ModelError, match="nnUNetv2_train failed with exit code 1"):
        train(recipe)
    assert read_run(recipe.output).status == "failed"
    assert train(recipe, resume=True) is ExitCode.DONE
    assert calls(recipe) == ["nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_train"]
    record = read_run(recipe.output)
    assert (record.status, len(record.checkpoints)) == ("finished", 1)


def test_masks_come_back_to_their_frames_and_a_failure_is_told(recipe: Recipe) -> None:
    train(recipe)
    kept = complete_checkpoints(recipe.output / "checkpoints")[-1]
    (kept / "nnunet" / "fold_0" / "checkpoint_final.pth").write_bytes(b"others")
    manifest = Manifest(recipe.data.folder)
    with pytest.raises(ModelError, match="nnUNetv2_predict_from_modelfolder failed"):
        list(load(recipe.output, "cpu").predict(manifest, manifest.records(), batch=1))
    (kept / "nnunet" / "fold_0" / "checkpoint_final.pth").write_bytes(b"weights")
    predictions = list(load(recipe.output, "cpu").predict(manifest, manifest.records(), batch=1))
    truth = {record.frame_id: record.targets[0].mask for record in manifest.records()}
    assert {p.frame_id: p.mask for p in predictions} == truth


def test_trainers_are_called_by_nnunets_own_names() -> None:
    assert [trainer_name(epochs) for epochs in (1, 100, 1000)] == [
        "nnUNetTrainer_1epoch",
        "nnUNetTrainer_100epochs",
        "nnUNetTrainer",
    ]
