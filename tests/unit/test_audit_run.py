"""A run of ours is computed again: an untouched one passes, and each single damage gives exactly its finding."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from angiova.code_version import CHANGED
from angiova.errors import DataError
from angiova.files import read_json, sha256_file, write_json
from angiova.model.adapters import select_trainable
from angiova.model.parts import parameter_table
from angiova.model.presets import build_nano
from angiova.model.trainable import TrainableSettings
from angiova.report.audit.auditing import audit
from angiova.training.config import parse_recipe
from runs import CHECKPOINT, make_run

Damage = Callable[[Path], None]
FIRST_FRAME = pl.when(pl.col("frame_id") == "f0")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("audited"))


def codes(run: Path) -> list[str]:
    return [finding.code for finding in audit(run).findings]


def record(*path: str | int, value: object) -> Damage:
    """Set one field of run.json."""
    return lambda run: _set(run / "run.json", path, value)


def evaluation(*path: str | int, value: object) -> Damage:
    return lambda run: _set(run / "evaluation" / "evaluation.json", path, value)


def _set(file: Path, path: tuple[str | int, ...], value: object) -> None:
    content = read_json(file)
    place = content
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    write_json(file, content)


def log(index: int, **values: object) -> Damage:
    """Set fields of one line of metrics.jsonl."""

    def damage(run: Path) -> None:
        lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
        lines[index] |= values
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    return damage


def cases(expression: pl.Expr) -> Damage:
    def damage(run: Path) -> None:
        path = run / "evaluation" / "frames.csv"
        pl.read_csv(path).with_columns(expression).write_csv(path)

    return damage


def other_weights(run: Path) -> None:
    """As many bytes as before, other values."""
    save_file({"weight": np.ones((40, 100), dtype=np.float32)}, run / CHECKPOINT / "model.safetensors")


def one_shard(run: Path) -> None:
    """A quarter of the values, everything else recorded as it is."""
    folder = run / CHECKPOINT
    weights = folder / "model.safetensors"
    save_file({"weight": np.zeros((10, 100), dtype=np.float32)}, weights)
    listing = {weights.name: {"num_bytes": weights.stat().st_size, "sha256": sha256_file(weights)}}
    write_json(folder / "complete.json", {"files": listing})
    num_bytes = sum(path.stat().st_size for path in folder.iterdir())
    record("checkpoints", 0, "sha256", value=sha256_file(weights))(run)
    record("checkpoints", 0, "num_bytes", value=num_bytes)(run)


def trained_on_test(run: Path) -> None:
    frame_ids = sorted(set(pl.read_csv(run / "evaluation" / "frames.csv")["frame_id"]))
    listing = sha256("\n".join(frame_ids).encode()).hexdigest()
    record("data", "splits", "train", "frame_ids_sha256", value=listing)(run)


LEAKAGE = {"num_training_frames": 200, "num_shared_patients": 0, "num_shared_files": 2, "num_near_duplicates": 0}

DAMAGES: dict[str, tuple[str, Damage]] = {
    "files of training": ("train-test-overlap", evaluation("leakage", value=LEAKAGE)),
    "samples": ("steps-arithmetic", record("progress", "samples_seen", value=801)),
    "micro-steps": ("steps-arithmetic", record("progress", "micro_steps", value=100)),
    "planned": ("steps-planned", record("data", "splits", "train", "frames", value=100)),
    "finished early": ("status-steps", record("progress", "planned_optimizer_steps", value=100 - 1)),
    "log goes back": ("log-order", log(3, optimizer_step=30, samples_seen=240)),
    "log counts otherwise": ("log-samples", log(3, samples_seen=1)),
    "sum": ("loss-sum", log(4, loss=99.0)),
    "summary": ("loss-summary", record("losses", "mask", "last", value=0.01)),
    "clock": ("clock", record("resources", "seconds", "total", value=7200.0)),
    "clock too long": ("clock", record("finished", value="2026-11-23T09:02:00+00:00")),
    "log longer than run": ("clock-log", log(9, seconds=9000.0)),
    "more trained than there is": ("parameters-trainable", record("model_parts", 1, "trainable", value=1_001)),
    "weights changed": ("checkpoint-hash", other_weights),
    "weights of another run": ("checkpoint-hash", record("checkpoints", 0, "sha256", value="00" * 32)),
    "size": ("checkpoint-bytes", record("checkpoints", 0, "num_bytes", value=5)),
    "one shard": ("checkpoint-parameters", one_shard),
    "checkpoint gone": ("files-missing", lambda run: shutil.rmtree(run / CHECKPOINT)),
    "a case's dice": (
        "case-dice",
        cases(FIRST_FRAME.then(0.5).otherwise("dice").alias("dice")),
    ),
    "mean": ("evaluation-mean", evaluation("kinds", "segment", "metrics", "dice", "frame", "mean", value=0.99)),
    "same frames": ("train-test-overlap", trained_on_test),
}


def test_an_untouched_run_has_no_finding(whole_run: Path) -> None:
    found = audit(whole_run)
    assert found.findings == ()
    assert found.sources == ("run.json", "metrics.jsonl", "evaluation/evaluation.json", "evaluation/frames.csv")


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_gives_exactly_its_finding(name: str, whole_run: Path, tmp_path: Path) -> None:
    code, damage = DAMAGES[name]
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    damage(run)
    expected = {code} | ({"evaluation-mean"} if code == "case-dice" else set())
    assert set(codes(run)) == expected
    assert codes(run).count(code) == 1


def test_a_killed_run_is_not_finished_and_nothing_else(whole_run: Path, tmp_path: Path) -> None:
    """Its record is the one written at the start, its log goes further."""
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    for field, value in {"finished": None, "status": "running", "losses": {}, "checkpoints": []}.items():
        record(field, value=value)(run)
    record("progress", value={"planned_optimizer_steps": 100})(run)
    record("resources", value={})(run)
    assert codes(run) == ["not-finished"]


def test_a_baseline_with_a_trainer_of_its_own_is_not_held_to_the_recipe(whole_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    (run / "metrics.jsonl").unlink()
    record("losses", value={})(run)
    record("progress", "samples_seen", value=60)(run)
    assert set(codes(run)) == {"files-missing", "steps-arithmetic"}
    record("recipe", "model", value={"baseline": {"method": "frangi"}})(run)
    assert codes(run) == []


def test_memory_beyond_the_device(whole_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    record("machine", "device_bytes", value=1000)(run)
    record("resources", "peak_device_bytes", value=[900])(run)
    assert codes(run) == []
    record("resources", "peak_device_bytes", value=[900, 1001])(run)
    assert codes(run) == ["memory-device"]


def test_perfect_scores_are_an_error_even_where_their_finding_was_removed(tmp_path: Path) -> None:
    run = make_run(tmp_path, perfect=True)
    assert {"scores-perfect", "prediction-is-target"} <= set(codes(run))
    evaluation("findings", value=[])(run)
    assert set(codes(run)) == {"scores-constant"}


def test_a_resumed_run_may_have_stood_still(whole_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    record("finished", value="2026-11-25T09:02:00+00:00")(run)
    record("messages", value=["resumed 2026-11-25T09:00:00+00:00"])(run)
    assert codes(run) == []


def test_parts_are_counted_again_on_the_preset(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("angiova.report.audit.checks_weights.code_commit", lambda: "0123456")
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    recipe: dict[str, Any] = parse_recipe(
        {
            "output": "o",
            "model": {"preset": "nano"},
            "data": {"folder": "d", "repeats": 4},
            "batch": {"micro": 4, "accumulation": 2},
        },
        where="test",
    ).model_dump(mode="json")
    model, _ = build_nano()
    select_trainable(model, TrainableSettings.everything())
    parts = [part.model_dump() for part in parameter_table(model)]
    shutil.rmtree(run / "checkpoints")
    record("checkpoints", value=[])(run)
    record("recipe", value=recipe)(run)
    record("model_parts", value=parts)(run)
    record("code_commit", value="0123456")(run)
    assert codes(run) == []
    record("model_parts", 2, "total", value=parts[2]["total"] // 4 + parts[2]["trainable"])(run)
    assert codes(run) == ["parameters-part"]
    record("code_commit", value="of another day")(run)  # whose preset may have been another
    assert codes(run) == []
    monkeypatch.setattr("angiova.report.audit.checks_weights.code_commit", lambda: "0123456" + CHANGED)
    record("code_commit", value="0123456" + CHANGED)(run)  # and so may that of files that were changed since
    assert codes(run) == []


def test_a_recipe_without_its_batch_is_refused_by_name(whole_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    record("recipe", value={})(run)
    with pytest.raises(DataError, match=r"run\.json: field recipe\.batch\.micro"):
        audit(run)
