"""How much memory a recipe takes on each device, and how to lay out its steps so that they fit, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch

from angiova.errors import ConfigError
from angiova.inference.predictor import choose_device
from angiova.model.adapters import select_trainable
from angiova.model.fused import fuse_layers, has_lora
from angiova.model.modeling import Sa2VAModel
from angiova.training.config import Recipe
from angiova.training.kept import language_bytes, logits_bytes, mask_bytes
from angiova.training.learner import trainable_settings, uses_bf16
from angiova.training.plan import BYTES_BF16, empty_model, plan_parts
from angiova.training.shares import state_on_one
from angiova.training.strategies import SHARDS_WEIGHTS

GIB: Final = 2**30
# A question and its answer: all of their tokens, and those of the answer.
TOKENS_A_TURN: Final = 32
WORDS_A_TURN: Final = 10
# What CUDA and its libraries hold for themselves, and the share of the rest that fragments leave usable.
CONTEXT_BYTES: Final = GIB
USABLE: Final = 0.94
SIDE_PX: Final = 512


@dataclass(frozen=True, slots=True)
class Layout:
    """How an optimizer step is laid out on one device, and the memory that it takes at most.

    Attributes:
        micro: examples at once.
        accumulation: micro-steps an optimizer step.
        gradient_checkpointing: whether activations of layers are computed again.
        state_bytes: weights, gradients and the optimizer's moments.
        step_bytes: what a micro-step keeps for its backward pass.
    """

    micro: int
    accumulation: int
    gradient_checkpointing: bool
    state_bytes: int
    step_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.state_bytes + self.step_bytes


@dataclass(frozen=True, slots=True)
class Fit:
    """The layout chosen for a device of some size, and why."""

    layout: Layout
    device_bytes: int
    reason: str


def predict(recipe: Recipe, devices: int = 1) -> Layout:
    """Return the memory of the recipe as it is written, on each of `devices`.

    Raises:
        ConfigError: it trains a baseline, whose memory is not predicted.
    """
    return _Predictor(recipe, devices).layout(recipe.batch.micro, recipe.engine.gradient_checkpointing)


def choose_layout(recipe: Recipe, device_bytes: int, devices: int = 1) -> Fit:
    """Return the fastest layout that fits: the largest micro-batch without checkpointing, else the largest with it.

    The examples of an optimizer step stay as many as the recipe says. Below a quarter of the recipe's micro-batch,
    kernels run so far from full that computing activations again is the faster way.

    Raises:
        ConfigError: not even one example fits, or the recipe trains a baseline.
    """
    predictor, usable = _Predictor(recipe, devices), int((device_bytes - CONTEXT_BYTES) * USABLE)
    least = max(recipe.batch.micro // 4, 1)
    plain = next((found for found in predictor.layouts(False) if found.total_bytes <= usable), None)
    if plain is not None and plain.micro >= least:
        return Fit(plain, device_bytes, _reason(recipe, plain, devices))
    again = next((found for found in predictor.layouts(True) if found.total_bytes <= usable), plain)
    if again is None:
        needed = predictor.layout(1, checkpointing=True).total_bytes
        raise ConfigError(
            f"one example takes {needed / GIB:.1f} GiB, of {device_bytes / GIB:.1f} GiB {usable / GIB:.1f} can be used",
            where="batch.micro",
            remedy="train less (trainable: vocabulary new_rows, a smaller lora.rank), take a larger device, or several "
            "with engine.strategy: zero3",
        )
    return Fit(again, device_bytes, _reason(recipe, again, devices))


def _reason(recipe: Recipe, layout: Layout, devices: int) -> str:
    parts = []
    if layout.micro == recipe.batch.micro:
        parts.append("the recipe's micro-batch fits")
    else:
        parts.append(f"{recipe.batch.micro} examples at once do not fit, {layout.micro} do")
    if layout.gradient_checkpointing and not recipe.engine.gradient_checkpointing:
        parts.append("activations are computed again, since too few examples fit with them kept")
    parts.append(_held(recipe.engine.strategy, devices))
    return "; ".join(parts)


def _held(strategy: str, devices: int) -> str:
    """Return what every device holds, in words."""
    if strategy == "ddp" or devices == 1:
        return "every device holds the whole model"
    shared = "all" if strategy in SHARDS_WEIGHTS else "gradients and optimizer"
    return f"{strategy}: every device holds 1/{devices} of {shared}"


class _Predictor:
    """Holds the model without weights while several layouts are counted."""

    def __init__(self, recipe: Recipe, devices: int) -> None:
        if recipe.model.baseline is not None:
            raise ConfigError(
                "memory of baselines is not predicted", where="model.baseline", remedy="try it: training rehearses"
            )
        self._recipe = recipe
        bf16 = uses_bf16(recipe, choose_device(recipe.device))
        self._dtype = torch.bfloat16 if bf16 else torch.float32
        self._model = _prepared_model(recipe, self._dtype)
        num_layers = len(self._model.vlm.model.language_model.layers)
        rows = plan_parts(recipe)
        self._num_trainable = rows[-1].trainable
        self._state = state_on_one(rows, recipe.engine.strategy, devices, num_layers)

    def layouts(self, checkpointing: bool) -> Iterator[Layout]:
        """Yield layouts with fewer and fewer examples at once, from the recipe's on."""
        per_step = self._recipe.batch.micro * self._recipe.batch.accumulation
        for micro in range(self._recipe.batch.micro, 0, -1):
            if per_step % micro == 0:
                yield self.layout(micro, checkpointing)

    def layout(self, micro: int, checkpointing: bool) -> Layout:
        recipe, held = self._recipe, self._state
        turns = recipe.data.examples.targets_per_frame
        tokens = self._model.config.tokens_per_tile + TOKENS_A_TURN * turns
        state = held.weights + held.gradients + held.optimizer
        step = language_bytes(self._model, micro, tokens, self._dtype, checkpointing)
        step += mask_bytes(self._model, micro, micro * turns, SIDE_PX, self._dtype)
        step += logits_bytes(self._model, micro * turns * WORDS_A_TURN, self._dtype)
        if self._dtype == torch.bfloat16:  # autocast keeps a copy of each trained weight until the step ends
            step += self._num_trainable * BYTES_BF16
        accumulation = recipe.batch.micro * recipe.batch.accumulation // micro
        # Gradients appear while activations go; only those of earlier micro-steps stand beside them.
        kept = state if accumulation > 1 else state - held.gradients
        return Layout(micro, accumulation, checkpointing, kept, step)


def _prepared_model(recipe: Recipe, dtype: torch.dtype) -> Sa2VAModel:
    model = empty_model(recipe)
    settings = trainable_settings(recipe, model)
    with torch.device("meta"):
        select_trainable(model, settings)
    for parameter in model.parameters():
        if not parameter.requires_grad or not settings.is_adapter:
            parameter.data = parameter.data.to(dtype)
    if recipe.engine.fused and recipe.engine.strategy not in SHARDS_WEIGHTS and has_lora(model):
        fuse_layers(model)
    return model
