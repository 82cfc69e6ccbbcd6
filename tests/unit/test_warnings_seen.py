"""Warnings of a run are counted whatever way they come, and still shown."""

from __future__ import annotations

import logging
import warnings

import pytest

from angiova.training.warnings_seen import MAX_KINDS, OTHER, CountedWarnings


def test_python_warnings_and_logged_ones_are_counted_and_shown() -> None:
    quiet = logging.getLogger("angiova-test-quiet")
    quiet.propagate = False
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with CountedWarnings() as counted:
            for _ in range(3):
                warnings.warn("cache flushed\nwith details", UserWarning, stacklevel=1)
            logging.getLogger("some.library").warning("memory at %d %%", 97)
            quiet.error("kept to itself")
            logging.getLogger("some.library").info("all is well")
        warnings.warn("afterwards", UserWarning, stacklevel=1)
    assert counted.counts == {
        "UserWarning: cache flushed": 3,
        "some.library: memory at 97 %": 1,
        "angiova-test-quiet: kept to itself": 1,
    }
    assert [str(w.message).splitlines()[0] for w in shown] == ["cache flushed"] * 3 + ["afterwards"]


def test_endless_kinds_are_counted_together(caplog: pytest.LogCaptureFixture) -> None:
    with CountedWarnings() as counted:
        for number in range(MAX_KINDS + 50):
            logging.getLogger("chatty").warning("number %d", number)
    assert len(counted.counts) == MAX_KINDS + 1
    assert counted.counts[OTHER] == 50
