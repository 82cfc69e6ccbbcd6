"""The bars of tracking count what passes, and are quiet where nobody looks."""

from __future__ import annotations

import pytest

from angiova.inference.progress import RunProgress


def test_what_passes_is_counted_and_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with RunProgress(2) as progress:
        progress.start("one")
        assert list(progress.over(iter("abc"), "reading", None)) == ["a", "b", "c"]
        frames = progress.over(iter("de"), "tracking", 2)
        assert next(frames) == "d"
        runs, current = progress._bars.tasks
        assert (current.description, current.completed, current.total) == ("tracking one, frames", 0, 2)
        assert list(frames) == ["e"]
        progress.finish()
        assert [(task.completed, task.total) for task in progress._bars.tasks] == [(1, 2)]
        assert runs.description == "runs"
    assert capfd.readouterr() == ("", "")


def test_a_total_that_is_not_known_is_not_that_of_the_run_before() -> None:
    with RunProgress(2) as progress:
        list(progress.over(iter(range(20)), "tracking", 20))
        frames = progress.over(iter(range(30)), "reading", None)
        next(frames)
        assert progress._bars.tasks[-1].total is None
