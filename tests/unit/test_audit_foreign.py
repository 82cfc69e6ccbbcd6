"""Somebody else's run is computed again: a run that agrees passes, and each single damage gives its own finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from angiova.errors import DataError
from angiova.report.audit.auditing import audit
from angiova.report.audit.finding import Audit
from angiova.report.audit.known_models import known_size
from angiova.report.audit.printing import print_audit
from angiova.report.audit.read_config import claims_of_config
from angiova.report.audit.read_files import num_parameters
from angiova.report.audit.read_log import claims_of_log

FIRST_REPORT = Path(__file__).resolve().parents[1] / "figures" / "first_report.yaml"

# 1,219 frames x 10 over 4 devices: 3,048 micro-steps of 10 s are 8.47 h.
AGREEING: dict[str, Any] = {
    "model": "a model of ours",
    "architecture": {"parameters_total": 8.0e9, "parameters_trainable": 2.0e9, "trainable_share_percent": 25.0},
    "training": {
        "devices": {"count": 4, "kind": "NVIDIA RTX 3090", "memory_gb": 24},
        "micro_batch_per_device": 1,
        "gradient_accumulation_steps": 8,
        "effective_batch": 32,
        "epochs": 1,
        "repeats": 10,
        "frames": 1219,
        "videos": 36,
        "samples": 12190,
        "iterations": 3048,
        "iteration_unit": "micro_step",
        "started": "2025-11-19T21:26:00",
        "finished": "2025-11-20T05:56:00",
        "duration_hours": 8.5,
        "duration_days": 0.35,
        "seconds_per_iteration": 10.0,
        "memory_per_device_gb": [12, 18],
        "memory_utilisation_percent": [50, 75],
    },
    "losses": {"total": [10.0, 2.5, 75.0]},
    "evaluation": {
        "test_samples": 20,
        "metrics": {"dice": [0.8, 0.05], "iou": [0.68, 0.06]},
        "train_ids": ["p1", "p2"],
        "test_ids": ["p3"],
    },
    "checkpoints": {"files": {"iter_3048.pth": 4.0e9}},
}


def codes(found: Audit) -> list[str]:
    return [finding.code for finding in found.findings]


def audit_values(folder: Path, values: dict[str, Any]) -> Audit:
    path = folder / "figures.yaml"
    path.write_text(yaml.safe_dump(values))
    return audit(path)


def test_the_first_report_is_found_out() -> None:
    found = audit(FIRST_REPORT)
    assert codes(found) == [
        "scores-simulated",
        "parameters-one-shard",
        "trainable-share",
        "duration-timestamps",
        "iterations-time",
        "iterations-ambiguous",
    ]
    shown = "\n".join(line for finding in found.findings for line in (finding.message, *finding.arithmetic))
    for arithmetic in (
        "2.340 B x 4 devices = 9.360 B",
        "= 59.70 h",  # 21:26 on the 19th to 9:08 on the 22nd
        "12,192 iterations x 16.7 s = 56.56 h",
        "timestamps: 59.70 h",
        "stated duration: 64.70 h",
        "12,192 would be 4.00 passes",
        "12,192 would be 32.00 passes",
        "12,192 would be 1.00 passes",
        "1.250 B / 8.344 B = 14.98 %",
    ):
        assert arithmetic in shown, arithmetic


def test_the_size_of_the_8b_model_is_counted_not_written_down() -> None:
    parts = ("llm_lora_rank_64", "sam2_mask_decoder", "mlp1", "embed_tokens", "lm_head")
    known = known_size("Sa2VA-InternVL3-8B", parts)
    assert known is not None
    # embedding and head of 3584 x 151,6xx each; without LoRA the model is 161 million smaller
    assert 8.2e9 < known.total < 8.5e9
    assert known.trainable is not None
    assert 1.2e9 < known.trainable < 1.35e9
    bare = known_size("internvl3_8b", ())
    assert bare is not None
    assert bare.trainable is None
    # rank 64 beside every linear layer of 28 layers of Qwen2-7B: 64 * (in + out) summed
    widths = [(3584, 3584), (3584, 512), (3584, 512), (3584, 3584), (3584, 18944), (3584, 18944), (18944, 3584)]
    assert known.total - bare.total == 28 * 64 * sum(a + b for a, b in widths)
    assert known_size("SomethingElse-8B", parts) is None
    assert known_size(None, parts) is None


def test_figures_that_agree_give_no_finding(tmp_path: Path) -> None:
    found = audit_values(tmp_path, AGREEING)
    assert found.findings == ()
    assert len(found.checks) >= 15


def change(section: str, **values: object) -> Callable[[dict[str, Any]], None]:
    return lambda figures: figures[section].update(values)


DAMAGES: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "perfect": ("scores-simulated", change("evaluation", metrics={"dice": [1.0, 0.01], "iou": [1.0, 0.01]})),
    "constant": ("scores-simulated", change("evaluation", metrics={"dice": [0.8, 0.0]})),
    "simulated by its own note": ("scores-simulated", change("evaluation", note="模拟数据")),
    "out of range": ("score-range", change("evaluation", metrics={"recall": [1.2, 0.1]})),
    "iou too low": ("iou-dice", change("evaluation", metrics={"dice": [0.8, 0.1], "iou": [0.6, 0.1]})),
    "iou above dice": ("iou-dice", change("evaluation", metrics={"dice": [0.8, 0.1], "iou": [0.81, 0.1]})),
    "test patient trained on": ("train-test-overlap", change("evaluation", test_ids=["p2", "p3"])),
    "share": ("trainable-share", change("architecture", trainable_share_percent=53.46)),
    "share of more than all": ("trainable-share", change("architecture", trainable_share_percent=120)),
    "checkpoint": ("checkpoint-bytes", change("checkpoints", files={"iter_3048.pth": 1.0e9})),
    "memory": ("memory-device", change("training", memory_per_device_gb=[12, 30], memory_utilisation_percent=[])),
    "utilisation": ("memory-utilisation", change("training", memory_utilisation_percent=[50, 90])),
    "duration": ("duration-timestamps", change("training", duration_hours=9.0, seconds_per_iteration=None)),
    "order": (
        "timestamps-order",
        change("training", finished="2025-11-19T20:00:00", seconds_per_iteration=None),
    ),
    "days": ("duration-units", change("training", duration_days=0.5)),
    "pace": ("iterations-time", change("training", seconds_per_iteration=16.7)),
    "iterations": ("iterations-count", change("training", iteration_unit="optimizer_step")),
    "unknown unit": ("iterations-ambiguous", change("training", iteration_unit=None)),
    "no unit fits": (
        "iterations-count",
        change("training", iterations=5000, iteration_unit=None, seconds_per_iteration=6.1),
    ),
    "effective batch": ("effective-batch", change("training", effective_batch=64)),
    "samples": ("samples-frames", change("training", frames=1220)),
    "videos": ("videos-frames", change("training", videos=2000)),
    "drop": ("loss-drop", change("losses", total=[10.0, 2.5, 80.0])),
    "one shard": (
        "parameters-one-shard",
        lambda f: f.update(
            model="Sa2VA-InternVL3-8B",
            architecture={"parameters_total": 8.183e9 / 4, "parameters_trainable": 2.0e9},
        ),
    ),
    "wrong size": (
        "parameters-total",
        lambda f: f.update(model="InternVL3-8B", architecture={"parameters_total": 5e9, "parameters_trainable": 2e9}),
    ),
    "wrong parts": (
        "trainable-parts",
        lambda f: f.update(
            model="InternVL3-8B",
            architecture={"parameters_trainable": 2.0e9, "trained_parts": ["llm_lora_rank_64", "mlp1"]},
        ),
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_gives_exactly_its_finding(name: str, tmp_path: Path) -> None:
    code, damage = DAMAGES[name]
    figures = deepcopy(AGREEING)
    damage(figures)
    assert codes(audit_values(tmp_path, figures)) == [code]


def test_a_single_device_and_step_leave_nothing_ambiguous(tmp_path: Path) -> None:
    figures = deepcopy(AGREEING)
    figures["training"] |= {"devices": {"count": 1}, "gradient_accumulation_steps": 1, "effective_batch": 1}
    figures["training"] |= {"iterations": 12190, "iteration_unit": None, "seconds_per_iteration": 2.5}
    figures["training"] |= {"memory_per_device_gb": [], "memory_utilisation_percent": []}
    assert codes(audit_values(tmp_path, figures)) == []


def log_text(*, steps: int = 100, seconds: float = 10.0, gap_at: int | None = None, last: int | None = None) -> str:
    """An mmengine log of 4 devices: a line every 10 iterations, the loss falling from 10 to about 2.5."""
    lines, clock = ["Distributed training: True", "GPU number: 4"], 0.0
    for step in range(10, (last or steps) + 1, 10):
        clock += 10 * seconds + (7200 if step == gap_at else 0)
        minute, second = divmod(round(clock), 60)
        when = f"2025/11/19 {10 + minute // 60:02d}:{minute % 60:02d}:{second:02d}"
        loss = 10.0 - 7.5 * (step - 10) / (steps - 10)
        lines.append(
            f"{when} - mmengine - INFO - Iter(train) [{step:>6}/{steps}]  lr: 2.0000e-05  eta: 1 day, 2:03:04  "
            f"time: {seconds:.4f}  data_time: 0.0100  memory: 14336  "
            f"loss: {loss:.4f}  loss_mask: {loss / 2:.4f}  llm_loss: {loss / 4:.4f}"
        )
    return "\n".join(lines) + "\n"


CONFIG = """
from mmengine.config import read_base
import os
os.system("touch SHOULD_NOT_EXIST")
batch_size = 1  # per device
accumulative_counts = 8
max_epochs = 1
lr = 2e-5
train_dataset = dict(type=ConcatDataset, datasets=[dict(type=Sa2VAFinetuneDataset, repeats=10)])
"""
DEEPSPEED = {
    "gradient_accumulation_steps": "auto",
    "train_micro_batch_size_per_gpu": 1,
    "zero_optimization": {"stage": 3},
}


def write_foreign_run(folder: Path) -> Path:
    """A log, a configuration, DeepSpeed's JSON and a checkpoint that agree: 100 micro-steps, 4 devices, 400 samples."""
    folder.mkdir()
    (folder / "train.log").write_text(log_text())
    (folder / "config.py").write_text(CONFIG)
    (folder / "zero3.json").write_text(json.dumps(DEEPSPEED))
    (folder / "other.yaml").write_text("unrelated: [1, 2]\n")
    (folder / "tokenizer.json").write_text("{}")
    save_file({"w": np.zeros((100, 100), dtype=np.float16)}, folder / "adapter.safetensors")
    figures = {
        "architecture": {"parameters_trainable": 10_000},
        "training": {"samples": 400, "frames": 40, "iteration_unit": "micro_step"},
    }
    (folder / "figures.yaml").write_text(yaml.safe_dump(figures))
    return folder


