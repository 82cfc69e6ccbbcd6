"""An exponential moving average of the weights that are trained: steadier than the last step's, at no cost in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

AVERAGE_NAME: Final = "average.safetensors"
TRAINED_NAME: Final = "trained.safetensors"


class AveragedWeights(TrainerCallback):  # type: ignore[misc]
    """Averages after each optimizer step; validation and checkpoints use the average, training goes on without it.

    The average forgets quickly at first, by min(decay, (1 + step) / (10 + step)), so that random starting weights do
    not stay in it (as in TensorFlow's ExponentialMovingAverage with `num_updates`).

    Args:
        model: the model; its trainable parameters are averaged, in float32.
        decay: share of the old average that each step keeps, below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._average = {name: p.detach().float().clone() for name, p in self._trained.items()}
        self._decay = decay

    def on_train_begin(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Follow the weights to the device on which they are trained."""
        for name, parameter in self._trained.items():
            self._average[name] = self._average[name].to(parameter.device)

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Take the new weights in; the step is counted after this."""
        step = state.global_step + 1
        take_in = get_ema_multi_avg_fn(min(self._decay, (1 + step) / (10 + step)))  # type: ignore[no-untyped-call]
        names = list(self._trained)
        take_in([self._average[n] for n in names], [self._trained[n].detach().float() for n in names], None)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in the place of the trained weights for a while."""
        kept = {name: parameter.detach().clone() for name, parameter in self._trained.items()}
        self._fill(self._average)
        try:
            yield
        finally:
            self._fill(kept)

    def save(self, folder: Path) -> None:
        """Write the average and the trained weights, both as they are, for `load`."""
        save_file(_portable(self._average), folder / AVERAGE_NAME)
        save_file(_portable({name: p.detach() for name, p in self._trained.items()}), folder / TRAINED_NAME)

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote."""
        self._average = load_file(folder / AVERAGE_NAME)
        self._fill(load_file(folder / TRAINED_NAME))

    def _fill(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(values[name])


def _portable(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
