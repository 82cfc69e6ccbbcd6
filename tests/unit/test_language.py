"""Answers in words beside the truth, worked by hand."""

from __future__ import annotations

import pytest

from angiova.data.questions.kinds import Asked, Kind, Value
from angiova.evaluation.language import (
    GUESS,
    MODEL,
    AnsweredCase,
    description_results,
    is_right,
    results_by_kind,
    rows_of,
    set_f1,
    with_guesses,
    wrong_answers,
)
from angiova.morphology.anatomy import Side


def case(
    frame: int, asked: Asked, truth: Value, said: Value | None, *, patient: str | None = None, described: bool = False
) -> AnsweredCase:
    return AnsweredCase(
        f"f{frame}", f"r{frame}", patient, "?", "en", asked, truth, "words", {MODEL: said}, is_description=described
    )


TREE = Asked(Kind.TREE)
SEGMENTS = Asked(Kind.SEGMENTS)
BRANCHES = Asked(Kind.BRANCHES, 20)


def test_sides_by_accuracy_and_unusable_answers_are_wrong() -> None:
    cases = [
        case(0, TREE, Side.LEFT, Side.LEFT),
        case(1, TREE, Side.LEFT, Side.RIGHT),
        case(2, TREE, Side.RIGHT, None),
        case(3, TREE, Side.LEFT, Side.LEFT),
    ]
    found = results_by_kind(with_guesses(cases))["tree"]
    assert (found.metric, found.num_cases, found.num_unusable[MODEL]) == ("accuracy", 4, 1)
    assert found.scores[MODEL].frame.mean == 0.5
    assert found.scores[GUESS].frame.mean == 0.75  # always the left one


def test_patients_weigh_the_same_however_many_frames_they_have() -> None:
    cases = [case(i, TREE, Side.LEFT, Side.LEFT, patient="a") for i in range(9)]
    cases += [case(9, TREE, Side.LEFT, Side.RIGHT, patient="b")]
    summary = results_by_kind(cases)["tree"].scores[MODEL]
    assert summary.frame.mean == 0.9
    assert summary.patient is not None
    assert summary.patient.mean == 0.5


def test_sets_of_segments_by_f1() -> None:
    assert set_f1(frozenset("56"), frozenset("56")) == 1
    assert set_f1(frozenset("56"), frozenset("67")) == 0.5
    assert set_f1(frozenset("56"), frozenset()) == 0
    cases = [case(0, SEGMENTS, frozenset("567"), frozenset("5")), case(1, SEGMENTS, frozenset("5"), None)]
    assert results_by_kind(cases)["segments"].scores[MODEL].frame.mean == pytest.approx(0.25)


def test_the_best_guess_of_a_set_is_the_best_among_sets_of_frequent_segments() -> None:
    truths = [frozenset({"5", "6"})] * 3 + [frozenset({"1", "2"})]
    cases = with_guesses([case(i, SEGMENTS, truth, None) for i, truth in enumerate(truths)])
    assert cases[0].said[GUESS] == {"5", "6"}


def test_numbers_by_error_of_usable_answers() -> None:
    cases = [case(0, BRANCHES, 5.0, 7.0), case(1, BRANCHES, 5.0, 5.0), case(2, BRANCHES, 9.0, None)]
    found = results_by_kind(with_guesses(cases))["branches"]
    assert (found.metric, found.num_unusable[MODEL]) == ("error", 1)
    assert found.scores[MODEL].frame.mean == 1.0
    assert found.scores[GUESS].frame.mean == pytest.approx(4 / 3)  # the median, 5, is wrong by 4 once
    assert [is_right(each, MODEL) for each in cases] == [False, True, False]


def test_no_usable_number_has_no_mean() -> None:
    found = results_by_kind([case(0, BRANCHES, 5.0, None)])["branches"]
    assert found.scores == {}
    assert "| branches | error | 1 |" in list(rows_of({"branches": found}))[-1]


def test_the_guess_may_follow_the_question() -> None:
    """Which segment is asked for is part of the question, so a guess without the image may differ by it."""
    asked = [Asked(Kind.VISIBLE, segment=number) for number in ("5", "14b")]
    cases = [case(i, asked[i % 2], i % 2 == 0, True) for i in range(6)]
    found = results_by_kind(with_guesses(cases))["visible"]
    assert found.scores[GUESS].frame.mean == 1
    assert found.scores[MODEL].frame.mean == 0.5


def test_facts_of_descriptions() -> None:
    cases = [
        case(0, TREE, Side.LEFT, Side.LEFT, described=True),
        case(1, TREE, Side.LEFT, None, described=True),
        case(2, TREE, Side.LEFT, Side.RIGHT, described=True),
        case(3, TREE, Side.LEFT, Side.RIGHT),
    ]
    found = description_results(cases)["tree"]
    assert (found.num_present, found.num_missing, found.num_false) == (1, 1, 1)
    assert results_by_kind(cases)["tree"].num_cases == 1


def test_numbers_are_right_within_half_a_branch_and_one_pixel() -> None:
    assert is_right(case(0, Asked(Kind.NARROWEST), 3.0, 3.9), MODEL)
    assert not is_right(case(0, Asked(Kind.NARROWEST), 3.0, 4.1), MODEL)
    assert not is_right(case(0, BRANCHES, 3.0, 4.0), MODEL)


def test_the_json_of_a_case_has_no_sets() -> None:
    found = case(0, SEGMENTS, frozenset({"6", "5"}), None).as_json()
    assert found["truth"] == ["5", "6"]
    assert found["said"] == {MODEL: None}


def test_wrong_answers_shown_are_spread_over_their_kind() -> None:
    cases = [case(i, TREE, Side.LEFT, Side.RIGHT if i % 2 else Side.LEFT) for i in range(8)]  # wrong: 1, 3, 5, 7
    cases += [case(8, BRANCHES, 3.0, None), case(9, BRANCHES, 3.0, 9.0, described=True)]
    assert wrong_answers(cases, 2) == [1, 5, 8]
    assert wrong_answers(cases, 9) == [1, 3, 5, 7, 8]
