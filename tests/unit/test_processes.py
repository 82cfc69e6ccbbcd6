"""Several processes learn what one learns, stop together, go on as another number, and say which of them failed."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from angiova.cli import main
from angiova.data.prompts import Turn
from angiova.errors import ExitCode
from angiova.model.adapters import select_trainable
from angiova.model.trainable import TrainableSettings
from angiova.run_record import read_run
from angiova.training import processes
from angiova.training.config import ModelSettings
from angiova.training.processes import start_processes
from angiova.training.watchdog import Note, Phase, stall_of
from models import draw_frame, small_model, write_frames

NUM_SAMPLES = 16
FP32_TOLERANCE = 1e-5
# The IoU of two hard masks: rounding that takes one pixel over the threshold shows.
IOU_TOLERANCE = 1e-3
# Half the distance of two neighbouring float32, relatively; and losses below which differences count absolutely.
ROUNDING, SMALL_LOSS = 6e-8, 1e-3


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    model, processor = small_model()
    model.save_pretrained(folder / "start")
    processor.tokenizer.save_pretrained(folder / "start")
    write_frames(folder / "data")
    return folder


def write_recipe(
    start: Path, output: Path, micro: int, accumulation: int, repeats: int = NUM_SAMPLES // 4, validations: int = 2
) -> Path:
    recipe = {
        "output": str(output),
        "model": {"checkpoint": str(start / "start")},
        "data": {"folder": str(start / "data"), "repeats": repeats, "workers": 0},
        "batch": {"micro": micro, "accumulation": accumulation},
        "device": "cpu",
        "validation": {"times": validations, "frames": 2},
        "log_every": 1,
        "tensorboard": False,
    }
    path = output.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(recipe))
    return path


def command(recipe: Path, devices: int, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "angiova", "train", str(recipe), "--devices", str(devices), *arguments]


def train(recipe: Path, devices: int, *arguments: str) -> None:
    finished = subprocess.run(command(recipe, devices, *arguments), capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_same_course(run: Path, other: Path) -> None:
    """Compare every loss, the gradient norm and each validation of two runs."""
    for ours, theirs in zip(lines(run), lines(other), strict=True):
        found, expected = measured(ours), measured(theirs)
        assert found.pop("iou", 0) == pytest.approx(expected.pop("iou", 0), rel=IOU_TOLERANCE)
        assert found == pytest.approx(expected, rel=FP32_TOLERANCE, abs=FP32_TOLERANCE)


def measured(line: dict[str, Any]) -> dict[str, float]:
    """Return every number of a log line but the time."""
    numbers = {name: value for name, value in line.items() if isinstance(value, float | int) and name != "seconds"}
    return numbers | line.get("losses", {}) | line.get("validation", {})


@pytest.fixture(scope="module")
def alone(start: Path) -> Path:
    """Return a run of one process whose micro-batch is the whole step."""
    train(write_recipe(start, start / "alone", micro=4, accumulation=1), devices=1)
    return start / "alone"


@pytest.mark.parametrize(
    ("micro", "accumulation", "devices"), [pytest.param(1, 4, 1, marks=pytest.mark.slow), (1, 2, 2)]
)
def test_the_layout_of_a_step_does_not_change_what_is_learnt(
    start: Path, alone: Path, tmp_path: Path, micro: int, accumulation: int, devices: int
) -> None:
    train(write_recipe(start, tmp_path / "run", micro, accumulation), devices)
    assert_same_course(tmp_path / "run", alone)
    record, straight = read_run(tmp_path / "run"), read_run(alone)
    assert record.machine["num_devices"] == devices
    assert record.progress.samples_seen == straight.progress.samples_seen == NUM_SAMPLES
    assert record.progress.micro_steps == NUM_SAMPLES // (micro * devices)


def drift(run: Path, other: Path) -> list[float]:
    """Return the largest relative difference of a loss or the gradient norm at each step, of all steps so far."""
    largest = 0.0
    drifts = []
    for ours, theirs in zip(lines(run), lines(other), strict=True):
        pairs = [(value, measured(theirs)[name]) for name, value in measured(ours).items() if name != "score"]
        largest = max(largest, *(abs(a - b) / max(abs(a), SMALL_LOSS) for a, b in pairs))
        drifts.append(largest)
    return drifts


@pytest.mark.slow
def test_in_50_steps_the_layout_changes_no_more_than_one_rounding_of_the_start(start: Path, tmp_path: Path) -> None:
    """Training enlarges any difference, also that of rounding sums in another order; no layout does better than that.

    What the last bit of the starting weights changes in the same layout is the measure.
    """
    rounded = tmp_path / "rounded" / "start"
    shutil.copytree(start / "start", rounded)
    (rounded.parent / "data").symlink_to(start / "data")
    generator = torch.Generator().manual_seed(0)
    tensors = load_file(rounded / "model.safetensors")
    nudged = {name: t * (1 + ROUNDING * torch.randn(t.shape, generator=generator)) for name, t in tensors.items()}
    save_file(nudged, rounded / "model.safetensors", metadata={"format": "pt"})
    layouts = (("one", 8, 1, 1), ("eight", 1, 8, 1), ("two", 1, 4, 2), ("nudged", 8, 1, 1))
    for name, micro, accumulation, devices in layouts:
        source = rounded.parent if name == "nudged" else start
        recipe = write_recipe(source, tmp_path / name, micro, accumulation, repeats=100, validations=0)
        train(recipe, devices)
    unavoidable = drift(tmp_path / "one", tmp_path / "nudged")
    assert len(unavoidable) == 50
    for name in ("eight", "two"):
        found = drift(tmp_path / "one", tmp_path / name)
        assert max(found[:10]) < FP32_TOLERANCE
        assert all(ours < FP32_TOLERANCE + 10 * theirs for ours, theirs in zip(found, unavoidable, strict=True))


@pytest.mark.slow
def test_two_nodes_started_by_torchrun_learn_the_same(start: Path, alone: Path, tmp_path: Path) -> None:
    recipe = write_recipe(start, tmp_path / "run", micro=2, accumulation=1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    node = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    meeting = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    nodes = [
        subprocess.Popen([*node, "--node-rank", str(rank), *meeting, "-m", "angiova", "train", str(recipe)])
        for rank in range(2)
    ]
    assert [running.wait(timeout=300) for running in nodes] == [0, 0]
    assert_same_course(tmp_path / "run", alone)


def test_two_processes_stop_together_and_one_goes_on(start: Path, alone: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = write_recipe(start, run, micro=2, accumulation=1)
    with subprocess.Popen(command(recipe, 2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while not (run / "metrics.jsonl").exists() or not lines(run):
            assert running.poll() is None, running.communicate()[1]
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=120)
    assert running.returncode == ExitCode.FAILED, errors
    assert read_run(run).status == "stopped"
    stopped_at = read_run(run).progress.optimizer_steps
    assert 0 < stopped_at < NUM_SAMPLES // 4
    train(write_recipe(start, run, micro=4, accumulation=1), 1, "--resume")
    assert read_run(run).status == "finished"
    losses = [{name: line[name] for name in ("optimizer_step", "loss")} for line in lines(run) if "loss" in line]
    expected = [{name: line[name] for name in ("optimizer_step", "loss")} for line in lines(alone) if "loss" in line]
    assert [line["optimizer_step"] for line in losses] == [line["optimizer_step"] for line in expected]
    assert [line["loss"] for line in losses] == pytest.approx([line["loss"] for line in expected], rel=FP32_TOLERANCE)


def test_another_effective_batch_is_not_resumed(
    start: Path, alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(start, alone, micro=2, accumulation=1)
    monkeypatch.setattr(sys, "argv", ["angiova", "train", str(recipe), "--resume"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == ExitCode.USAGE
    assert "planned with 4 optimizer steps, this is 8" in capsys.readouterr().err


def test_the_process_that_failed_is_named_and_the_others_are_ended(capsys: pytest.CaptureFixture[str]) -> None:
    script = "import os, sys, time; os.environ['RANK'] == '1' and sys.exit('no memory left'); time.sleep(3)"
    started = time.monotonic()
    assert start_processes(3, [sys.executable, "-c", script]) is ExitCode.FAILED
    assert time.monotonic() - started < 30
    assert "process 1 of 3 (counted from 0) failed:\nno memory left" in capsys.readouterr().err


def test_the_process_that_stands_still_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    script = """
import os, time
from angiova.training.watchdog import Notes, Phase
notes = Notes()
for phase in (Phase.READING, Phase.FORWARD, Phase.AVERAGING)[: 2 if os.environ["RANK"] == "1" else 3]:
    notes.say(phase)
