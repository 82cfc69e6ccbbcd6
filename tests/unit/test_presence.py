"""Presence over the frames of a run: every case of its first and last frame, by hand."""

from __future__ import annotations

import pytest

from angiova.evaluation.overlap import Counts
from angiova.evaluation.presence import Edge, EdgeError, offset_error, onset_error, presence_counts, presence_f1


def labelled(course: str) -> dict[int, bool]:
    """Return true presence by frame: `#` there, `.` absent, `?` not labelled."""
    return {frame: sign == "#" for frame, sign in enumerate(course) if sign != "?"}


def shown(course: str) -> list[bool]:
    return [sign == "#" for sign in course]


def test_counts_and_f1_worked_out_by_hand() -> None:
    counts = presence_counts(labelled("..##?#."), shown(".###..#"))
    assert counts == Counts(tp=2, fp=2, fn=1, tn=1)
    assert presence_f1(counts) == 4 / 7


@pytest.mark.parametrize(("truth", "prediction", "f1"), [("..", "..", None), ("..", ".#", 0.0), ("##", "..", 0.0)])
def test_f1_of_empty_runs(truth: str, prediction: str, f1: float | None) -> None:
    assert presence_f1(presence_counts(labelled(truth), shown(prediction))) == f1


@pytest.mark.parametrize(
    ("truth", "prediction", "onset", "offset"),
    [
        ("..###..", "..###..", 0, 0),
        ("..###..", ".####..", -1, 0),
        ("..###..", "...#...", 1, -1),
        ("..###..", "#......", -2, -4),  # a single false mask ahead is an early onset
        ("..###..", "#######", -2, 2),
        ("?.#?#.?", "...#...", 1, -1),  # what lies between does not matter
        ("..#.#..", "..###..", 0, 0),
    ],
)
def test_errors_of_the_first_and_last_frame(truth: str, prediction: str, onset: int, offset: int) -> None:
    assert onset_error(labelled(truth), shown(prediction)) == EdgeError(Edge.MEASURED, onset)
    assert offset_error(labelled(truth), shown(prediction)) == EdgeError(Edge.MEASURED, offset)


@pytest.mark.parametrize(
    ("truth", "prediction", "onset", "offset"),
    [
        (".....", "..#..", Edge.ABSENT, Edge.ABSENT),
        ("?????", "..#..", Edge.ABSENT, Edge.ABSENT),
        ("#####", "#####", Edge.OUTSIDE, Edge.OUTSIDE),
        ("?##..", "..#..", Edge.OUTSIDE, Edge.MEASURED),
        (".?#?.", "..#..", Edge.SPARSE, Edge.SPARSE),
        ("..#..", ".....", Edge.MISSED, Edge.MISSED),
        ("..###", "..###", Edge.MEASURED, Edge.OUTSIDE),
    ],
)
def test_an_error_that_nobody_knows_says_why(truth: str, prediction: str, onset: Edge, offset: Edge) -> None:
    found = onset_error(labelled(truth), shown(prediction)), offset_error(labelled(truth), shown(prediction))
    assert tuple(error.edge for error in found) == (onset, offset)
    assert [error.error_frames is None for error in found] == [error.edge is not Edge.MEASURED for error in found]


def test_time_runs_both_ways() -> None:
    truth, prediction = "..##....", ".##....."
    forwards = onset_error(labelled(truth), shown(prediction)).error_frames
    backwards = offset_error(labelled(truth[::-1]), shown(prediction[::-1])).error_frames
    assert forwards == -1
    assert backwards == 1
