"""The record of a tracked run: what counts as finished, and what a user is told to look at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from angiova.errors import DataError
from angiova.files import read_json, write_json
from angiova.inference.cine import KeyFrameChoice, Mode, Spoken
from angiova.inference.opacification import describe_levels
from angiova.inference.track_record import (
    RECORD_NAME,
    Request,
    default_mode,
    facts_of,
    facts_of_run,
    finished,
    note_on_memory,
    notes_on_answers,
)
from angiova.run_record import RUN_NAME
from runs import make_run

PROMPTS = ("the LAD", "the RCA", "the catheter")


def request() -> Request:
    return Request("0" * 64, PROMPTS, Mode.SMOOTH, 5, 0.5, ("csv",))


def spoken(*num_masks: int) -> Spoken:
    drawn = tuple(place for place, count in enumerate(num_masks) if count)
    return Spoken(tuple("[SEG]" * count for count in num_masks), num_masks, torch.zeros(len(drawn), 4), drawn)


def test_a_record_reads_back_as_the_request_it_answers(tmp_path: Path) -> None:
    assert finished(tmp_path / "none") is None
    facts = facts_of(tmp_path / "model", torch.device("cpu"), request())
    write_json(tmp_path / "run" / RECORD_NAME, facts | {"source": {"sha256": "1"}})
    record = finished(tmp_path / "run")
    assert record is not None
    assert record["request"] == request().as_json()
    assert (record["device"], record["versions"]["torch"]) == ("cpu", torch.__version__)


@pytest.mark.parametrize("missing", ["format", "request", "source"])
def test_a_record_that_lacks_something_is_none_of_ours(tmp_path: Path, missing: str) -> None:
    facts = facts_of(tmp_path / "model", torch.device("cpu"), request()) | {"source": {"sha256": "1"}}
    del facts[missing]
    write_json(tmp_path / "run" / RECORD_NAME, facts)
    with pytest.raises(DataError, match="not written by"):
        finished(tmp_path / "run")


def test_key_frames_contrast_and_answers_are_recorded() -> None:
    choice = KeyFrameChoice((1, 3), "because")
    shown = describe_levels([0.02] * 6 + [0.1] * 6)
    facts = facts_of_run(shown, choice, PROMPTS, spoken(1, 0, 2))
    assert facts["key_frames"] == {"frames": [1, 3], "why": "because"}
    assert (facts["opacification"]["onset"], len(facts["opacification"]["levels"])) == (6, 12)
    assert facts["answers"][2] == {"prompt": "the catheter", "text": "[SEG][SEG]", "masks": 2}
    assert facts_of_run(shown, choice, PROMPTS, None)["answers"] == []


def test_answers_with_another_number_of_masks_than_one_are_noted() -> None:
    notes = list(notes_on_answers(PROMPTS, spoken(1, 0, 2)))
    assert len(notes) == 2
    assert "'the RCA' has no mask" in notes[0]
    assert "'the catheter' has 2 masks" in notes[1]
    assert list(notes_on_answers(PROMPTS, None)) == []


@pytest.mark.parametrize(
    ("share", "mode", "is_noted"),
    [(0.0, Mode.TRACK, True), (0.5, Mode.TRACK, False), (0.0, Mode.SMOOTH, False), (None, Mode.TRACK, False)],
)
def test_a_memory_that_saw_no_runs_is_noted(tmp_path: Path, share: float | None, mode: Mode, is_noted: bool) -> None:
    run = make_run(tmp_path / "made")
    record = read_json(run / RUN_NAME)
    record["recipe"]["data"] = {} if share is None else {"clips": {"share": share}}
    write_json(run / RUN_NAME, record)
    assert (note_on_memory(run, mode) is not None) == is_noted
    assert default_mode(run) is (Mode.SMOOTH if share == 0 else Mode.TRACK)
    assert note_on_memory(tmp_path, mode) is None
