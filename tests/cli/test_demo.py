"""The demo at reduced size: every step runs, and the run folder holds what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from angiova.data.manifest import Manifest
from angiova.data.records import Split
from angiova.report.audit.auditing import audit


def run_demo(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "angiova", "demo", str(out), "--quick"]
    return subprocess.run(command, capture_output=True, text=True, timeout=540)


def test_the_quick_demo_does_the_whole_job(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = run_demo(out)
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["progress"]["samples_seen"] > 0
    evaluation = json.loads((out / "evaluation" / "evaluation.json").read_text())
    patients = {split: {r.patient for r in Manifest(out / "data").records(split)} for split in Split}
    assert not patients[Split.TRAIN] & patients[Split.TEST]
    assert evaluation["num_frames"] == len(list(Manifest(out / "data").records(Split.TEST)))
    assert (out / "report.html").stat().st_size > 10_000
    assert (out / "predictions" / "masks.coco.json").exists()
    assert audit(out).findings == ()
    assert str(out / "report.html") in done.stdout.replace("\n", "")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    refused = run_demo(tmp_path)
    assert refused.returncode == 2
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.slow
@pytest.mark.timeout(1900)
def test_the_full_demo_finds_tree_and_names_on_patients_it_never_saw(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "angiova", "demo", str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=1800)
    evaluation = json.loads((out / "evaluation" / "evaluation.json").read_text())
    tree = evaluation["kinds"]["vessel_tree"]["metrics"]
    assert tree["dice"]["frame"]["mean"] >= 0.80
    assert tree["cldice"]["frame"]["mean"] >= 0.74
    assert evaluation["chance"]["interval"]["low"] > 0
