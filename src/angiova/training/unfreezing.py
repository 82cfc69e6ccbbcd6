"""Training parts of a model from a later step on, e.g. the decoder first and the encoder when it fits the decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class Unfreezing(TrainerCallback):  # type: ignore[misc]
    """Takes the gradients of parts away until their time has come, so that the optimizer leaves them as they are.

    Every weight keeps a gradient until then, as several devices need that average them.

    Args:
        parts: trained parameters of each part, by its name.
        starts: share of the optimizer steps after which each part is trained.
    """

    def __init__(self, parts: Mapping[str, Sequence[nn.Parameter]], starts: Mapping[str, float]) -> None:
        self._parts, self._starts = parts, starts

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Leave out what is not yet trained."""
        for name, start in self._starts.items():
            if state.global_step < start * state.max_steps:
                for parameter in self._parts[name]:
                    parameter.grad = None
