"""What a run counts of itself, parts that are trained from a later step on, and services that it may report to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from angiova.errors import ConfigError, ExitCode
from angiova.model.adapters import select_trainable
from angiova.model.parts import trained_parts
from angiova.model.trainable import TrainableSettings
from angiova.run_record import read_run
from angiova.training import processes
from angiova.training.observing import count_events, describe_speed, slow_processes
from angiova.training.timing import StepTimer
from angiova.training.trainer import train
from models import quick_recipe, small_model, write_start


@pytest.fixture
def start(tmp_path: Path) -> Path:
    return write_start(tmp_path)


def run(start: Path, name: str, **fields: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    assert train(quick_recipe(start, name, **fields)) is ExitCode.DONE
    return [json.loads(line) for line in (start / name / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


def test_gradients_of_parts_add_up_to_the_clipped_norm(start: Path) -> None:
    lines = run(start, "run", optimizer={"clip": 0.1})
    parts = trained_parts(small_model()[0])
    for line in lines:
        assert line["grad_norms"].keys() <= parts.keys()
        assert {"refiner", "bridge", "language_model", "segmenter_encoder"} <= line["grad_norms"].keys()
        assert line["grad_norm"] > 0.1
        total = sum(norm**2 for norm in line["grad_norms"].values()) ** 0.5
        assert total == pytest.approx(0.1, rel=1e-2)  # all but what belongs to no part
    record = read_run(start / "run")
    assert record.resources.counters["long_data_waits"] >= 0
    assert record.resources.slow_processes == []


def test_a_part_is_left_alone_until_its_step(start: Path) -> None:
    before = weights(start / "start")
    run(start, "late", optimizer={"unfreeze": {"refiner": 1.0}})
    run(start, "half", optimizer={"unfreeze": {"refiner": 0.5}})
    changed = {}
    for name in ("late", "half"):
        after = weights(start / name / "checkpoints" / "checkpoint-4")
        changed[name] = {key for key in before if not torch.equal(before[key], after[key])}
    assert not [key for key in changed["late"] if key.startswith("refiner.")]
    assert [key for key in changed["late"] if key.startswith("bridge.")]
    assert [key for key in changed["half"] if key.startswith("refiner.")]


def test_a_part_that_waits_does_not_count_where_gradients_are_clipped(start: Path) -> None:
    unclipped = run(start, "waits", optimizer={"unfreeze": {"language_model": 1.0}, "clip": 1e9})
    for line in unclipped:
        assert "language_model" not in line["grad_norms"]
        assert line["grad_norm"] == pytest.approx(sum(n**2 for n in line["grad_norms"].values()) ** 0.5, rel=1e-2)


def test_a_part_that_is_not_trained_cannot_start_later(start: Path) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.unfreeze: segmenter_memory is not trained at all"):
        run(start, "none", optimizer={"unfreeze": {"segmenter_memory": 0.5}})


def test_trained_parts_follow_the_settings() -> None:
    model, _ = small_model()
    select_trainable(model, TrainableSettings())
    assert set(trained_parts(model)) == {
        "projector", "language_model", "vocabulary", "bridge", "segmenter_decoder", "refiner",
    }  # fmt: skip


def test_a_service_that_is_not_installed_is_refused_before_training(start: Path) -> None:
    with pytest.raises(ConfigError, match=r"report_to: mlflow is not installed -> pip install mlflow"):
        run(start, "asked", report_to=["mlflow"])
    assert not (start / "asked").exists()


def timer(waits_s: list[float], steps_s: list[float]) -> StepTimer:
    made = StepTimer()
    made._waits_s, made._optimizer_s, made._micro_s = waits_s, steps_s, steps_s
    return made


def test_long_waits_are_counted_but_not_the_first() -> None:
    assert count_events(timer([5.0, 0.01, 0.2, 0.05, 0.3], [1.0] * 5), torch.device("cpu")) == {"long_data_waits": 2}
    assert count_events(StepTimer(), torch.device("cpu")) == {"long_data_waits": 0}


def test_the_speed_is_said_in_words() -> None:
    cpu = torch.device("cpu")
    assert describe_speed(None, cpu) == ""
    speed = timer([0.0] * 2, [2.0] * 2).throughput(samples_per_step=8, num_devices=2)
    assert speed is not None
    assert describe_speed(speed, cpu) == "4.00 samples/s  0.500 device-s a sample"
    of_a_gpu = speed.model_copy(update={"flop_utilisation": 0.414})
    assert describe_speed(of_a_gpu, cpu).endswith("a sample  41 % of peak FLOP/s")


def test_a_process_that_takes_longer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "gather", lambda _: [1.0, 1.02, 1.3, 0.99])
    assert slow_processes(timer([0.0], [1.0])) == [2]
