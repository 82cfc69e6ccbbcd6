"""A small run folder that is complete and agrees with itself in every number, for tests of reports and audits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from angiova.data import rle
from angiova.data.manifest import Manifest, Provenance, write_dataset
from angiova.data.pixels import write_png
from angiova.data.records import FrameRecord, Origin, Prediction, Split, Target, TargetKind
from angiova.evaluation.evaluate import evaluate
from angiova.evaluation.store import write_evaluation
from angiova.files import sha256_file, write_json
from angiova.run_record import (
    Checkpoint,
    DataFacts,
    LossFacts,
    ModelPart,
    Progress,
    Resources,
    RunRecord,
    SplitFacts,
    write_run,
)

SIDE = 32
SEGMENTS = {"6": "proximal LAD", "7": "mid LAD"}
CHECKPOINT = "checkpoints/checkpoint-100"
STEPS = 100
LOG_EVERY = 10
WEIGHTS = {"mask": 2.0, "dice": 0.5}


def mask(top: int, height: int = 6, left: int = 3) -> rle.Rle:
    pixels = np.zeros((SIDE, SIDE), dtype=bool)
    pixels[top : top + height, left : left + 24] = True
    return rle.encode(pixels)


def targets(index: int) -> tuple[Target, ...]:
    tree = Target("coronary artery tree", TargetKind.VESSEL_TREE, mask(index, 14), Origin.SIMULATED)
    named = [
        Target(phrase, TargetKind.SEGMENT, mask(index + 8 * n), Origin.SIMULATED, segment=number)
        for n, (number, phrase) in enumerate(SEGMENTS.items())
    ]
    return (tree, *named)


def make_dataset(folder: Path, name: str, *, patients: bool = True) -> Manifest:
    """Eight frames of four patients in the test split."""
    records = []
    for index in range(8):
        image = f"images/{index}.png"
        write_png(folder / image, np.full((SIDE, SIDE), 100 + index, dtype=np.uint8))
        patient = f"P{index // 2}" if patients else None
        frame_id, run = f"{name}{index}", f"run{index}"
        record = FrameRecord(frame_id, image, SIDE, SIDE, "s", "0", run, 0, patient, targets=targets(index))
        records.append(replace(record, split=Split.TEST))
    return write_dataset(folder, records, Provenance("test", "code", "0", frames_are_independent=not patients))


def make_answers(manifest: Manifest, *, perfect: bool = False) -> list[Prediction]:
    """Every target moved by 0 to 3 columns, so that scores differ."""
    answers = []
    for index, record in enumerate(manifest.records()):
        for target in record.targets:
            moved = np.roll(rle.decode(target.mask), 0 if perfect else index % 4, axis=1)
            answers.append(Prediction(record.frame_id, target.phrase, rle.encode(moved), 0.9))
    return answers


def logged_losses() -> list[tuple[int, dict[str, float]]]:
    """(step, losses): both fall fast, then hold with a little wobble, as real ones do."""
    steps = range(LOG_EVERY, STEPS + 1, LOG_EVERY)
    wobble = [0.0, 0.02, -0.02, 0.01, -0.01, 0.02, 0.0, -0.02, 0.01, 0.0]
    return [
        (step, {"mask": 1.0 + 8.0 * 0.5**n + wobble[n], "dice": 0.5 + 0.5 * 0.5**n + wobble[n] / 2})
        for n, step in enumerate(steps)
    ]


def make_record(manifest: Manifest, text: str = "") -> RunRecord:
    """100 optimizer steps of 2 micro-steps of 4 samples in 3600 s, with `text` where a user's text can stand."""
    train = SplitFacts(frames=200, patients=20, targets=600, frame_ids_sha256="ab" * 32, runs=40)
    test = SplitFacts(frames=8, patients=4, targets=24, frame_ids_sha256="ba" * 32)
    losses = [values for _, values in logged_losses()]
    return RunRecord(
        angiova_version="0.1.0",
        code_commit="4c2f2ef",
        command=["angiova", "train", "recipes/nano.yaml", text],
        status="finished",
        started="2026-11-23T05:00:00+00:00",
        finished="2026-11-23T06:02:00+00:00",
        machine={"cpu": "two cores", "driver": None, "num_devices": 1, "device": "cpu"},
        recipe={
            "optimizer": {"lr": 0.0002, "betas": [0.9, 0.999], "clip": 1.0},
            "batch": {"micro": 4, "accumulation": 2},
            "data": {"repeats": 4, "train_split": "train"},
            "losses": WEIGHTS,
            "validation": {"times": 1},
            "precision": "fp32",
            "note": text,
        },
        seed=1234,
        data=DataFacts(
            folder="/data/set",
            manifest_sha256=manifest.sha256(),
            frames_are_independent=manifest.provenance.frames_are_independent,
            splits={"train": train, "test": test},
            importer="test",
            source="code",
        ),
        model_preset="nano",
        model_parts=[
            ModelPart(name="language model", total=3_000, trainable=1_000, num_bytes=12_000),
            ModelPart(name="segmenter", total=1_000, trainable=1_000, num_bytes=4_000),
        ],
        progress=Progress(
            samples_seen=8 * STEPS, micro_steps=2 * STEPS, optimizer_steps=STEPS, planned_optimizer_steps=STEPS
        ),
        losses={
            name: LossFacts(
                weight=weight,
                first=sum(values[name] for values in losses[:5]) / 5,
                last=sum(values[name] for values in losses[-5:]) / 5,
            )
            for name, weight in WEIGHTS.items()
        },
        resources=Resources(seconds={"setup": 60.0, "training": 3663.0, "total": 3723.0}, peak_rss_bytes=2_500_000_000),
        messages=[f"clipped {text}"],
    )


