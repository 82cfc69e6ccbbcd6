"""A run: resume equals no stop, half checkpoints don't count, NaN stops before the step, and what run.json says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from transformers import TrainerState

from angiova.data.manifest import Manifest, assign_splits
from angiova.data.records import Split
from angiova.errors import ConfigError, DataError, ExitCode, TrainingError
from angiova.files import sha256_file
from angiova.inference.evaluation import evaluate_model
from angiova.inference.predictor import load
from angiova.model.fingerprint import fingerprint
from angiova.report.audit.auditing import audit
from angiova.run_record import read_run
from angiova.training.averaging import AVERAGE_NAME, AveragedWeights
from angiova.training.callbacks import read_metrics
from angiova.training.checkpoints import COMPLETE_NAME, complete_checkpoints
from angiova.training.config import Recipe, dump_recipe, load_recipe
from angiova.training.learner import make_learner
from angiova.training.trainer import train
from angiova.training_history import history_of
from models import SIDE_PX, small_model, write_frames


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small checkpoint and a data set."""
    folder = tmp_path_factory.mktemp("start")
    model, processor = small_model()
    model.save_pretrained(folder / "model")
    processor.tokenizer.save_pretrained(folder / "model")
    write_frames(folder / "data")
    return folder


def recipe(start: Path, output: Path, **changes: object) -> Recipe:
    values: dict[str, object] = {
        "output": str(output),
        "model": {"checkpoint": str(start / "model")},
        "data": {"folder": str(start / "data"), "repeats": 3, "workers": 0},
        "device": "cpu",
        "batch": {"micro": 2, "accumulation": 1},
        "validation": {"times": 2, "frames": 2},
        "log_every": 1,
        "tensorboard": False,
    }
    return Recipe.model_validate(values | changes)


