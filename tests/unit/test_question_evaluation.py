"""Asking a model about a data set, from frames to the page, with words that it was made to say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from angiova.errors import ConfigError
from angiova.evaluation.answered import PICTURES_DIR, RESULT_NAME, read_questions
from angiova.inference.question_evaluation import PAGE_NAME, PICTURE_NAME, evaluate_questions
from angiova.model.opening import checkpoint_folder
from angiova.training.trainer import train
from models import quick_recipe, write_start


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict]]:
    """A model with random weights, asked about the drawn frames of the validation patient."""
    start = write_start(tmp_path_factory.mktemp("asked"))
    result = evaluate_questions(
        start / "start", start / "data", split="val", out=start / "out", device="cpu", measured=True
    )
    yield start, result


def test_everything_that_the_labels_tell_is_asked(asked: tuple[Path, dict]) -> None:
    _, result = asked
    kinds = {kind: found["num_cases"] for kind, found in result["kinds"].items()}
    frames = result["num_frames"]
    assert frames == 2
    assert kinds == {
        "tree": frames,
        "segments": frames,
        "visible": 2 * frames,
        "contrast": frames,
        "branches": frames,
        "narrowest": frames,
    }


def test_as_many_segments_are_in_view_as_not(asked: tuple[Path, dict]) -> None:
    visible = [case for case in asked[1]["cases"] if case["kind"] == "visible"]
    assert sum(case["truth"] for case in visible) * 2 == len(visible)


def test_what_is_not_usable_is_not_right(asked: tuple[Path, dict]) -> None:
    kinds, every = asked[1]["kinds"], [case for case in asked[1]["cases"] if not case["is_description"]]
    assert any(case["said"]["model"] is None for case in every)  # random weights say little that is usable
    for kind in ("tree", "visible", "contrast"):
        cases = [case for case in every if case["kind"] == kind]
        right = [case for case in cases if case["said"]["model"] == case["truth"]]
        assert kinds[kind]["num_unusable"]["model"] == sum(case["said"]["model"] is None for case in cases)
        assert kinds[kind]["scores"]["model"]["frame"]["mean"] == len(right) / len(cases)
    assert kinds["tree"]["scores"]["guess"]["frame"]["mean"] == 1  # all drawn frames show the left tree


def test_what_is_written_can_be_read(asked: tuple[Path, dict]) -> None:
    start, result = asked
    assert json.loads((start / "out" / RESULT_NAME).read_text()) == result
    page = (start / "out" / PAGE_NAME).read_text()
    assert "not a medical device" in page
    assert "## Wrong answers" in page
    with Image.open(start / "out" / PICTURE_NAME) as picture:
        assert picture.width > 500


def test_wrong_answers_have_a_picture_of_their_frame(asked: tuple[Path, dict]) -> None:
    start, _ = asked
    found = read_questions(start / "out")
    shown = [found.cases[wrong.case] for wrong in found.wrong]
    assert shown
    assert all(case.said["model"] != case.truth and not case.is_description for case in shown)
    assert max(Counter(case.kind for case in shown).values()) == 2
    written = {path.name for path in (start / "out" / PICTURES_DIR).iterdir()}
    assert written == {wrong.file for wrong in found.wrong}
    with Image.open(start / "out" / PICTURES_DIR / found.wrong[0].file) as picture:
        assert picture.width == 2 * picture.height


def test_the_same_questions_are_asked_again(asked: tuple[Path, dict]) -> None:
    start, result = asked
    again = evaluate_questions(
        start / "start", start / "data", split="val", out=start / "again", device="cpu", measured=False, limit=1
    )
    [frame] = {case["frame"] for case in again["cases"]}
    assert [case["question"] for case in again["cases"]] == [
        case["question"] for case in result["cases"] if case["frame"] == frame
    ]
    assert "measured" not in again["kinds"]["tree"]["num_unusable"]


def test_a_part_that_does_not_exist(asked: tuple[Path, dict]) -> None:
    start, _ = asked
    with pytest.raises(ConfigError, match="no split"):
        evaluate_questions(start / "start", start / "data", split="dev", out=start / "out")


FROZEN_SEGMENTER = {
    "language_model": "full",
    "vocabulary": "whole",
    "vision_tower": True,
    "segmenter_decoder": False,
    "refiner": False,
}


def learn_words(start: Path, name: str, weight: float) -> list[dict[str, float]]:
    """Train on words with kept prompts, and return the losses over time."""
    data = {"folder": str(start / "data"), "repeats": 24, "workers": 0}
    questions = {"share": 0.5, "absent_from": "any"}
    recipe = quick_recipe(
        start,
        name,
        data=data | {"questions": questions},
        losses={"prompts": weight},
        trainable=FROZEN_SEGMENTER,
        optimizer={"lr": 1e-3},
    )
    assert train(recipe) == 0
    lines = [json.loads(line) for line in (start / name / "metrics.jsonl").read_text().splitlines()]
    return [line["losses"] for line in lines if "losses" in line]


def test_words_are_learnt_and_prompts_are_kept(tmp_path: Path) -> None:
    """The segmenter is not run, so no loss of a mask is there; without weight the prompts go elsewhere."""
    start = write_start(tmp_path)
    kept, free = learn_words(start, "kept", 100.0), learn_words(start, "free", 1e-6)
    assert set(kept[0]) == {"language", "prompts"}
    assert kept[-1]["language"] < kept[0]["language"]
    assert kept[-1]["prompts"] < 0.75 * free[-1]["prompts"]
    folders = (start / "start", checkpoint_folder(start / "kept"))
    before, after = (load_file(folder / "model.safetensors") for folder in folders)
    segmenter = [name for name in before if name.startswith(("segmenter.", "refiner."))]
    assert segmenter
    assert all(torch.equal(before[name], after[name]) for name in segmenter)
    assert any(not torch.equal(before[name], after[name]) for name in before if "language_model" in name)


def test_prompts_are_kept_only_where_what_draws_is_frozen(tmp_path: Path) -> None:
    start = write_start(tmp_path)
    with pytest.raises(ConfigError, match="segmenter_decoder"):
        train(quick_recipe(start, "words", losses={"prompts": 1.0}))
