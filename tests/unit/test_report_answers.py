"""The report on questions answered in words: figures from questions.json, wrong answers shown, leaks said first."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from angiova.data.questions.kinds import Asked, Kind
from angiova.errors import DataError
from angiova.evaluation.answered import PICTURES_DIR, RESULT_NAME, read_questions
from angiova.evaluation.language import AnsweredCase, wrong_answers
from angiova.files import read_json, write_json
from angiova.inference.question_evaluation import evaluate_questions
from angiova.report import rules_answers
from angiova.report.facts import read_facts
from angiova.report.headline import notices
from angiova.report.page import write_report
from angiova.run_record import QUESTIONS_DIR
from models import write_start
from runs import make_run

RESULT = f"{QUESTIONS_DIR}/{RESULT_NAME}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run whose folder holds what a model with random weights answered."""
    folder = tmp_path_factory.mktemp("answers")
    start, run = write_start(folder / "start"), make_run(folder)
    evaluate_questions(
        start / "start", start / "data", split="val", out=run / QUESTIONS_DIR, device="cpu", measured=True
    )
    write_report(run)
    return run


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """Return a copy of the run that a test may damage."""
    return Path(shutil.copytree(run, tmp_path / "run"))


def change(run: Path, **fields: Any) -> None:  # noqa: ANN401
    write_json(run / RESULT, read_json(run / RESULT) | fields)


def field(tree: Any, path: str) -> Any:  # noqa: ANN401
    for name in path.split("."):
        tree = tree[int(name)] if isinstance(tree, list) else tree[name]
    return tree


def test_every_figure_of_the_section_is_one_of_the_file(run: Path) -> None:
    [section] = [part for part in read_json(run / "report.json")["sections"] if part["key"] == "answers"]
    result, compared = read_json(run / RESULT), 0
    for block in section["blocks"]:
        for cell in (cell for row in block.get("rows", []) for cell in row):
            sources = [source for source in cell.get("sources", []) if source["file"] == RESULT]
            if sources and isinstance(cell["value"], int | float):
                assert cell["value"] in [field(result, source["field"]) for source in sources], cell
                compared += 1
    assert compared >= 3 * len(result["kinds"])


def test_wrong_answers_are_shown_with_their_frames(run: Path) -> None:
    questions = read_questions(run / QUESTIONS_DIR)
    page = (run / "report.md").read_text(encoding="utf-8")
    assert questions.wrong
    for shown in questions.wrong:
        case = questions.cases[shown.case]
        assert case.said["model"] != case.truth
        assert (run / "report_files" / f"answer-{shown.file}").read_bytes() == (
            run / QUESTIONS_DIR / PICTURES_DIR / shown.file
        ).read_bytes()
        assert case.question in page.replace("\\", "")


def test_wrong_answers_are_spread_over_those_of_each_kind() -> None:
    def case(is_right: bool) -> AnsweredCase:
        said = {"model": "left" if is_right else "right"}
        return AnsweredCase("f", "r", None, "which tree?", "en", Asked(Kind.TREE), "left", "", said)

    cases = [case(is_right) for is_right in (True, False, False, True, False, False)]
    assert wrong_answers(cases, 2) == [1, 4]
    assert wrong_answers(cases[:1], 2) == []


def test_leaked_frames_are_said_first_and_nothing_is_praised(copied: Path) -> None:
    leak = {
        "num_training_frames": 9,
        "num_shared_patients": 1,
        "num_shared_files": 2,
        "num_near_duplicates": 0,
        "is_clean": False,
    }
    change(copied, leakage=leak)
    facts = read_facts(copied)
    assert any("other patients" in str(notice.text) and notice.level == "error" for notice in notices(facts))
    assert not list(rules_answers.words(facts))
    assert not list(rules_answers.descriptions(facts))


@pytest.mark.parametrize(
    ("model", "measured", "codes"),
    [
        (0.9, 0.9, ["words_beat_guess"]),
        (0.4, 0.8, ["words_below_guess", "trust_masks"]),
        (0.4, 0.3, ["words_below_guess", "neither"]),
    ],
)
def test_words_masks_and_the_guess_are_compared(copied: Path, model: float, measured: float, codes: list[str]) -> None:
    tree = copy.deepcopy(read_json(copied / RESULT)["kinds"]["tree"])
    for who, mean in (("model", model), ("measured", measured), ("guess", 0.5)):
        tree["scores"][who] = copy.deepcopy(tree["scores"]["guess"])
        tree["scores"][who]["patient"] = None
        tree["scores"][who]["frame"]["mean"] = mean
    change(copied, kinds={"tree": tree})
    assert [statement.code for statement in rules_answers.words(read_facts(copied))] == codes


def test_a_damaged_file_is_named(copied: Path) -> None:
    (copied / RESULT).write_text("{}")
    with pytest.raises(DataError, match=RESULT_NAME):
        read_facts(copied)


def test_a_missing_picture_is_named_and_one_elsewhere_is_not_read(copied: Path) -> None:
    shown = read_json(copied / RESULT)["wrong"]
    (copied / QUESTIONS_DIR / PICTURES_DIR / shown[0]["file"]).unlink()
    shown[1]["file"] = "../../run.json"
    change(copied, wrong=shown)
    facts = read_facts(copied)
    assert f"{QUESTIONS_DIR}/{PICTURES_DIR}/{shown[0]['file']}" in facts.missing
    assert "../../run.json" not in facts.wrong_answers


def test_a_run_that_was_not_asked_has_no_such_section(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write_report(run)
    assert "answers" not in [section["key"] for section in read_json(run / "report.json")["sections"]]
