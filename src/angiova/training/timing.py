"""How long steps take: a micro-step from its batch to its gradients, an optimizer step to the changed weights."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, median
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from angiova.run_record import StepTime, Throughput

# Steps in which kernels are chosen and memory is laid out; a run shorter than twice as many is measured whole.
WARMUP_STEPS = 3


class StepTimer(TrainerCallback):  # type: ignore[misc]
    """Measures every step of a session. Must stand behind a callback that waits for the device, as `GradientGuard`."""

    def __init__(self) -> None:
        self._micro_s: list[float] = []
        self._optimizer_s: list[float] = []
        self._waits_s: list[float] = []
        self._step_began = self._micro_began = 0.0
        self.first_step_s: float | None = None

    @property
    def micro_step(self) -> StepTime | None:
        """Micro-steps; None before the first."""
        return _summary(self._micro_s)

    @property
    def optimizer_step(self) -> StepTime | None:
        """Optimizer steps; None before the first."""
        return _summary(self._optimizer_s)

    def throughput(self, samples_per_step: int, num_devices: int) -> Throughput | None:
        """Return how fast the session went; None before the first step.

        Args:
            samples_per_step: examples of an optimizer step, all devices together.
            num_devices: how many there are.
        """
        skipped = WARMUP_STEPS if len(self._optimizer_s) >= 2 * WARMUP_STEPS else 0
        steps_s, waits_s = self._optimizer_s[skipped:], self._waits_s[skipped : len(self._optimizer_s)]
        if not steps_s:
            return None
        seconds, waited = sum(steps_s) + sum(waits_s), sum(waits_s)
        samples = len(steps_s) * samples_per_step
        return Throughput(
            steps=len(steps_s),
            samples_per_second=samples / seconds,
            device_seconds_per_sample=seconds * num_devices / samples,
            data_wait_share=waited / seconds,
        )

    def long_waits(self, share: float) -> int:
        """Return how many steps but the first waited for data longer than this share of the median optimizer step."""
        if not self._optimizer_s:
            return 0
        limit = share * median(self._optimizer_s)
        return sum(wait > limit for wait in self._waits_s[1:])

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time spent inside as waiting for the data of one optimizer step."""
        began = time.perf_counter()
        yield
        self._waits_s.append(time.perf_counter() - began)

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Note when the first batch of an optimizer step is there."""
        self._step_began = self._micro_began = time.perf_counter()

    def on_substep_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """End every micro-step but the last of an accumulation."""
        self._end_micro_step()

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """End the last micro-step of an accumulation."""
        self._end_micro_step()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """End the optimizer step."""
        self._optimizer_s.append(time.perf_counter() - self._step_began)
        if self.first_step_s is None:
            self.first_step_s = process_age_s()

    def _end_micro_step(self) -> None:
        now = time.perf_counter()
        self._micro_s.append(now - self._micro_began)
        self._micro_began = now


def process_age_s() -> float | None:
    """Return for how many seconds this process has run, Python's own start included; None where no Linux says it."""
    stat = Path("/proc/self/stat")
    if not stat.exists():
        return None
    # Fields are counted behind the name, which may hold spaces; the 22nd of proc(5) is the start in clock ticks.
    ticks = int(stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _summary(seconds: list[float]) -> StepTime | None:
    if not seconds:
        return None
    return StepTime(count=len(seconds), mean=fmean(seconds), median=median(seconds), longest=max(seconds))
