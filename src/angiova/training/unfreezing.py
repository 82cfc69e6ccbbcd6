"""Training parts of a model from a later step on, e.g. the decoder first and the encoder when it fits the decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class Unfreezing(TrainerCallback):  # type: ignore[misc]
    """Takes the gradients of parts away until their time has come, so that the optimizer leaves them as they are.

    Every weight has a gradient all the same, as several devices need that average them: of 0, so that it does not count
    where gradients are clipped, and none at all for the optimizer, which would decay it.

    Args:
        parts: trained parameters of each part, by its name.
        starts: share of the optimizer steps after which each part is trained.
    """

    def __init__(self, parts: Mapping[str, Sequence[nn.Parameter]], starts: Mapping[str, float]) -> None:
        self._parts, self._starts = parts, starts
        self._waiting: set[str] = set(starts)
        for name in starts:
            for parameter in parts[name]:
                parameter.register_hook(partial(self._let_through, name))  # type: ignore[no-untyped-call]

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Note whose time has not come."""
        self._waiting = {name for name, start in self._starts.items() if state.global_step < start * state.max_steps}

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Leave out what is not yet trained."""
        for name in self._waiting:
            for parameter in self._parts[name]:
                parameter.grad = None

    def _let_through(self, name: str, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient) if name in self._waiting else gradient
