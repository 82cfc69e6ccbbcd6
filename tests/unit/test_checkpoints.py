"""A save that was cut off, by a kill or a full disk, is never taken for a checkpoint and never costs an earlier one."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from angiova.errors import ExitCode, TrainingError
from angiova.files import read_json, sha256_file
from angiova.run_record import read_run
from angiova.training.checkpoints import COMPLETE_NAME, complete_checkpoints, mark_complete
from angiova.training.config import load_recipe
from angiova.training.trainer import train
from models import small_model, write_frames

NUM_KILLS = 50
NUM_STEPS = 400


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    model, processor = small_model()
    model.save_pretrained(folder / "start")
    processor.tokenizer.save_pretrained(folder / "start")
    write_frames(folder / "data")
    return folder


def write_recipe(start: Path, run: Path, repeats: int, saves: int) -> Path:
    recipe = {
        "output": str(run),
        "model": {"checkpoint": str(start / "start")},
        "data": {"folder": str(start / "data"), "repeats": repeats, "workers": 0},
        "batch": {"micro": 1},
        "device": "cpu",
        "validation": {"times": saves, "frames": 1},
        "tensorboard": False,
    }
    path = run.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Return a function that makes writing fail beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda num_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [1_000_000, 40_000_000], ids=["for no weights", "for weights but no optimizer"])
def test_a_full_disk_is_said_and_costs_no_earlier_checkpoint(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_limit: Callable[[int], None], room: int
) -> None:
    assert 1_000_000 < (start / "start" / "model.safetensors").stat().st_size < 40_000_000
    run = tmp_path / "run"
    recipe = load_recipe(write_recipe(start, run, repeats=1, saves=4))

    def fill_disk_after(folder: Path) -> None:
        mark_complete(folder)
        file_limit(room)

    monkeypatch.setattr("angiova.training.loop.mark_complete", fill_disk_after)
    with pytest.raises(TrainingError, match=r"checkpoint-2: checkpoint cannot be written.*--resume"):
        train(recipe)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["checkpoint-1"]
    assert_whole(run / "checkpoints" / "checkpoint-1")
    assert read_run(run).status == "failed"
    file_limit(resource.RLIM_INFINITY)
    monkeypatch.undo()
    assert train(recipe, resume=True) is ExitCode.DONE
    assert read_run(run).progress.optimizer_steps == 4


def assert_whole(checkpoint: Path) -> None:
    for name, facts in read_json(checkpoint / COMPLETE_NAME)["files"].items():
        assert sha256_file(checkpoint / name) == facts["sha256"], checkpoint / name


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_50_random_moments_it_goes_on_from_the_last_complete_checkpoint(start: Path, tmp_path: Path) -> None:
    run, rng = tmp_path / "run", random.Random(0)
    recipe = write_recipe(start, run, repeats=NUM_STEPS // 4, saves=NUM_STEPS)
    command = [sys.executable, "-m", "angiova", "train", str(recipe)]
    killed_while_saving = 0
    for _ in range(NUM_KILLS):
        complete = complete_checkpoints(run / "checkpoints")
        arguments = ["--resume"] if complete else []
        with subprocess.Popen([*command, *arguments], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as running:
            # One more checkpoint at least, so that every round gets somewhere; then any moment.
            while complete_checkpoints(run / "checkpoints")[-1:] == complete[-1:]:
                assert running.poll() is None
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 1))
            running.kill()
        found = complete_checkpoints(run / "checkpoints")
        assert found[-1] != (complete[-1] if complete else None)
        for checkpoint in found:
            assert_whole(checkpoint)
        killed_while_saving += len(list((run / "checkpoints").glob("checkpoint-*"))) > len(found)
    assert killed_while_saving > 0
    assert train(load_recipe(recipe), resume=True) is ExitCode.DONE
    assert not list(run.rglob("*.tmp*"))
    for checkpoint in (run / "checkpoints").glob("checkpoint-*"):
        assert_whole(checkpoint)
