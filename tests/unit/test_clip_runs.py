"""Runs with clips: resumed bit by bit, the same in every layout, kept in an adapter, counted by the plan."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from angiova.errors import ConfigError, ExitCode
from angiova.files import sha256_file
from angiova.inference.predictor import load
from angiova.model.adapters import Base, adapter_tensors, attach_adapter, save_adapter, select_trainable
from angiova.model.fingerprint import fingerprint
from angiova.model.opening import open_model
from angiova.model.trainable import TrainableSettings
from angiova.run_record import read_run
from angiova.training.callbacks import read_metrics
from angiova.training.checkpoints import complete_checkpoints
from angiova.training.config import Recipe, parse_recipe
from angiova.training.plan import plan_parts
from angiova.training.trainer import train
from models import small_model, write_runs

NUM_SAMPLES = 16
FP32_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small checkpoint and runs of which every other frame is labelled."""
    folder = tmp_path_factory.mktemp("start")
    model, processor = small_model()
    model.save_pretrained(folder / "model")
    processor.tokenizer.save_pretrained(folder / "model")
    write_runs(folder / "data", labelled=(0, 2, 3, 5))
    return folder


def recipe(start: Path, output: Path, micro: int = 2, accumulation: int = 1, **changes: object) -> Recipe:
    clips = {"share": 0.6, "frames": 3}
    values: dict[str, Any] = {
        "output": str(output),
        "model": {"checkpoint": str(start / "model")},
        "data": {"folder": str(start / "data"), "repeats": NUM_SAMPLES // 8, "workers": 0, "clips": clips},
        "device": "cpu",
        "batch": {"micro": micro, "accumulation": accumulation},
        "validation": {"times": 2, "frames": 2},
        "log_every": 1,
        "tensorboard": False,
    }
    return parse_recipe(values | changes, where="test")


@pytest.fixture(scope="module")
def finished(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    assert train(recipe(start, run)) is ExitCode.DONE
    return run


def losses_of(run: Path) -> list[dict[str, float]]:
    return [line["losses"] for line in read_metrics(run / "metrics.jsonl") if "losses" in line]


def test_the_memory_is_trained_where_there_are_clips(start: Path, finished: Path) -> None:
    parts = {part.name: part for part in read_run(finished).model_parts}
    assert parts["segmenter_memory"].trainable == parts["segmenter_memory"].total > 0
    before, after = (load(folder, "cpu").model.segmenter.state_dict() for folder in (start / "model", finished))
    for name in (
        "memory_attention.layer_norm.weight",
        "memory_encoder.projection.weight",
        "memory_temporal_positional_encoding",
    ):
        assert not torch.equal(before[name], after[name]), name


def test_resume_with_clips_equals_no_stop_bitwise(start: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def interrupt() -> None:
        while len(read_metrics(run / "metrics.jsonl")) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert train(recipe(start, run)) is ExitCode.FAILED
    assert 0 < read_run(run).progress.optimizer_steps < NUM_SAMPLES // 2
    assert train(recipe(start, run), resume=True) is ExitCode.DONE
    ours, theirs = (complete_checkpoints(folder / "checkpoints")[-1] for folder in (run, finished))
    assert sha256_file(ours / "model.safetensors") == sha256_file(theirs / "model.safetensors")
    assert losses_of(run) == losses_of(finished)


@pytest.mark.slow
def test_the_layout_of_a_step_does_not_change_what_is_learnt(start: Path, tmp_path: Path) -> None:
    layouts = {"whole": (8, 1), "parts": (1, 8)}
    for name, (micro, accumulation) in layouts.items():
        changes = {"validation": {"times": 0}}
        assert train(recipe(start, tmp_path / name, micro, accumulation, **changes)) is ExitCode.DONE
    courses = [losses_of(tmp_path / name) for name in layouts]
    assert len(courses[0]) == NUM_SAMPLES // 8
    for whole, parts in zip(*courses, strict=True):
        assert parts == pytest.approx(whole, rel=FP32_TOLERANCE, abs=FP32_TOLERANCE)


def test_an_adapter_keeps_the_memory(start: Path, tmp_path: Path) -> None:
    settings = TrainableSettings(language_model="frozen", vocabulary="frozen", segmenter_memory=True)
    base = Base(folder=start / "model", fingerprint=fingerprint(start / "model"))
    model, _ = open_model(start / "model")
    select_trainable(model, settings)
    with torch.no_grad():
        model.segmenter.memory_attention.layer_norm.weight.add_(1.0)
        model.segmenter.no_object_pointer.add_(1.0)
    save_adapter(tmp_path, model, base, settings)
    reopened, _ = open_model(start / "model")
    attach_adapter(reopened, tmp_path, start / "model")
    stored, kept = adapter_tensors(model), adapter_tensors(reopened)
    assert stored.keys() == kept.keys() and all(torch.equal(stored[name], kept[name]) for name in kept)
    assert {"segmenter.memory_attention.layer_norm.weight", "segmenter.no_object_pointer"} <= kept.keys()


def test_the_plan_counts_the_memory(start: Path, tmp_path: Path) -> None:
    with_clips = recipe(start, tmp_path / "a", data={"folder": "d", "clips": {"share": 0.5}}, model={"preset": "nano"})
    without = recipe(start, tmp_path / "b", data={"folder": "d"}, model={"preset": "nano"})
    rows = [{row.name: row for row in plan_parts(values)}["segmenter_memory"] for values in (with_clips, without)]
    assert rows[0].trainable == rows[0].parameters > 0 == rows[1].trainable
    assert rows[0].optimizer_bytes == 8 * rows[0].parameters


def test_a_memory_without_clips_and_clips_for_a_baseline_are_refused(start: Path, tmp_path: Path) -> None:
    data = {"folder": str(start / "data")}
    with pytest.raises(ConfigError, match=r"data\.clips\.share"):
        recipe(start, tmp_path, data=data, trainable={"segmenter_memory": True})
    with pytest.raises(ConfigError, match=r"data\.clips\.share"):
        recipe(start, tmp_path, model={"baseline": {"method": "unet"}})
    with pytest.raises(ConfigError, match=r"data\.clips\.frames"):
        recipe(start, tmp_path, data=data | {"clips": {"frames": 0}})
