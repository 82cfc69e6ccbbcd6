"""Trying the largest step before training starts, and taking smaller micro-batches where memory is not enough.

An optimizer step keeps its examples: half as many at once, twice as often. So what is learnt stays the same, to
rounding (`docs/how-to/train-on-several-devices.md`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import Tensor, nn

from angiova.data.clips import Clip
from angiova.data.dataset import Example, ExampleDataset
from angiova.data.mixed import MixedExamples
from angiova.errors import TrainingError
from angiova.training import processes
from angiova.training.config import BatchSettings, Recipe
from angiova.training.learner import Learner, uses_bf16

NUM_STEPS: Final = 3
MOMENTS: Final = 2
# Examples looked at for the largest; more would be drawn than a run of some epochs has.
MOST_EXAMPLES: Final = 20_000


def fit_batch(
    recipe: Recipe, learner: Learner, dataset: ExampleDataset | MixedExamples, device: torch.device
) -> tuple[Recipe, list[str]]:
    """Return the recipe with a micro-batch that fits in memory, and what there is to say about it.

    The model is moved to the device. Weights, gradients and random numbers are left as they were.

    Raises:
        TrainingError: not even one example fits.
    """
    is_wanted = recipe.engine.rehearsal
    if not (device.type == "cuda" if is_wanted is None else is_wanted):
        return recipe, []
    messages, worst = [], largest_examples(dataset, recipe.batch.micro)
    learner.model.to(device).train()
    while not _fits(learner, worst[: recipe.batch.micro], recipe, device):
        smaller = halved(recipe.batch)
        messages.append(said(recipe.batch, smaller))
        recipe = recipe.model_copy(update={"batch": smaller})
    return recipe, messages


def halved(batch: BatchSettings) -> BatchSettings:
    """Return half the micro-batch and twice the accumulation; of an odd one, single examples.

    Raises:
        TrainingError: the micro-batch is one example already.
    """
    if batch.micro == 1:
        raise TrainingError(
            "one example does not fit in memory",
            where="batch.micro: 1",
            remedy="set engine.gradient_checkpointing: true, train less (trainable), or see `angiova plan`",
        )
    micro = batch.micro // 2 if batch.micro % 2 == 0 else 1
    return batch.model_copy(update={"micro": micro, "accumulation": batch.accumulation * (batch.micro // micro)})


def said(before: BatchSettings, after: BatchSettings) -> str:
    """Return what to tell the user about a change of the layout of a step."""
    return (
        f"out of memory: batch.micro {before.micro} -> {after.micro}, batch.accumulation {before.accumulation} -> "
        f"{after.accumulation}; an optimizer step keeps its examples"
    )


def largest_examples(dataset: ExampleDataset | MixedExamples, count: int) -> list[Example | Clip]:
    """Return the examples with the most masks, and of those with the longest text; again where there are too few."""
    sizes = {index: dataset.size_of(index) for index in range(min(len(dataset), MOST_EXAMPLES))}
    largest = sorted(sizes, key=lambda index: sizes[index], reverse=True)[:count]
    return [dataset[largest[number % len(largest)]] for number in range(count)]


def free_memory() -> None:
    """Give back what a failed step left behind."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _fits(learner: Learner, examples: Sequence[Example | Clip], recipe: Recipe, device: torch.device) -> bool:
    """Say whether steps on these examples fit on every device."""
    failed = False
    try:
        _run_steps(learner, lambda: _to(learner.collate(examples), device), recipe, device)
    except torch.OutOfMemoryError:
        failed = True
    learner.model.zero_grad(set_to_none=True)
    free_memory()
    return not processes.any_of_all(failed)


def _run_steps(
    learner: Learner, make_batch: Callable[[], dict[str, Any]], recipe: Recipe, device: torch.device
) -> None:
    """Run forward and backward passes beside what the optimizer will hold; no step of it is made."""
    trained = [parameter for parameter in learner.model.parameters() if parameter.requires_grad]
    devices = [device] if device.type == "cuda" else []
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16(recipe, device)))
        moments = [torch.empty_like(parameter) for parameter in trained for _ in range(MOMENTS)]
        for _ in range(NUM_STEPS):
            batch = make_batch()
            losses = learner.model(**(batch if learner.first is None else learner.first.with_prompts(batch))).losses
            total: Tensor = torch.stack([losses[name].float() for name in learner.loss_weights]).sum()
            total.backward()  # type: ignore[no-untyped-call]
        nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
        del moments


def _to(batch: Any, device: torch.device) -> Any:  # noqa: ANN401
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        return {name: _to(value, device) for name, value in batch.items()}
    return [_to(value, device) for value in batch] if isinstance(batch, list) else batch
