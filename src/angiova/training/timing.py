"""How long steps take: a micro-step from its batch to its gradients, an optimizer step to the changed weights."""

from __future__ import annotations

import time
from statistics import fmean, median
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from angiova.run_record import StepTime


class StepTimer(TrainerCallback):  # type: ignore[misc]
    """Measures every step of a session. Must stand behind a callback that waits for the device, as `GradientGuard`."""

    def __init__(self) -> None:
        self._micro_s: list[float] = []
        self._optimizer_s: list[float] = []
        self._step_began = self._micro_began = 0.0

    @property
    def micro_step(self) -> StepTime | None:
        """Micro-steps; None before the first."""
        return _summary(self._micro_s)

    @property
    def optimizer_step(self) -> StepTime | None:
        """Optimizer steps; None before the first."""
        return _summary(self._optimizer_s)

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

    def _end_micro_step(self) -> None:
        now = time.perf_counter()
        self._micro_s.append(now - self._micro_began)
        self._micro_began = now


def _summary(seconds: list[float]) -> StepTime | None:
    if not seconds:
        return None
    return StepTime(count=len(seconds), mean=fmean(seconds), median=median(seconds), longest=max(seconds))
