"""Ctrl-C: once stops cleanly, twice stops at once, and only the process that trains listens."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from angiova.training import callbacks
from angiova.training.callbacks import CleanStop


def test_one_request_may_come_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "SAME_REQUEST_S", 60.0)
    with CleanStop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.asked


def test_a_second_request_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "SAME_REQUEST_S", 0.0)
    with pytest.raises(KeyboardInterrupt), CleanStop():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)


def _signalled() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_process_that_prepares_examples_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(callbacks, "SAME_REQUEST_S", 0.0)
    with CleanStop() as stop:
        worker = multiprocessing.get_context("fork").Process(target=_signalled)
        worker.start()
        worker.join()
    assert (worker.exitcode, stop.asked) == (0, False)
    assert "stopping" not in capfd.readouterr().err
