"""Where memory is not enough, micro-batches become smaller, steps keep their examples, and the user hears of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from angiova.errors import ExitCode, TrainingError
from angiova.model.modeling import Sa2VAModel
from angiova.report.audit.auditing import audit
from angiova.run_record import read_run
from angiova.training.config import BatchSettings
from angiova.training.rehearsal import halved
from angiova.training.trainer import train
from models import quick_recipe, write_start


@pytest.fixture
def start(tmp_path: Path) -> Path:
    return write_start(tmp_path)


@contextmanager
def memory_for(sequences: int, free_calls: int = 0) -> Iterator[list[int]]:
    """Run out of memory in a training forward pass of more sequences, after so many that are free."""
    forward, seen = Sa2VAModel.forward, []

    def limited(self: Sa2VAModel, *args: Any, **inputs: Any) -> Any:  # noqa: ANN401
        if "masks" in inputs:
            seen.append(len(inputs["input_ids"]))
            if len(seen) > free_calls and seen[-1] > sequences:
                raise torch.OutOfMemoryError("injected")
        return forward(self, *args, **inputs)

    patch = pytest.MonkeyPatch()
    patch.setattr(Sa2VAModel, "forward", limited)
    try:
        yield seen
    finally:
        patch.undo()


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_the_rehearsal_halves_until_it_fits_and_learns_the_same(start: Path) -> None:
    assert train(quick_recipe(start, "straight")) is ExitCode.DONE
    with memory_for(sequences=1) as seen:
        assert train(quick_recipe(start, "short", engine={"rehearsal": True})) is ExitCode.DONE
    assert seen[:5] == [4, 2, 1, 1, 1]
    assert losses(start / "short") == pytest.approx(losses(start / "straight"), rel=1e-5)
    record = read_run(start / "short")
    assert record.recipe["batch"] == {"micro": 1, "accumulation": 4}
    assert record.messages == [
        "out of memory: batch.micro 4 -> 2, batch.accumulation 1 -> 2; an optimizer step keeps its examples",
        "out of memory: batch.micro 2 -> 1, batch.accumulation 2 -> 4; an optimizer step keeps its examples",
    ]


def test_running_out_in_the_middle_goes_on_from_the_last_step(start: Path) -> None:
    assert train(quick_recipe(start, "straight")) is ExitCode.DONE
    with memory_for(sequences=2, free_calls=2):
        assert train(quick_recipe(start, "cut")) is ExitCode.DONE
    record = read_run(start / "cut")
    assert record.status == "finished"
    assert (record.progress.optimizer_steps, record.progress.micro_steps, record.progress.samples_seen) == (4, 8, 16)
    assert losses(start / "cut") == pytest.approx(losses(start / "straight"), rel=1e-5)
    assert yaml.safe_load((start / "cut" / "recipe.yaml").read_text())["batch"] == {"micro": 2, "accumulation": 2}
    assert not [finding for finding in audit(start / "cut").findings if finding.rule == "steps-arithmetic"]


def test_a_single_example_that_does_not_fit_is_refused(start: Path) -> None:
    with memory_for(sequences=0), pytest.raises(TrainingError, match="one example does not fit in memory"):
        train(quick_recipe(start, "none", engine={"rehearsal": True}))


def test_the_rehearsal_leaves_weights_and_random_numbers_alone(start: Path) -> None:
    for name, wanted in (("without", False), ("with", True)):
        assert train(quick_recipe(start, name, engine={"rehearsal": wanted})) is ExitCode.DONE
    assert losses(start / "with") == losses(start / "without")


@pytest.mark.parametrize(("before", "after"), [((8, 1), (4, 2)), ((6, 2), (3, 4)), ((3, 4), (1, 12))])
def test_halving_keeps_the_examples_of_a_step(before: tuple[int, int], after: tuple[int, int]) -> None:
    smaller = halved(BatchSettings(micro=before[0], accumulation=before[1]))
    assert (smaller.micro, smaller.accumulation) == after