@pytest.fixture(scope="module")
def finished(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that went to its end."""
    run = tmp_path_factory.mktemp("finished") / "run"
    assert train(recipe(start, run)) is ExitCode.DONE
    return run


def test_the_record_says_what_happened(start: Path, finished: Path) -> None:
    record = read_run(finished)
    assert record.status == "finished"
    assert (record.progress.samples_seen, record.progress.micro_steps, record.progress.optimizer_steps) == (12, 6, 6)
    assert record.data.manifest_sha256 == Manifest(start / "data").sha256()
    assert record.data.splits["train"].frames == 4
    assert record.data.splits["train"].patients == 2
    model = load(finished).model
    assert sum(part.total for part in record.model_parts) == sum(p.numel() for p in model.parameters())
    assert set(record.losses) == {"language", "mask", "dice", "iou", "presence", "absence", "coarse"}
    for checkpoint in record.checkpoints:
        folder = finished / checkpoint.path
        assert checkpoint.sha256 == sha256_file(folder / "model.safetensors")
    micro, optimizer = record.resources.micro_step, record.resources.optimizer_step
    assert micro is not None
    assert optimizer is not None
    assert (micro.count, optimizer.count) == (6, 6)
    assert 0 < micro.mean < optimizer.mean <= optimizer.longest
    assert optimizer.mean * 6 <= record.resources.seconds["training"]
    assert record.resources.cpu_seconds is not None
    cores = record.machine["cpu_cores"]
    assert isinstance(cores, int)
    assert 0 < record.resources.cpu_seconds <= (record.resources.seconds["total"] + 1) * cores
    assert record.interruptions == []
    assert record.warnings is not None
    lines = read_metrics(finished / "metrics.jsonl")
    assert [line["optimizer_step"] for line in lines if "losses" in line] == [1, 2, 3, 4, 5, 6]
    weights = record.recipe["losses"]
    for line in (line for line in lines if "losses" in line):
        assert line["loss"] == pytest.approx(sum(weights[k] * v for k, v in line["losses"].items()), rel=1e-5)


@pytest.mark.parametrize("average", [None, pytest.param(0.9, marks=pytest.mark.slow)])
def test_resume_equals_no_stop_bitwise(start: Path, finished: Path, tmp_path: Path, average: float | None) -> None:
    run, straight, changes = tmp_path / "run", finished, {"optimizer": {"average": average}}
    if average is not None:
        straight = tmp_path / "straight"
        assert train(recipe(start, straight, **changes)) is ExitCode.DONE

    def interrupt() -> None:
        while len(read_metrics(run / "metrics.jsonl")) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert train(recipe(start, run, **changes)) is ExitCode.FAILED
    stopped = read_run(run)
    assert stopped.status == "stopped"
    assert 0 < stopped.progress.optimizer_steps < 6
    assert train(recipe(start, run, **changes), resume=True) is ExitCode.DONE
    [interruption] = read_run(run).interruptions
    assert (interruption.stopped, interruption.optimizer_step) == (stopped.finished, stopped.progress.optimizer_steps)
    ours, theirs = (complete_checkpoints(folder / "checkpoints")[-1] for folder in (run, straight))
    assert ours.name == theirs.name == "checkpoint-6"
    weights = sorted(path.name for path in theirs.glob("*.safetensors"))
    assert len(weights) == (1 if average is None else 3)
    assert [sha256_file(ours / name) for name in weights] == [sha256_file(theirs / name) for name in weights]
    expected, resumed = (
        [line["losses"] for line in read_metrics(folder / "metrics.jsonl") if "losses" in line]
        for folder in (straight, run)
    )
    assert resumed == expected


def test_accumulation_counts_micro_steps(start: Path, tmp_path: Path) -> None:
    changes = {"batch": {"micro": 1, "accumulation": 2}, "validation": {"times": 0}}
    assert train(recipe(start, tmp_path / "run", **changes)) is ExitCode.DONE
    progress = read_run(tmp_path / "run").progress
    assert (progress.samples_seen, progress.micro_steps, progress.optimizer_steps) == (12, 12, 6)
    timed = read_run(tmp_path / "run").resources
    assert timed.micro_step is not None
    assert timed.optimizer_step is not None
    assert (timed.micro_step.count, timed.optimizer_step.count) == (12, 6)
    assert len(complete_checkpoints(tmp_path / "run" / "checkpoints")) == 1


def test_another_data_set_is_mixed_in_and_written_down(start: Path, tmp_path: Path) -> None:
    """Four frames four times are half of the samples; the other half comes from two frames of another data set."""
    other = write_frames(tmp_path / "other", frames=4)
    also = [{"folder": str(other.folder), "share": 0.5}]
    data = {"folder": str(start / "data"), "repeats": 4, "workers": 0, "also": also}
    run = tmp_path / "mixed"
    assert train(recipe(start, run, data=data, batch={"micro": 8})) is ExitCode.DONE
    record = read_run(run)
    assert record.progress.samples_seen == 32
    (mixed,) = record.data.also
    assert (mixed.share, mixed.trained.frames, mixed.source) == (0.5, 2, "drawn")
    trained = history_of(run)
    assert trained is not None
    assert trained["frame_id"].to_list() == ["f0", "f1", "f4", "f5", "f0", "f1"]
    assert "steps-planned" not in [finding.code for finding in audit(run).findings]


def test_half_a_checkpoint_does_not_count(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    shutil.copytree(finished / "checkpoints", folder)
    *earlier, last = complete_checkpoints(folder)
    (last / "model.safetensors").write_bytes(b"half")
    assert complete_checkpoints(folder) == earlier
    (earlier[0] / COMPLETE_NAME).unlink()
    assert complete_checkpoints(folder) == []


def test_losses_that_are_not_finite_stop_the_run_and_change_nothing(start: Path, tmp_path: Path) -> None:
    broken = tmp_path / "model"
    shutil.copytree(start / "model", broken)
    model = load(broken, device="cpu").model
    with torch.no_grad():
        model.bridge.output.bias[0] = float("nan")
    model.save_pretrained(broken)
    with pytest.raises(TrainingError, match=r"loss mask.* is not finite at optimizer step 2, 3 steps in a row"):
        train(recipe(start, tmp_path / "run", model={"checkpoint": str(broken)}))
    assert read_run(tmp_path / "run").status == "failed"
    assert read_run(tmp_path / "run").resources.counters["skipped_steps"] == 3


def test_a_run_is_not_overwritten_and_nothing_is_resumed_from_nothing(
    start: Path, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="already holds a run"):
        train(recipe(start, finished))
    with pytest.raises(ConfigError, match="no complete checkpoint"):
        train(recipe(start, tmp_path / "nothing"), resume=True)


def test_evaluation_of_a_run_is_kept_beside_it(start: Path, finished: Path) -> None:
    evaluation = evaluate_model(finished, start / "data", split="test", device="cpu")
    assert evaluation.split == Split.TEST
    assert {path.name for path in (finished / "evaluation").iterdir()} >= {"evaluation.json", "predictions.parquet"}
    assert read_run(finished).evaluations == ["evaluation"]
    kept = json.loads((finished / "evaluation" / "evaluation.json").read_text())
    assert kept["num_frames"] == 2
    leakage = evaluation.leakage
    assert leakage is not None and leakage.is_clean and leakage.num_training_frames > 0


def test_frames_trained_on_are_refused_as_a_test_from_a_checkpoint_too(
    start: Path, finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(start / "data", tmp_path / "data")
    manifest = Manifest(tmp_path / "data")
    assign_splits(manifest, {r.frame_id: Split.TEST for r in manifest.records(Split.TRAIN)}, False)
    checkpoint = next((finished / "checkpoints").glob("checkpoint-*"))
    options = {"split": "test", "out": tmp_path / "out", "device": "cpu"}
    with pytest.raises(DataError, match=r"the model was trained on .* patients of this split"):
        evaluate_model(checkpoint, tmp_path / "data", **options)
    assert not (tmp_path / "out").exists()
    evaluation = evaluate_model(checkpoint, tmp_path / "data", **options, allow_leakage=True)
    assert "trained-on-test" in {finding.code for finding in evaluation.findings}
    assert not evaluation.is_trustworthy


def test_the_language_warm_up_learns_the_names(start: Path, tmp_path: Path) -> None:
    changes = {"language_warmup": {"steps": 60, "batch": 8}, "validation": {"times": 0}}
    train(recipe(start, tmp_path / "run", **changes))
    (message,) = read_run(tmp_path / "run").messages
    first, last = (float(part) for part in message.rpartition("loss ")[2].split(" -> "))
    assert last < 0.3 * first


def test_recipes_name_the_wrong_field(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("output: run\nmodel: {preset: nano}\ndata: {folder: d, repeat: 3}\n")
    with pytest.raises(ConfigError, match=r"data\.repeat"):
        load_recipe(path)
    with pytest.raises(ConfigError, match=r"optimizer\.lr"):
        load_recipe(path, ["data.repeat=", "optimizer.lr=-1"])
    with pytest.raises(ConfigError, match="refiner_px can be chosen"):
        load_recipe(path, ["data.repeat=", "model={baseline: {method: unet}, refiner_px: 512}"])
    with pytest.raises(ConfigError, match="recipe not found"):
        load_recipe(tmp_path / "none.yaml")


def test_overrides_and_written_recipes_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("output: run\nmodel: {preset: nano}\ndata: {folder: d}\n")
    changed = load_recipe(path, ["optimizer.lr=1e-3", "data.examples.joined=0", "batch.micro=3"])
    assert (changed.optimizer.lr, changed.data.examples.joined, changed.batch.micro) == (1e-3, 0, 3)
    path.write_text(dump_recipe(changed))
    assert load_recipe(path) == changed


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"schedule": "linear"}, [1, 0.75, 0.5, 0.25]),
        ({"schedule": "constant"}, [1, 1, 1, 1]),
        ({"schedule": "wsd", "cooldown": 0.5}, [1, 1, 1, 0.5]),
    ],
)
def test_schedules(start: Path, tmp_path: Path, schedule: dict[str, object], expected: list[float]) -> None:
    changes = {
        "optimizer": {"lr": 1e-3, "warmup": 0, **schedule},
        "data": {"folder": str(start / "data"), "repeats": 2, "workers": 0},
        "validation": {"times": 0},
    }
    assert train(recipe(start, tmp_path / "run", **changes)) is ExitCode.DONE
    rates = [line["lr"] / 1e-3 for line in read_metrics(tmp_path / "run" / "metrics.jsonl")]
    assert rates == pytest.approx(expected)


def test_training_ends_when_validation_does_not_get_better(start: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    changes = {"optimizer": {"lr": 1e-12}, "validation": {"times": 6, "frames": 2, "patience": 2}}
    assert train(recipe(start, run, **changes)) is ExitCode.DONE
    record = read_run(run)
    assert record.status == "finished"
    assert record.progress.optimizer_steps == 3 < record.progress.planned_optimizer_steps
    assert "no better score in 2 validations" in record.messages[-1]
    assert record.checkpoints[-1].optimizer_step == 3


def test_the_model_remembers_the_size_of_the_frames_it_learnt_from(start: Path, tmp_path: Path) -> None:
    def working_px(**model: object) -> int | None:
        settings = recipe(start, tmp_path / "run", model=model)
        return make_learner(settings, Manifest(start / "data"), torch.device("cpu")).model.config.refiner_px

    assert working_px(checkpoint=str(start / "model")) is None
    assert working_px(checkpoint=str(start / "model"), refiner_px=64) == 64
    assert working_px(preset="nano", tile_px=64, segmenter_px=128, refiner_width=8) == SIDE_PX


def test_a_loss_without_weight_is_not_measured(start: Path, tmp_path: Path) -> None:
    changes = {"losses": {"cldice": 0.5}, "data": {"folder": str(start / "data"), "repeats": 1, "workers": 0}}
    assert train(recipe(start, tmp_path / "run", **changes)) is ExitCode.DONE
    losses = read_run(tmp_path / "run").losses
    assert losses["cldice"].weight == 0.5 and 0 < losses["cldice"].first <= 1
    assert "focal" not in losses


def test_the_average_is_saved_and_training_goes_on_from_the_trained_weights(start: Path, tmp_path: Path) -> None:
    weights = {}
    for name, average in (("plain", None), ("averaged", 0.9)):
        assert train(recipe(start, tmp_path / name, optimizer={"average": average})) is ExitCode.DONE
        weights[name] = load(tmp_path / name, "cpu").model.bridge.output.weight
    lines = [read_metrics(tmp_path / name / "metrics.jsonl") for name in weights]
    losses = [[line["loss"] for line in of_run if "loss" in line] for of_run in lines]
    assert losses[0] == losses[1]
    assert not torch.equal(weights["plain"], weights["averaged"])
    newest = complete_checkpoints(tmp_path / "averaged" / "checkpoints")[-1]
    before = fingerprint(newest)
    (newest / AVERAGE_NAME).unlink()
    assert fingerprint(newest) == before  # an adapter can have it as its base


def test_the_average_is_by_hand(tmp_path: Path) -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    average = AveragedWeights(layer, 0.5)
    for step, value in enumerate((10.0, 20.0)):
        torch.nn.init.constant_(layer.weight, value)
        average.on_optimizer_step(None, TrainerState(global_step=step), None)
    # shares 1 - 2/11 and 1 - 3/12
    expected = 0.25 * (10 * 9 / 11) + 0.75 * 20
    with average.in_place():
        assert layer.weight.item() == pytest.approx(expected)
    assert layer.weight.item() == 20
    average.save(tmp_path)
    other = torch.nn.Linear(1, 1, bias=False)
    resumed = AveragedWeights(other, 0.5)
    resumed.load(tmp_path)
    assert other.weight.item() == 20
    with resumed.in_place():
        assert other.weight.item() == pytest.approx(expected)
