"""How fast `angiova train` is, and in how much memory: GPU-seconds a sample, peak memory, waiting for data, start.

    python benchmarks/train_speed.py OUT [--preset internvl3-8b] [--variants ours,ours-24gb,reference] [--steps 14]
    python benchmarks/train_speed.py OUT --preset nano --variants ours --steps 4 --cpu
    python benchmarks/train_speed.py OUT --devices 2 --variants ours,ours-zero2,ours-fsdp2,reference,reference-zero3

The weights are random ones of the real shapes, made on the device and written to OUT/base once, so that opening them,
too, is measured. The frames are simulated. Each variant is a recipe that a process of its own trains, with loading,
augmentation and logging on; validation and saving too, where the variant says so. A line of JSON each, and a table at
the end. Memory is what PyTorch allocated at most, on the first device; `first step` lasts from the start of the
process. GPU-seconds are those of all devices together. `zero2` and `zero3` need the package deepspeed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import TrainerCallback, TrainerState, trainer

from angiova.cli import main as angiova
from angiova.data.manifest import Manifest
from angiova.data.prompts import tokenizer_corpus
from angiova.data.records import Split
from angiova.data.splits import split_dataset
from angiova.model.modeling import Sa2VAModel
from angiova.model.presets import preset_config
from angiova.model.tokenizer import build_nano_tokenizer
from angiova.run_record import read_run
from angiova.simulate import simulate

NUM_RUNS, NUM_FRAMES = 8, 48
LORA = {"language_model": "lora"}
LEAVE_S = 60
FRAMES = {"times": 1, "frames": 2, "batch": 2}
REFERENCE: dict[str, Any] = {
    "batch": {"micro": 1, "accumulation": 4},
    "trainable": LORA | {"vocabulary": "whole", "refiner": False},
    "engine": {"gradient_checkpointing": True},
    "stop": True,
}
# What a variant sets beside the recipe below; `stop` ends it after its steps, without validating or saving.
VARIANTS: dict[str, dict[str, Any]] = {
    "ours": {"batch": {"micro": 16}, "trainable": LORA, "validation": FRAMES},
    "ours-8": {"batch": {"micro": 8}, "trainable": LORA, "stop": True},
    "ours-24": {"batch": {"micro": 24}, "trainable": LORA, "stop": True},
    "plain": {"batch": {"micro": 8}, "trainable": LORA, "engine": {"fused": False}, "stop": True},
    "ours-compiled": {"batch": {"micro": 16}, "trainable": LORA, "engine": {"torch_compile": True}, "stop": True},
    # Two turns fill the cache, one file of 46 MB a frame; the steps that are measured read it.
    "ours-cached": {
        "batch": {"micro": 16},
        "trainable": LORA,
        "data": {"views": 1, "examples": {"whole_only": 0}},
        "engine": {"feature_cache": {"folder": "CACHE"}},
        "stop": True,
    },
    "ours-cached-24": {
        "batch": {"micro": 24},
        "trainable": LORA,
        "data": {"views": 1, "examples": {"whole_only": 0}},
        "engine": {"feature_cache": {"folder": "CACHE"}},
        "stop": True,
    },
    "ours-24gb": {
        "batch": {"micro": 4, "accumulation": 4},
        "trainable": LORA,
        "engine": {"gradient_checkpointing": True},
        "stop": True,
    },
    # The two turns that fill the cache are not measured.
    "ours-cached-compiled": {
        "batch": {"micro": 16},
        "trainable": LORA,
        "data": {"views": 1, "examples": {"whole_only": 0}},
        "engine": {"feature_cache": {"folder": "CACHE"}, "torch_compile": True},
        "stop": True,
    },
    "ours-4bit": {
        "batch": {"micro": 1, "accumulation": 4},
        "trainable": LORA | {"load_in_4bit": True},
        "engine": {"gradient_checkpointing": True},
        "stop": True,
    },
    "ours-zero2": {"batch": {"micro": 16}, "trainable": LORA, "engine": {"strategy": "zero2"}, "stop": True},
    "ours-fsdp2": {"batch": {"micro": 16}, "trainable": LORA, "engine": {"strategy": "fsdp2"}, "stop": True},
    "reference": REFERENCE,
    # As the first user ran it.
    "reference-zero3": REFERENCE | {"engine": {"strategy": "zero3", "gradient_checkpointing": True}},
}


class StopAfter(TrainerCallback):  # type: ignore[misc]
    """Ends a run after so many optimizer steps, as a failure: its costs are recorded, nothing is saved."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, args: object, state: TrainerState, control: object, **_: object) -> None:
        if state.global_step >= self.steps:
            raise SystemExit(0)


