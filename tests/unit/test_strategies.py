"""Sharing out weights, gradients and optimizer changes neither what is learnt nor what is saved."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

import fsdp_on_cpus
from angiova.errors import ConfigError
from angiova.run_record import read_run
from angiova.training import strategies
from angiova.training.checkpoints import complete_checkpoints
from angiova.training.config import Recipe, parse_recipe
from models import small_model, write_start

NO_DEEPSPEED = importlib.util.find_spec("deepspeed") is None
needs_deepspeed = pytest.mark.skipif(NO_DEEPSPEED, reason="DeepSpeed is not installed: pip install angiova[deepspeed]")
TOLERANCE = 1e-5
# Its target counts pixels above a threshold, so the rounding of one pixel shows.
IOU_TOLERANCE = 1e-3
LORA = {"language_model": "lora", "lora": {"rank": 4, "alpha": 8, "dropout": 0.0}}
PARTS = {"refiner": 3.0, "projector": 0.5}
CPU, GPU = torch.device("cpu"), torch.device("cuda")


def values(start: Path, output: Path, strategy: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    recipe = {
        "output": str(output),
        "model": {"checkpoint": str(start / "start")},
        "data": {"folder": str(start / "data"), "repeats": 4, "workers": 0},
        "batch": {"micro": 1, "accumulation": 2},
        "optimizer": {"lr_scale": PARTS},
        "engine": {"strategy": strategy},
        "device": "cpu",
        "validation": {"times": 2, "frames": 2},
        "log_every": 1,
        "tensorboard": False,
    }
    return recipe | fields


def write(start: Path, output: Path, strategy: str, **fields: Any) -> Path:  # noqa: ANN401
    path = output.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(values(start, output, strategy, **fields)))
    return path


def parsed(strategy: str, **fields: Any) -> Recipe:  # noqa: ANN401
    return parse_recipe(values(Path("there"), Path("run"), strategy, **fields), where="test")


def command(recipe: Path, devices: int, *arguments: str) -> list[str]:
    if yaml.safe_load(recipe.read_text())["engine"]["strategy"] != "fsdp2":
        return [sys.executable, "-m", "angiova", "train", str(recipe), "--devices", str(devices), *arguments]
    several = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(devices)]
    return [*several, fsdp_on_cpus.__file__, str(recipe), *arguments]


def train(recipe: Path, devices: int, *arguments: str) -> None:
    finished = subprocess.run(command(recipe, devices, *arguments), capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def course(run: Path) -> list[dict[str, float]]:
    """Return every loss, the learning rate, the norm of all gradients and the scores of each line of the log."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    single = [{name: line[name] for name in ("loss", "lr", "grad_norm") if name in line} for line in lines]
    return [
        numbers | line.get("losses", {}) | line.get("validation", {})
        for numbers, line in zip(single, lines, strict=True)
    ]


def assert_same_course(run: Path, other: Path) -> None:
    for ours, theirs in zip(course(run), course(other), strict=True):
        assert ours.pop("iou", 0) == pytest.approx(theirs.pop("iou", 0), rel=IOU_TOLERANCE)
        assert ours == pytest.approx(theirs, rel=TOLERANCE, abs=TOLERANCE)


def last(run: Path) -> Path:
    return complete_checkpoints(run / "checkpoints")[-1]


def assert_same_checkpoint(run: Path, other: Path, tolerance: float = 5e-5) -> None:
    """Compare weights and the optimizer's state by name, and every setting of each group of parameters."""
    names = sorted(path.name for path in last(other).glob("*.safetensors"))
    assert sorted(path.name for path in last(run).glob("*.safetensors")) == names and names
    for name in names:
        torch.testing.assert_close(
            load_file(last(run) / name), load_file(last(other) / name), atol=tolerance, rtol=tolerance
        )
    ours, theirs = (torch.load(last(r) / "optimizer.pt", weights_only=True) for r in (run, other))
    assert ours["param_groups"] == theirs["param_groups"]
    torch.testing.assert_close(ours["state"], theirs["state"], atol=1e-6, rtol=1e-3)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("strategies"))


@pytest.fixture(scope="module")
def alone(start: Path) -> Path:
    """Return a run of one process that trains everything."""
    train(write(start, start / "alone", "ddp", batch={"micro": 4}), 1)
    return start / "alone"