def test_logs_configurations_and_files_are_read_together(tmp_path: Path) -> None:
    run = write_foreign_run(tmp_path / "run")
    found = audit(run)
    assert codes(found) == []
    assert set(found.sources) == {"figures.yaml", "train.log", "config.py", "zero3.json", "files"}
    assert not (tmp_path / "SHOULD_NOT_EXIST").exists()
    assert not Path("SHOULD_NOT_EXIST").exists()
    training = claims_of_log(run / "train.log").training
    assert (training.iterations, training.devices.count, training.seconds_per_iteration) == (100, 4, 10.0)
    assert training.memory_per_device_gb == (14.0, 14.0)
    assert training.started is not None
    assert training.finished is not None
    assert (training.finished - training.started).total_seconds() == 1000  # 100 iterations of 10 s
    losses = claims_of_log(run / "train.log").losses
    assert {name: (loss.first, loss.last) for name, loss in losses.items()} == {
        "total": (10.0, 2.5),
        "mask": (5.0, 1.25),
        "llm": (2.5, 0.625),
    }
    config = claims_of_config(run / "config.py").training
    assert (config.repeats, config.gradient_accumulation_steps, config.learning_rate) == (10, 8, 2e-5)
    assert num_parameters(run / "adapter.safetensors") == 10_000


