"""What is counted while a run trains: gradients of each part, waits for data, the allocator, and slow processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from angiova.run_record import Throughput
from angiova.training import processes
from angiova.training.timing import StepTimer

# A wait for data longer than this share of a step's median time is counted as one.
LONG_WAIT: Final = 0.1
# A process whose forward and backward passes take this much longer than the median process is called slow.
SLOW: Final = 1.1


class PartGradients(TrainerCallback):  # type: ignore[misc]
    """Measures the norm of the gradients of each part at the steps that are logged, after clipping.

    Args:
        parts: trained parameters of each part, by its name.
    """

    def __init__(self, parts: Mapping[str, Sequence[nn.Parameter]]) -> None:
        self._parts = parts
        self._norms: dict[str, Tensor] = {}

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Take the norms where a log line follows; they stay on the device until it is written."""
        if (state.global_step + 1) % args.logging_steps == 0:
            gradients = {name: [p.grad for p in parts if p.grad is not None] for name, parts in self._parts.items()}
            self._norms = {name: nn.utils.get_total_norm(found) for name, found in gradients.items() if found}

    def take(self) -> dict[str, float]:
        """Return the norms of the last logged step by part, once."""
        norms, self._norms = self._norms, {}
        return {name: float(norm) for name, norm in norms.items()}


def count_events(timer: StepTimer, device: torch.device) -> dict[str, int]:
    """Return how often this process waited long for data, and what its allocator had to do."""
    counters = {"long_data_waits": timer.long_waits(LONG_WAIT)}
    if device.type == "cuda":
        statistics = torch.cuda.memory_stats(device)
        counters["allocator_flushes"] = int(statistics["num_alloc_retries"])
        counters["allocator_failures"] = int(statistics["num_ooms"])
    return counters


def describe_speed(speed: Throughput | None, device: torch.device) -> str:
    """Return samples a second, device-seconds a sample, FLOP utilisation where it is known, and the most memory so far.

    Empty before the first step.
    """
    if speed is None:
        return ""
    words = [f"{speed.samples_per_second:.2f} samples/s", f"{speed.device_seconds_per_sample:.3f} device-s a sample"]
    if speed.flop_utilisation is not None:
        words.append(f"{100 * speed.flop_utilisation:.0f} % of peak FLOP/s")
    if device.type == "cuda":
        words.append(f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB")
    return "  ".join(words)


def slow_processes(timer: StepTimer) -> list[int]:
    """Return the ranks whose micro-steps take clearly longer than those of the median process; every process asks."""
    step = timer.micro_step
    medians = torch.tensor(processes.gather([0.0 if step is None else step.median]))
    return [rank for rank, seconds in enumerate(medians.tolist()) if seconds > SLOW * float(medians.median())]