@pytest.fixture(scope="module")
def adapter_alone(start: Path) -> Path:
    """Return a run of one process that trains an adapter."""
    train(write(start, start / "adapter", "ddp", batch={"micro": 4}, trainable=LORA), 1)
    return start / "adapter"


STRATEGIES = ["fsdp2", pytest.param("zero2", marks=needs_deepspeed), pytest.param("zero3", marks=needs_deepspeed)]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_devices_learn_and_save_what_one_does(start: Path, alone: Path, tmp_path: Path, strategy: str) -> None:
    train(write(start, tmp_path / "run", strategy), 2)
    assert_same_course(tmp_path / "run", alone)
    assert_same_checkpoint(tmp_path / "run", alone)
    ours, theirs = read_run(tmp_path / "run"), read_run(alone)
    assert ours.model_parts == theirs.model_parts  # whole parameters, not shares of them
    assert ours.progress == theirs.progress.model_copy(update={"micro_steps": 8})


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_adapter_goes_on_from_any_strategy_on_any_number_of_devices(
    start: Path, adapter_alone: Path, tmp_path: Path, strategy: str
) -> None:
    """Half of a run under the strategy; the other half on one device as replica, and the other way round."""
    run = tmp_path / "run"
    recipe = write(start, run, strategy, trainable=LORA)
    stop_and_keep_the_first_checkpoint(recipe, run)
    train(write(start, run, "ddp", batch={"micro": 4}, trainable=LORA), 1, "--resume")
    assert_same_course(run, adapter_alone)
    assert_same_checkpoint(run, adapter_alone)
    shutil.rmtree(last(run))
    train(write(start, run, strategy, trainable=LORA), 2, "--resume")
    assert_same_course(run, adapter_alone)
    assert_same_checkpoint(run, adapter_alone)
    assert read_run(run).status == "finished"


def stop_and_keep_the_first_checkpoint(recipe: Path, run: Path) -> None:
    with subprocess.Popen(command(recipe, 2), stderr=subprocess.PIPE, text=True) as running:
        while not complete_checkpoints(run / "checkpoints"):
            assert running.poll() is None, running.communicate()[1]
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=120)
    for newer in complete_checkpoints(run / "checkpoints")[1:]:
        shutil.rmtree(newer)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_bf16_with_gradient_checkpointing_learns_much_the_same(start: Path, tmp_path: Path, strategy: str) -> None:
    options: dict[str, Any] = {"trainable": LORA, "precision": "bf16"}
    train(write(start, tmp_path / "one", "ddp", batch={"micro": 4}, **options), 1)
    engine = {"strategy": strategy, "gradient_checkpointing": True}
    train(write(start, tmp_path / "run", strategy, **options, engine=engine), 2)
    for ours, theirs in zip(course(tmp_path / "run"), course(tmp_path / "one"), strict=True):
        if "loss" in ours:
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.02)
    stored = {name: {t.dtype for t in load_file(path).values()} for name, path in files(tmp_path / "run").items()}
    assert stored == {"adapter.safetensors": {torch.bfloat16}, "full_precision.safetensors": {torch.float32}}


def files(run: Path) -> dict[str, Path]:
    return {path.name: path for path in last(run).glob("*.safetensors")}


@needs_deepspeed
def test_the_moving_average_is_kept_under_zero2(start: Path, tmp_path: Path) -> None:
    optimizer = {"average": 0.9}
    train(write(start, tmp_path / "one", "ddp", batch={"micro": 4}, optimizer=optimizer), 1)
    train(write(start, tmp_path / "run", "zero2", optimizer=optimizer), 2)
    assert_same_checkpoint(tmp_path / "run", tmp_path / "one")
    assert set(files(tmp_path / "run")) == {"model.safetensors", "average.safetensors", "trained.safetensors"}


def test_ddp_is_the_default_and_goes_with_everything() -> None:
    recipe = parsed("ddp", optimizer={"unfreeze": {"refiner": 0.5}, "average": 0.9})
    assert parsed("ddp", engine={}) == parsed("ddp")
    strategies.check_strategy(recipe, CPU)
    assert strategies.adapt(recipe) == (recipe, [])
    assert strategies.arguments(recipe, small_model()[0], CPU) == {}