def test_two_sources_that_differ_are_named(tmp_path: Path) -> None:
    run = write_foreign_run(tmp_path / "run")
    (run / "config.py").write_text(CONFIG.replace("batch_size = 1 ", "batch_size = 2 "))
    found = audit(run)
    assert "sources-disagree" in codes(found)
    disagreement = next(f for f in found.findings if f.code == "sources-disagree")
    assert disagreement.arithmetic == ("config.py: 2", "zero3.json: 1")


@pytest.mark.parametrize(
    ("text", "code"),
    [(log_text(gap_at=50), "log-gap"), (log_text(last=80), "log-incomplete"), (log_text(), None)],
)
def test_holes_in_a_log(text: str, code: str | None, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(text)
    assert codes(audit(tmp_path / "train.log")) == ([] if code is None else [code])


def test_exit_codes_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert print_audit(audit_values(tmp_path, AGREEING)) == 0
    assert "no contradiction" in capsys.readouterr().out
    assert print_audit(audit(FIRST_REPORT), as_json=True) == 3
    printed = json.loads(capsys.readouterr().out)
    assert printed["findings"][0]["code"] == "scores-simulated"
    assert print_audit(audit(FIRST_REPORT)) == 3
    assert "6 findings, 5 of them errors" in capsys.readouterr().out


def test_nothing_to_audit_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing here states anything"):
        audit(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        audit(tmp_path / "nowhere")