class Profile(TrainerCallback):  # type: ignore[misc]
    """Writes where the time of one optimizer step goes to a file, then ends the run."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path
        self.profiler = torch.profiler.profile()

    def on_step_end(self, args: object, state: TrainerState, control: object, **_: object) -> None:
        if state.global_step == self.step:
            self.profiler.start()
        if state.global_step == self.step + 1:
            self.profiler.stop()
            averages = self.profiler.key_averages()
            orders = ["self_cpu_time_total"] + ["self_cuda_time_total"] * torch.cuda.is_available()
            tables = [averages.table(sort_by=order, row_limit=45, max_name_column_width=90) for order in orders]
            self.path.write_text("\n".join(reversed(tables)))
            raise SystemExit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--preset", default="internvl3-8b")
    parser.add_argument("--variants", default="ours,ours-24gb,reference")
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--devices", type=int, default=1, help="that train together")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="for every variant")
    parser.add_argument("--size-px", type=int, default=512, help="side of the frames")
    parser.add_argument("--limit-s", type=float, default=200, help="a variant is ended after this time")
    parser.add_argument("--profile", action="store_true", help="profile one step of each variant instead")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        run_child(options)
        return
    device = torch.device("cpu" if options.cpu else "cuda")
    prepare(options.out, options.preset, options.size_px, device)
    torch.cuda.empty_cache()
    rows = [measure(name, options) for name in options.variants.split(",")]
    lines = [json.dumps(row) for row in rows]
    (options.out / "train_speed.jsonl").write_text("\n".join(lines) + "\n")
    print_table(rows)


def prepare(out: Path, preset: str, size_px: int, device: torch.device) -> None:
    """Write random weights with a tokenizer, and a data set; both are kept for the next time."""
    if not (out / "base" / "tokenizer.json").exists():
        started = time.monotonic()
        with device:
            model = Sa2VAModel._from_config(preset_config(preset), dtype=torch.bfloat16)
        model.save_pretrained(out / "base", max_shard_size="5GB")
        build_nano_tokenizer(tokenizer_corpus()).save_pretrained(out / "base")
        say(stage="weights", seconds=round(time.monotonic() - started, 1))
    if not (out / "data" / "manifest.parquet").exists():
        started = time.monotonic()
        simulate(out / "data", num_runs=NUM_RUNS, num_frames=NUM_FRAMES, size_px=size_px)
        split_dataset(out / "data", val=0.2, test=0.2, seed=0, frames_are_independent=False, resplit=False)
        say(stage="data", seconds=round(time.monotonic() - started, 1))


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train one variant in a process of its own and return its row."""
    run = options.out / "runs" / f"{name}-{int(time.time())}"
    recipe = write_recipe(name, run, options)
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(options.devices)]
    command = [sys.executable, *(several if options.devices > 1 else []), __file__, str(options.out)]
    command += ["--child", str(recipe), "--steps", str(options.steps)]
    command += ["--profile"] * options.profile + [part for text in options.set for part in ("--set", text)]
    started = time.monotonic()
    with run.with_suffix(".log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            code = process.wait(options.limit_s)
        except subprocess.TimeoutExpired:
            code = end(process)
    wall_s = round(time.monotonic() - started, 1)
    row = {"variant": name, "devices": options.devices, "exit": code, "wall_s": wall_s} | costs(run)
    say(**row)
    if code:
        print(run.with_suffix(".log").read_text()[-3000:], flush=True)
    if (run / "profile.txt").exists():
        print((run / "profile.txt").read_text()[:9000], flush=True)
    return row


def end(process: subprocess.Popen[bytes]) -> int:
    """End a process that takes too long; torchrun has half a minute to end those that it started."""
    process.terminate()
    try:
        return process.wait(LEAVE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def write_recipe(name: str, run: Path, options: argparse.Namespace) -> Path:
    """Write the recipe of a variant, with as many passes over the frames as its steps need."""
    variant = json.loads(json.dumps(VARIANTS[name]).replace("CACHE", str(options.out / "cache")))
    per_step = variant["batch"]["micro"] * variant["batch"].get("accumulation", 1) * options.devices
    recipe = {
        "output": str(run),
        "model": {"checkpoint": str(options.out / "base")},
        "data": {"folder": str(options.out / "data"), "repeats": 1},
        "device": "cpu" if options.cpu else "cuda",
        "optimizer": {"lr": 4.0e-5},
        "log_every": 5,
    }
    variant.pop("stop", None)
    recipe["data"] |= variant.pop("data", {})
    recipe |= {"validation": {"times": 0}} | variant
    frames = sum(1 for _ in Manifest(options.out / "data").records(Split.TRAIN))
    recipe["data"]["repeats"] = -(-options.steps * per_step // frames)
    run.parent.mkdir(parents=True, exist_ok=True)
    path = run.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(recipe))
    return path


def run_child(options: argparse.Namespace) -> None:
    """Train as `angiova train` does, stopped or profiled from outside."""
    name = options.child.stem.rpartition("-")[0]
    if options.profile:
        rank = os.environ.get("RANK", "0")
        callback = Profile(
            options.steps - 2, options.child.with_suffix("") / f"profile{rank if rank != '0' else ''}.txt"
        )
        trainer.DEFAULT_CALLBACKS.append(callback)
    elif VARIANTS[name].get("stop"):
        trainer.DEFAULT_CALLBACKS.append(StopAfter(options.steps))
    overrides = [part for text in options.set for part in ("--set", text)]
    sys.argv = ["angiova", "train", str(options.child), "--devices", "1", *overrides]
    angiova()


def costs(run: Path) -> dict[str, Any]:
    """Return what a run recorded of its costs; nothing where it did not come so far."""
    if not (run / "run.json").exists():
        return {}
    resources = read_run(run).resources
    if resources.throughput is None:
        return {}
    devices = resources.devices
    return {
        "gpu_s_per_sample": round(resources.throughput.device_seconds_per_sample, 4),
        "samples_per_s": round(resources.throughput.samples_per_second, 2),
        "steps": resources.throughput.steps,
        "data_wait_share": round(resources.throughput.data_wait_share, 4),
        "first_step_s": resources.seconds.get("first_step"),
        "setup_s": resources.seconds.get("setup"),
        "peak_gib": [round(device.peak_allocated_bytes / 2**30, 2) for device in devices],
        "reserved_gib": [round(device.peak_reserved_bytes / 2**30, 2) for device in devices],
        "device": devices[0].name if devices else "cpu",
        "tflop_per_sample": _tera(resources.throughput.flops_per_sample),
        "flop_utilisation": resources.throughput.flop_utilisation,
        "counters": resources.counters,
    }


def _tera(flops: float | None) -> float | None:
    return None if flops is None else round(flops / 1e12, 2)


def print_table(rows: list[dict[str, Any]]) -> None:
    names = (
        "variant",
        "devices",
        "gpu_s_per_sample",
        "flop_utilisation",
        "peak_gib",
        "reserved_gib",
        "data_wait_share",
        "first_step_s",
        "wall_s",
    )
    print("| " + " | ".join(names) + " |\n|" + " --- |" * len(names))
    for row in rows:
        print("| " + " | ".join(str(row.get(name, "-")) for name in names) + " |")


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
