"""What happens around the training steps: progress, metrics on disk, a clean stop, a guard against bad gradients."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from angiova.errors import TrainingError
from angiova.training import processes

# So many optimizer steps in a row whose gradients are not finite end a run: one may be bad luck.
MOST_SKIPPED: Final = 3


class MetricsFile(TrainerCallback):  # type: ignore[misc]
    """Appends one JSON line to `metrics.jsonl` for each log line and each validation.

    Args:
        path: the file; lines of steps after a resumed checkpoint are dropped when training goes on.
        samples_per_step: examples in one optimizer step over all devices.
        frames: frames in one pass, to say how many passes are done.
    """

    def __init__(self, path: Path, samples_per_step: int, frames: int) -> None:
        self.path, self.samples_per_step, self.frames = path, samples_per_step, frames
        self._started = time.monotonic()

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Keep the lines up to the step that training goes on from."""
        if not state.is_world_process_zero:
            return
        kept = [line for line in read_metrics(self.path) if line["optimizer_step"] <= state.global_step]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Write the line."""
        if not state.is_world_process_zero:
            return
        logs = logs or {}
        samples = state.global_step * self.samples_per_step
        line: dict[str, Any] = {
            "optimizer_step": state.global_step,
            "samples_seen": samples,
            "epoch": samples / self.frames,
            "seconds": round(time.monotonic() - self._started, 3),
        }
        if "loss" in logs:
            line |= {"loss": logs["loss"], "lr": logs["learning_rate"], "grad_norm": logs.get("grad_norm")}
            line |= {"grad_norms": _beginning(logs, "grad_norm_"), "losses": _beginning(logs, "loss_")}
        elif any(name.startswith("eval_") for name in logs):
            line["validation"] = _beginning(logs, "eval_")
        else:
            return
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def _beginning(logs: dict[str, float], prefix: str) -> dict[str, float]:
    """Return the figures whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in logs.items() if name.startswith(prefix)}


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a `metrics.jsonl`; none if it does not exist. A torn last line is left out."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


class ProgressBar(TrainerCallback):  # type: ignore[misc]
    """Shows optimizer steps, the current losses, the speed and the time left on stderr.

    Args:
        speed: says how fast training goes.
    """

    def __init__(self, speed: Callable[[], str] = str) -> None:
        self._speed = speed
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[news]}"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("training", news="")

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Start the bar where training starts."""
        self._bar.update(self._task, total=state.max_steps, completed=state.global_step)
        if state.is_world_process_zero:
            self._bar.start()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Show the losses; print each validation on a line of its own."""
        logs = logs or {}
        if "loss" in logs:
            parts = [self._speed(), *(f"{name} {value:.3f}" for name, value in _beginning(logs, "loss_").items())]
            self._bar.update(self._task, news="  ".join(parts))
        elif state.is_world_process_zero and any(name.startswith("eval_") for name in logs):
            parts = [f"{name} {value:.3f}" for name, value in _beginning(logs, "eval_").items()]
            self._bar.console.print(f"step {state.global_step} validation: " + "  ".join(parts))

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def close(self) -> None:
        """Stop drawing, whatever happened."""
        self._bar.stop()


# Signals that come so soon after the first are the same request.
SAME_REQUEST_S: Final = 1.0


class CleanStop(TrainerCallback):  # type: ignore[misc]
    """Turns the first Ctrl-C (or SIGTERM) into "finish this step, save, stop"; a second one stops at once.

    Several processes may hear of it between different steps; all stop after the step at whose end one of them knows.
    One request often comes twice, from a terminal and from what started the run; processes that prepare examples hear
    it too, and leave it to this one.
    """

    def __init__(self) -> None:
        self.asked = False
        self._asked_at = -math.inf
        self._process = os.getpid()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> CleanStop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return
        if self.asked and time.monotonic() - self._asked_at > SAME_REQUEST_S:
            raise KeyboardInterrupt
        if self.asked:
            return
        self.asked, self._asked_at = True, time.monotonic()
        if processes.is_main():
            Console(stderr=True).print("stopping after this step; press Ctrl-C again to stop at once")

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Ask the Trainer to save and stop."""
        self.asked = processes.any_of_all(self.asked)
        if self.asked:
            control.should_save = control.should_training_stop = True


class Patience(EarlyStoppingCallback):  # type: ignore[misc]
    """Ends training after so many validations without a better score; the best checkpoint is kept anyway."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Leave out the Trainer's advice to load the best checkpoint at the end, which `eval` does by itself."""


class GradientGuard(TrainerCallback):  # type: ignore[misc]
    """Skips optimizer steps whose gradients are not finite, and ends the run when MOST_SKIPPED follow one another.

    The gradients are those of all devices together, so every process decides alike.

    Attributes:
        num_skipped: steps that were not made.
    """

    def __init__(self) -> None:
        self.num_skipped = self._in_a_row = 0
        self._losses: dict[str, torch.Tensor] = {}
        self._parameters: list[torch.nn.Parameter] = []  # walking the modules costs as much as the norm

    def see(self, losses: dict[str, torch.Tensor]) -> None:
        """Remember the losses of a micro-step, to name those that are not finite."""
        self._losses = losses

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Look at the norm of all gradients together."""
        assert model is not None
        self._parameters = self._parameters or list(model.parameters())
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            self._in_a_row = 0
            return
        for parameter in self._parameters:  # AdamW leaves alone what has no gradient
            parameter.grad = None
        self.num_skipped += 1
        self._in_a_row += 1
        worst = [name for name, loss in self._losses.items() if not torch.isfinite(loss)]
        what = f"loss {', '.join(worst)}" if worst else "the gradient"
        if self._in_a_row == MOST_SKIPPED:
            raise TrainingError(
                f"{what} is not finite at optimizer step {state.global_step}, {MOST_SKIPPED} steps in a row; "
                "none of them was made",
                remedy="lower optimizer.lr or use precision: fp32, then go on with --resume from the last checkpoint",
            )
        if state.is_world_process_zero:
            Console(stderr=True).print(f"optimizer step {state.global_step} skipped: {what} is not finite")