def write_metrics(path: Path) -> None:
    lines: list[dict[str, object]] = []
    for step, losses in logged_losses():
        total = sum(WEIGHTS[name] * value for name, value in losses.items())
        numbers = {"epoch": step * 8 / 200, "lr": 1e-4, "grad_norm": 0.5, "seconds": 36.0 * step, "loss": total}
        lines.append({"optimizer_step": step, "samples_seen": 8 * step, **numbers, "losses": losses})
    lines.append({"optimizer_step": STEPS, "validation": {"dice_vessel_tree": 0.5, "score": 0.5}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_checkpoint(run: Path) -> Checkpoint:
    """Write 4,000 values as safetensors and the list that marks them complete."""
    folder = run / CHECKPOINT
    folder.mkdir(parents=True)
    weights = folder / "model.safetensors"
    save_file({"weight": np.zeros((40, 100), dtype=np.float32)}, weights)
    listing = {weights.name: {"num_bytes": weights.stat().st_size, "sha256": sha256_file(weights)}}
    write_json(folder / "complete.json", {"files": listing})
    num_bytes = sum(path.stat().st_size for path in folder.iterdir())
    return Checkpoint(
        path=CHECKPOINT, role="best", optimizer_step=STEPS, num_bytes=num_bytes, sha256=sha256_file(weights)
    )


def make_run(folder: Path, *, text: str = "f", patients: bool = True, perfect: bool = False) -> Path:
    """Write a small but complete run folder, with `text` wherever a user's text can stand."""
    manifest, run = make_dataset(folder / "set", text, patients=patients), folder / "run"
    answers = make_answers(manifest, perfect=perfect)
    write_evaluation(run / "evaluation", manifest, evaluate(manifest, Split.TEST, answers), answers)
    write_metrics(run / "metrics.jsonl")
    checkpoint = write_checkpoint(run)
    record = make_record(manifest, text)
    write_run(run, record.model_copy(update={"checkpoints": [checkpoint], "evaluations": ["evaluation"]}))
    return run
