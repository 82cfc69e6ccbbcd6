"""`angiova eval` of tracked runs: by prompt, run and patient, from the files alone; other files are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from angiova.data import rle
from angiova.data.cine_runs import CineRun, runs_of_dataset
from angiova.data.manifest import Manifest
from angiova.data.syntax import TREE_PHRASE
from angiova.data.tracked import TrackedObject, TrackedRun, write_masks
from angiova.errors import ConfigError, DataError
from angiova.evaluation.tracked_runs import truth_of
from angiova.files import write_json
from angiova.inference.track_evaluation import RESULT_NAME, evaluate_tracked, table_of
from models import RUN_LENGTH, SIDE_PX, write_runs

PROMPTS = (f"segment the {TREE_PHRASE}", "segment the catheter")


def write_tracked(folder: Path, run: CineRun, late: int = 0) -> None:
    """Write a run as if it had been tracked without a fault, but for `late` frames that come empty at first."""
    truth = truth_of(run.records, TREE_PHRASE)
    empty = rle.empty(SIDE_PX, SIDE_PX)
    masks = [empty if frame <= late else truth[frame] for frame in range(RUN_LENGTH)]
    frames = [(TrackedObject(mask, 1.0, None), TrackedObject(empty, 0.0, None)) for mask in masks]
    nothing = (None,) * RUN_LENGTH
    names = tuple(record.frame_id for record in run.records)
    tracked = TrackedRun((SIDE_PX, SIDE_PX), PROMPTS, frames, None, (0.0,) * RUN_LENGTH, nothing, names, None)
    folder.mkdir(parents=True)
    write_masks(folder / "masks.json", tracked)
    record = {"format": "angiova-track/1", "request": {}, "key_frames": {"frames": [3]}}
    write_json(folder / "track.json", record | {"source": {"sha256": run.sha256()}})


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_runs(tmp_path / "data")
    return tmp_path / "data"


def test_runs_of_a_split_are_measured_against_its_labels(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for run in runs_of_dataset(Manifest(dataset)):
        write_tracked(out / run.name, run, late=2 if run.name == "r1" else 0)
    result = evaluate_tracked(out, dataset, split="train")
    assert json.loads((out / RESULT_NAME).read_text()) == json.loads(json.dumps(result))
    assert list(result["results"]) == [PROMPTS[0]]  # the catheter is not labelled
    figures, runs = result["results"][PROMPTS[0]], result["runs"][PROMPTS[0]]
    assert set(runs) == {"r0", "r1"}
    assert (runs["r0"]["dice"], runs["r0"]["presence_f1"]) == (1, 1)
    assert runs["r1"]["onset"] == {"edge": "measured", "error_frames": 2}
    # Two of five frames with the bar are missed.
    assert figures["dice"]["patient"]["mean"] == pytest.approx((1 + 3 / 5) / 2)
    assert figures["onset_error_abs"]["patient"]["mean"] == pytest.approx(1)
    assert sum(line.startswith(f"| {PROMPTS[0]} | 0.8000") for line in table_of(result)) == 1


def test_runs_that_are_missing_are_named_and_none_at_all_is_refused(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = runs_of_dataset(Manifest(dataset))[0]
    write_tracked(out / first.name, first)
    result = evaluate_tracked(out, dataset, split="train", out=tmp_path / "elsewhere")
    assert result["not_tracked"] == ["r1"]
    assert list(table_of(result))[-1].endswith("r1")
    assert (tmp_path / "elsewhere" / RESULT_NAME).exists()
    with pytest.raises(DataError, match="no tracked run of split 'test'"):
        evaluate_tracked(out, dataset, split="test")
    with pytest.raises(ConfigError, match="no split"):
        evaluate_tracked(out, dataset, split="trial")


def test_masks_of_other_files_are_refused(dataset: Path, tmp_path: Path) -> None:
    run = runs_of_dataset(Manifest(dataset))[0]
    write_tracked(tmp_path / "out" / run.name, run)
    shutil.copy(run.files[1], run.files[0])
    with pytest.raises(DataError, match="other files"):
        evaluate_tracked(tmp_path / "out", dataset, split="train")