@pytest.mark.parametrize(
    ("strategy", "fields", "conflict"),
    [
        ("zero2", {"optimizer": {"unfreeze": {"refiner": 0.5}}}, "optimizer.unfreeze"),
        ("zero2", {"engine": {"strategy": "zero2", "rehearsal": True}}, "engine.rehearsal"),
        ("zero3", {"engine": {"strategy": "zero3", "torch_compile": True}}, "engine.torch_compile"),
        ("zero3", {"engine": {"strategy": "zero3", "feature_cache": {"folder": "x"}}}, "engine.feature_cache"),
        ("zero3", {"data": {"folder": "x", "clips": {"share": 0.5}}}, "data.clips.share"),
        ("zero3", {"optimizer": {"average": 0.9}}, "optimizer.average"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, strategy: str, fields: dict[str, Any], conflict: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=rf"engine\.strategy: {strategy}: {strategy} does not go with {conflict}"):
        strategies.check_strategy(parsed(strategy, **fields), CPU)


@pytest.mark.parametrize("fields", [{"average": 0.9}, {"unfreeze": {}}])
def test_zero2_keeps_what_needs_whole_weights(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    strategies.check_strategy(parsed("zero2", optimizer=fields), CPU)


def test_a_package_or_hardware_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="fsdp2 needs GPUs"):
        strategies.check_strategy(parsed("fsdp2"), CPU)
    with pytest.raises(ConfigError, match="one device has nothing to share"):
        strategies.check_strategy(parsed("fsdp2"), GPU)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"DeepSpeed is not installed.*pip install angiova\[deepspeed\]"):
        strategies.check_strategy(parsed("zero3"), CPU)


def test_baselines_have_no_strategy() -> None:
    with pytest.raises(ConfigError, match="a baseline has no parts and no language, so it cannot have engine"):
        parsed("zero2", model={"baseline": {"method": "unet"}}, optimizer={})


def test_fused_layers_are_switched_off_where_weights_are_shared_out() -> None:
    recipe, news = strategies.adapt(parsed("zero3"))
    assert not recipe.engine.fused and recipe.engine.rehearsal is False
    assert [line.split(":")[0] for line in news] == ["engine.fused is off", "one device"]
    recipe, news = strategies.adapt(parsed("zero2"))
    assert recipe.engine.fused and [line.split(":")[0] for line in news] == ["one device"]


def test_deepspeed_gets_the_recipe_and_keeps_the_refiner_whole() -> None:
    model, _ = small_model()
    model.requires_grad_(False)
    model.bridge.requires_grad_(True)
    assert model.refiner is not None
    trained = sum(parameter.numel() for parameter in model.bridge.parameters())
    config = strategies.deepspeed_config(parsed("zero3", precision="bf16", optimizer={"clip": 0.5}), model, CPU)
    assert config["train_micro_batch_size_per_gpu"] == 1 and config["gradient_accumulation_steps"] == 2
    assert config["gradient_clipping"] == 0.5
    assert config["torch_autocast"]["enabled"] and not config["torch_autocast"]["lower_precision_safe_modules"]
    sharding = config["zero_optimization"]
    assert sharding["stage"] == 3
    assert 0 <= sharding["reduce_bucket_size"] - trained < 2 and sharding["reduce_bucket_size"] % 2 == 0
    largest = max(parameter.numel() for parameter in model.refiner.parameters())
    assert sharding["stage3_param_persistence_threshold"] == max(largest, strategies.WHOLE_BELOW)
    layers = model.vlm.model.language_model.layers[0]
    assert max(p.numel() for p in layers.parameters()) > sharding["stage3_param_persistence_threshold"]
    plain = strategies.deepspeed_config(parsed("zero2", precision="fp32"), model, CPU)
    assert plain["zero_optimization"]["stage"] == 2 and not plain["torch_autocast"]["enabled"]


def test_fsdp_gathers_layers_one_at_a_time() -> None:
    options = strategies.arguments(parsed("fsdp2"), small_model()[0], CPU)
    assert options["fsdp"] is True
    assert options["fsdp_config"] == {
        "version": 2,
        "reshard_after_forward": True,
        "transformer_layer_cls_to_wrap": ["InternVLVisionLayer", "Qwen2DecoderLayer", "Sam2MultiScaleBlock"],
    }
