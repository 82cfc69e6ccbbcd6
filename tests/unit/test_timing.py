"""A run says how fast it went, from the times of its steps and of its waits."""

from __future__ import annotations

import time
from typing import Any

import pytest

from angiova.training.timing import WARMUP_STEPS, StepTimer, process_age_s

STEP_S, WAIT_S, SLOW_S = 0.02, 0.01, 0.2


def steps(timer: StepTimer, count: int, seconds: float) -> None:
    nothing: Any = None
    for _ in range(count):
        with timer.waiting():
            time.sleep(WAIT_S)
        timer.on_step_begin(nothing, nothing, nothing)
        time.sleep(seconds)
        timer.on_step_end(nothing, nothing, nothing)


def test_throughput_leaves_out_the_slow_first_steps() -> None:
    timer = StepTimer()
    assert timer.throughput(8, 2) is None
    steps(timer, WARMUP_STEPS, SLOW_S)
    steps(timer, 5, STEP_S)
    measured = timer.throughput(samples_per_step=8, num_devices=2)
    assert measured is not None
    assert measured.steps == 5
    assert measured.device_seconds_per_sample == pytest.approx((STEP_S + WAIT_S) * 2 / 8, rel=0.5)
    assert measured.samples_per_second * measured.device_seconds_per_sample == pytest.approx(2)
    assert measured.data_wait_share == pytest.approx(WAIT_S / (STEP_S + WAIT_S), rel=0.5)
    assert timer.first_step_s is not None
    assert SLOW_S < timer.first_step_s <= (process_age_s() or 0)


def test_a_short_run_is_measured_whole() -> None:
    timer = StepTimer()
    steps(timer, 2, STEP_S)
    measured = timer.throughput(4, 1)
    assert measured is not None and measured.steps == 2
