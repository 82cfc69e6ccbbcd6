"""The report says how questions were answered, beside what is measured and guessed, and which answers were wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from angiova.data.pixels import write_png
from angiova.data.questions.kinds import Asked, Kind, Value
from angiova.errors import DataError
from angiova.evaluation.answered import FORMAT, PICTURES_DIR, RESULT_NAME, read_questions
from angiova.evaluation.language import (
    GUESS,
    MEASURED,
    MODEL,
    AnsweredCase,
    description_results,
    results_by_kind,
    with_guesses,
    wrong_answers,
)
from angiova.files import read_json, write_json
from angiova.morphology.anatomy import Side
from angiova.report.answered import answer_section, told
from angiova.report.content import Notice, Paragraph, Photo, Table
from angiova.report.content import Value as Figure
from angiova.report.facts import read_facts
from angiova.report.judgement import statements
from angiova.report.page import write_report
from angiova.report.statement import Statement
from angiova.report.text import in_language
from angiova.run_record import QUESTIONS_DIR, read_run
from runs import make_run

TREE, CONTRAST, BRANCHES = Asked(Kind.TREE), Asked(Kind.CONTRAST), Asked(Kind.BRANCHES, 20)
CLEAN = {"num_training_frames": 200, "num_shared_patients": 0, "num_shared_files": 0, "num_near_duplicates": 0}


def case(
    n: int, asked: Asked, truth: Value, words: Value | None, masks: Value, *, described: bool = False
) -> AnsweredCase:
    said = {MODEL: words, MEASURED: masks}
    return AnsweredCase(
        f"f{n}", f"r{n}", f"P{n}", "left <b>?", "en", asked, truth, "right", said, is_description=described
    )


def cases() -> list[AnsweredCase]:
    """Words know the tree, deny half of the contrast that is always there, and never count rightly; masks do all."""
    sides = [Side.LEFT, Side.RIGHT] * 3
    found = [case(n, TREE, side, side, side) for n, side in enumerate(sides)]
    found += [case(n, CONTRAST, True, n % 2 == 0, True) for n in range(6)]
    found += [case(n, BRANCHES, float(n), 9.0, float(n)) for n in range(6)]
    found += [case(n, TREE, Side.LEFT, Side.LEFT if n else Side.RIGHT, Side.LEFT, described=True) for n in range(6)]
    return with_guesses(found)


def ask(run: Path, **changed: object) -> Path:
    """Write the questions of a run as `angiova eval --questions` does, with fields changed."""
    folder, found = run / QUESTIONS_DIR, cases()
    kinds = {kind: result.as_json() for kind, result in results_by_kind(found).items()}
    told_facts = {
        kind: {"present": r.num_present, "missing": r.num_missing, "false": r.num_false}
        for kind, r in description_results(found).items()
    }
    (folder / PICTURES_DIR).mkdir(parents=True)
    wrong = [{"case": place, "file": f"wrong-{place}.png"} for place in wrong_answers(found, 1)]
    for shown in wrong:
        write_png(folder / PICTURES_DIR / str(shown["file"]), np.zeros((4, 8), dtype=np.uint8))
    content = {
        "format": FORMAT,
        "model": "runs/x",
        "dataset": {"folder": "data", "manifest_sha256": "ab"},
        "split": "test",
        "num_frames": 6,
        "segments_complete": True,
        "leakage": CLEAN | {"is_clean": True},
        "kinds": kinds,
        "languages": {"en": kinds, "zh": {}},
        "descriptions": told_facts,
        "cases": [each.as_json() for each in found],
        "wrong": wrong,
    }
    write_json(folder / RESULT_NAME, content | changed)
    return run


def codes(run: Path) -> set[str]:
    return {f"{s.role}.{s.code}:{s.sources[0].field.split('.')[1]}" for s in statements(read_facts(run)) if asks(s)}


def asks(statement: Statement) -> bool:
    return statement.sources[0].file == f"{QUESTIONS_DIR}/{RESULT_NAME}"


def test_every_figure_is_the_field_that_it_names(tmp_path: Path) -> None:
    run = ask(make_run(tmp_path))
    section, recorded = answer_section(read_facts(run)), read_json(run / QUESTIONS_DIR / RESULT_NAME)
    assert section is not None
    tables = [block for block in section.blocks if isinstance(block, Table)]
    assert [len(table.rows) for table in tables] == [3, 3, 0, 1]
    figures = [cell for table in tables for row in table.rows for cell in row if isinstance(cell, Figure)]
    assert len(figures) == 2 * 3 * 6 + 3
    for figure in figures:
        value = recorded
        for name in figure.sources[0].field.split("."):
            value = value[name]
        assert figure.raw == value


def test_the_page_shows_wrong_answers_in_both_languages(tmp_path: Path) -> None:
    run = ask(make_run(tmp_path))
    write_report(run)
    page, markdown = ((run / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    for words in (
        "Questions answered in words",
        "文字问答",
        "Measured on its masks: yes",
        "掩膜测得：是",
        "f:questions",
    ):
        assert words in page
    assert "left <b>" not in page
    assert "Questions answered in words" in markdown
    section = answer_section(read_facts(run))
    assert section is not None
    assert len([block for block in section.blocks if isinstance(block, Photo)]) == 2  # contrast and branches
    keys = [found["key"] for found in read_json(run / "report.json")["sections"]]
    assert keys.index("answers") == keys.index("judgement") - 1


def test_statements_follow_from_the_figures(tmp_path: Path) -> None:
    assert codes(ask(make_run(tmp_path))) == {
        "strength.words_beat_guess:tree",
        "limit.words_below_guess:contrast",
        "next.trust_masks:contrast",
        "limit.words_below_guess:branches",
        "next.trust_masks:branches",
        "limit.facts_false:tree",
    }


@pytest.mark.parametrize(("num_frames", "praised"), [(12, False), (200, True)])
def test_few_lucky_answers_without_patients_are_no_strength(tmp_path: Path, num_frames: int, praised: bool) -> None:
    """60 % against a guess of 50 %: two standard errors are 0.28 of 12 frames and 0.07 of 200."""
    scores = {
        who: {"frame": {"n": num_frames, "mean": mean, "sd": 0.49}, "patient": None}
        for who, mean in ((MODEL, 0.6), (GUESS, 0.5))
    }
    tree = {"metric": "accuracy", "num_cases": num_frames, "num_unusable": {MODEL: 0, GUESS: 0}, "scores": scores}
    run = ask(make_run(tmp_path), kinds={"tree": tree}, descriptions={})
    assert codes(run) == ({"strength.words_beat_guess:tree"} if praised else set())


def test_frames_trained_on_are_said_in_red_and_make_no_strength(tmp_path: Path) -> None:
    run = ask(make_run(tmp_path), leakage=CLEAN | {"num_shared_files": 2, "is_clean": False})
    assert codes(run) == set()
    write_report(run)
    first = read_json(run / "report.json")["notices"][0]
    assert (first["level"], "2 files" in first["text"]["en"]) == ("error", True)
    assert levels(run) == ["error"]


def test_the_train_split_is_said_in_red_and_unknown_frames_are_a_warning(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    own = {"folder": "data", "manifest_sha256": read_run(run).data.manifest_sha256}
    assert levels(ask(run, leakage=None, split="train", dataset=own)) == ["error"]
    other = ask(make_run(tmp_path / "other"), leakage=None)
    assert levels(other) == ["warning"]


def levels(run: Path) -> list[str]:
    section = answer_section(read_facts(run))
    assert section is not None
    return [block.level for block in section.blocks if isinstance(block, Notice)]


def test_a_run_that_was_not_asked_has_no_such_section(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert answer_section(read_facts(run)) is None
    assert codes(run) == set()


def test_a_picture_that_is_gone_is_named_and_the_words_stay(tmp_path: Path) -> None:
    run = ask(make_run(tmp_path))
    for path in (run / QUESTIONS_DIR / PICTURES_DIR).iterdir():
        path.unlink()
    facts = read_facts(run)
    assert len([name for name in facts.missing if name.startswith(f"{QUESTIONS_DIR}/{PICTURES_DIR}/")]) == 2
    write_report(run)
    assert "Measured on its masks" in (run / "report.html").read_text(encoding="utf-8")


def test_no_wrong_answer_is_told_from_none_recorded(tmp_path: Path) -> None:
    for number, (wrong, said) in enumerate([([], "No answer was wrong"), (None, "Ask again to see them")]):
        section = answer_section(read_facts(ask(make_run(tmp_path / str(number)), wrong=wrong)))
        assert section is not None
        last = section.blocks[-1]
        assert isinstance(last, Paragraph)
        assert said in in_language(last.text, "en")


def test_what_cannot_be_read_is_refused_by_its_field(tmp_path: Path) -> None:
    run = ask(make_run(tmp_path), wrong=[{"case": 99, "file": "wrong-1.png"}])
    with pytest.raises(DataError, match=r"wrong\.0\.case"):
        read_facts(run)
    with pytest.raises(DataError, match="num_frames"):
        read_questions(ask(make_run(tmp_path / "other"), num_frames="many") / QUESTIONS_DIR)


def test_answers_are_shown_as_a_reader_says_them() -> None:
    shown = [told(True, "contrast"), told("left", "tree"), told(["6", "7"], "segments"), told(2.34, "narrowest")]
    assert [in_language(label, "en") for label in shown] == ["yes", "left", "6 proximal LAD, 7 mid LAD", "2.3 px"]
    assert in_language(told(None, "tree"), "zh") == "无"
