"""Tracked runs beside their truth: prompts find their labels, and figures are those worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from angiova.data import rle
from angiova.data.prompts import QUESTIONS
from angiova.data.records import FrameRecord, Origin, Target, TargetKind
from angiova.data.rle import BoolMask
from angiova.evaluation.motion import still
from angiova.evaluation.tracked_runs import (
    MeasuredRun,
    measure_tracked,
    phrase_of,
    rows_of,
    summarise_tracked,
    truth_of,
)

SHAPE = (20, 30)


def bar(length: int) -> BoolMask:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[8:12, :length] = True
    return mask


def record(frame: int, mask: BoolMask | None, patient: str = "p1") -> FrameRecord:
    targets = () if mask is None else (Target("tree", TargetKind.VESSEL_TREE, rle.encode(mask), Origin.MANUAL),)
    name = f"{patient}-{frame}"
    return FrameRecord(name, name, *SHAPE, name, "", run=f"{patient}-r", frame=frame, patient=patient, targets=targets)


def measured(answers: list[BoolMask], truths: list[BoolMask | None], patient: str = "p1") -> MeasuredRun:
    records = [record(frame, mask, patient) for frame, mask in enumerate(truths)]
    motions = [still(SHAPE)] * (len(answers) - 1)
    return measure_tracked(f"{patient}-r", records, answers, motions, truth_of(records, "tree"), [2])


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_prompt_in_any_usual_words_asks_for_its_phrase(question: str) -> None:
    assert phrase_of(question.format("proximal LAD")) == "proximal LAD"


def test_other_words_are_a_phrase_themselves() -> None:
    assert phrase_of("draw whatever there is") == "draw whatever there is"


def test_truth_is_the_union_of_observers_and_leaves_unlabelled_frames_out() -> None:
    two = record(0, bar(10))
    lower = np.zeros(SHAPE, dtype=bool)
    lower[15:17] = True
    second = Target("tree", TargetKind.VESSEL_TREE, rle.encode(lower), Origin.MANUAL)
    both = FrameRecord("a", "a", *SHAPE, "a", "", run="r", targets=(*two.targets, second))
    truth = truth_of([both, record(1, None)], "tree")
    assert list(truth) == [0]
    assert np.array_equal(rle.decode(truth[0]), bar(10) | lower)


def test_figures_of_a_run_are_those_worked_out_by_hand() -> None:
    # Nothing, nothing, 10 and 10 pixels long; answered one frame early, and half as long at last.
    found = measured([bar(0), bar(10), bar(10), bar(5)], [bar(0), bar(0), bar(10), bar(10)])
    assert [o.value for o in found.scores["dice"]] == pytest.approx([0, 1, 2 / 3])
    assert found.over_time.onset is not None
    assert found.over_time.onset.error_frames == -1
    assert found.over_time.presence_f1 == pytest.approx(4 / 5)
    assert found.over_time.consistency == pytest.approx((0 + 1 + 0.5) / 3)
    assert found.as_json()["dice"] == pytest.approx(5 / 9)
    assert found.as_json()["dice_of_frame"] == pytest.approx({"1": 0, "2": 1, "3": 2 / 3})


def test_patients_weigh_the_same_and_runs_without_a_figure_are_counted() -> None:
    good = measured([bar(0), bar(10)], [bar(0), bar(10)], "p1")
    early = measured([bar(10), bar(10)], [bar(0), bar(10)], "p2")
    there = measured([bar(10), bar(10)], [bar(10), bar(10)], "p3")
    figures = summarise_tracked([good, early, there])
    assert figures["onset_error_abs"]["patient"]["mean"] == pytest.approx(0.5)
    assert figures["onset_error_abs"]["num_without"] == 1
    assert figures["onset_outcomes"] == {"measured": 2, "outside": 1}
    assert figures["presence_f1"]["patient"]["mean"] == pytest.approx((1 + 2 / 3 + 1) / 3)
    assert figures["dice"]["patient"]["mean"] == pytest.approx((1 + 0.5 + 1) / 3)


def test_a_run_without_labels_has_its_steadiness_and_nothing_else() -> None:
    found = measure_tracked("r", [], [bar(10), bar(10)], [still(SHAPE)], {}, [])
    assert found.patient is None
    assert found.over_time.consistency == 1
    assert found.over_time.presence_f1 is None
    assert "dice" not in found.as_json()


def test_the_table_has_a_row_a_result_and_the_columns_asked_for() -> None:
    figures = summarise_tracked([measured([bar(0), bar(10)], [bar(0), bar(10)])])
    head, line, row = rows_of({"track": figures}, {"frames/s": ["12.5"]})
    assert head.count("|") == line.count("|") == row.count("|")
    assert row.startswith("| track | 1.0000 |")
    assert row.endswith("| 12.5 |")