time.sleep(60)
"""
    started = time.monotonic()
    assert start_processes(3, [sys.executable, "-c", script], stall_s=2) is ExitCode.FAILED
    assert time.monotonic() - started < 30
    error = capsys.readouterr().err
    assert "no process has moved for 2 s: process 1 is forward in micro-step 1; the other 2 wait" in error


def test_nothing_stands_still_before_the_first_step_or_while_somebody_moves() -> None:
    assert stall_of([], now_s=1e9) is None
    notes = [Note(0, 5, Phase.AVERAGING, time_s=0), Note(1, 5, Phase.FORWARD, time_s=90)]
    assert stall_of(notes, now_s=100, stall_s=60) is None
    assert stall_of([*notes, Note(2, 5, Phase.SAVING, time_s=50)], now_s=200, stall_s=60) is None
    stall = stall_of(notes, now_s=200, stall_s=60)
    assert stall is not None and "process 1 is forward in micro-step 5" in stall


@pytest.fixture
def others(tmp_path: Path) -> Iterator[None]:
    """Be one of several processes, of which there is only this one."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("others")
def test_a_batch_without_masks_gives_every_weight_a_gradient_of_zero() -> None:
    model, processor = small_model()
    select_trainable(model, TrainableSettings.everything())
    image = draw_frame(0)[0]
    batch = processor._frames([image])
    turns = (Turn("is there a catheter?", "no.", ()),)
    batch |= processor.dialogues([turns], [processor.image_block(count) for count in batch["tile_counts"]])
    output = model(**batch, frame_of_sequence=torch.arange(1), masks=[])
    assert output.masks is None
    sum(output.losses.values()).backward()
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert not [name for name, parameter in trained.items() if parameter.grad is None]
    assert not any(parameter.grad.any() for name, parameter in trained.items() if name.startswith("refiner."))
    assert any(parameter.grad.any() for name, parameter in trained.items() if name.startswith("vlm."))


@pytest.mark.parametrize(
    ("method", "expected"), [("frangi", False), ("nnunet", False), ("unet", True), ("dynunet", True)]
)
def test_only_training_by_gradient_takes_several_devices(method: str, expected: bool) -> None:
    assert ModelSettings.model_validate({"baseline": {"method": method}}).trains_by_gradient is expected
    assert ModelSettings.model_validate({"preset": "nano"}).trains_by_gradient


@pytest.mark.parametrize(
    ("name", "rank", "expected"), [("cuda", "1", "cuda:1"), ("cuda:0", "1", "cuda:1"), ("cpu", "1", "cpu")]
)
def test_each_process_has_a_gpu_of_its_own(
    name: str, rank: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert processes.own_device(torch.device(name)) == torch.device(expected)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert processes.own_device(torch.device(name)) == torch.device(name)
