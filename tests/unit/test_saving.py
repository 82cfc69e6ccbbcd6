"""Checkpoints written in the background are those that would have been written at once, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from angiova.errors import ExitCode, TrainingError
from angiova.run_record import read_run
from angiova.training import loop
from angiova.training.checkpoints import complete_checkpoints, drop_older, mark_complete
from angiova.training.config import Recipe
from angiova.training.saving import CheckpointWriter, copied
from angiova.training.trainer import train
from models import quick_recipe, write_start

# Longer than any step takes; reached only where training waits for the disk.
PATIENCE_S = 120.0


@pytest.fixture
def start(tmp_path: Path) -> Path:
    return write_start(tmp_path)


def recipe(start: Path, name: str, in_background: bool, **fields: Any) -> Recipe:  # noqa: ANN401
    chosen = {
        "trainable": {"lora": {"rank": 4, "alpha": 8}},
        "engine": {"save_in_background": in_background},
        "validation": {"times": 2, "frames": 1},
    }
    return quick_recipe(start, name, **(chosen | fields))


def test_the_same_is_written_and_resumed_from(start: Path) -> None:
    for name, in_background in (("at-once", False), ("beside", True)):
        assert train(recipe(start, name, in_background)) is ExitCode.DONE
        assert [c.optimizer_step for c in read_run(start / name).checkpoints] == [2, 4]
    for step in (2, 4):
        ours, theirs = (start / name / "checkpoints" / f"checkpoint-{step}" for name in ("beside", "at-once"))
        assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
        torch.testing.assert_close(load_file(ours / "adapter.safetensors"), load_file(theirs / "adapter.safetensors"))
        states = [torch.load(folder / "optimizer.pt")["state"] for folder in (ours, theirs)]
        torch.testing.assert_close(*states)
    (start / "beside" / "checkpoints" / "checkpoint-4" / "complete.json").unlink()
    assert train(recipe(start, "beside", True), resume=True) is ExitCode.DONE
    weights = [load_file(start / n / "checkpoints/checkpoint-4/adapter.safetensors") for n in ("beside", "at-once")]
    torch.testing.assert_close(*weights)


def test_training_goes_on_while_a_slow_disk_writes(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint of step 2 is not written before step 3 is under way: training that waited for it would not end."""
    steps, went_on, waited = [], Event(), []

    def slow(folder: Path, *args: Any) -> None:  # noqa: ANN401
        waited.append(went_on.wait(PATIENCE_S))
        write(folder, *args)

    def counted(self: loop.Sa2VATrainer, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        steps.append(self.state.global_step)
        if self.state.global_step == 2:
            went_on.set()
        return compute(self, *args, **kwargs)

    write, compute = loop._write_adapter, loop.Sa2VATrainer.compute_loss
    monkeypatch.setattr(loop, "_write_adapter", slow)
    monkeypatch.setattr(loop.Sa2VATrainer, "compute_loss", counted)
    assert train(recipe(start, "beside", in_background=True)) is ExitCode.DONE
    assert steps == [0, 0, 1, 2, 3]  # the very first counts arithmetic
    assert waited == [True, True]
    assert len(complete_checkpoints(start / "beside" / "checkpoints")) == 2


def test_a_disk_that_fills_up_in_the_background_is_said_and_costs_no_earlier_checkpoint(
    start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, *args: Any) -> None:  # noqa: ANN401
        if folder.name == "checkpoint-4":
            raise OSError(28, "No space left on device")
        write(folder, *args)

    write = loop._write_adapter
    monkeypatch.setattr(loop, "_write_adapter", full)
    with pytest.raises(TrainingError, match="No space left on device"):
        train(recipe(start, "full", True))
    kept = complete_checkpoints(start / "full" / "checkpoints")
    assert [folder.name for folder in kept] == ["checkpoint-2"]
    assert not (start / "full" / "checkpoints" / "checkpoint-4").exists()
    assert read_run(start / "full").status == "failed"


def test_jobs_come_in_order_and_copies_do_not_change() -> None:
    writer, order = CheckpointWriter(in_background=True), []
    for number in range(5):
        writer.do(Path("x"), lambda number=number: order.append(number))
    writer.finish()
    assert order == list(range(5))
    state = {"a": [torch.zeros(2)], "b": 3}
    kept = copied(state)
    state["a"][0].add_(1)
    assert kept["b"] == 3 and not kept["a"][0].any()


@pytest.mark.parametrize(("best", "kept"), [(None, [3, 4]), (1, [1, 4]), (4, [3, 4])])
def test_the_best_and_the_newest_checkpoints_are_kept(tmp_path: Path, best: int | None, kept: list[int]) -> None:
    folders = {step: tmp_path / f"checkpoint-{step}" for step in range(1, 6)}
    for step, folder in folders.items():
        folder.mkdir()
        (folder / "weights").write_text("w")
        if step < 5:  # the last is still being written
            mark_complete(folder)
    drop_older(tmp_path, None if best is None else folders[best])
    assert sorted(tmp_path.iterdir()) == [*(folders[step] for step in kept), folders[5]]
