"""Writing checkpoints beside training: what is to be written is copied on its device, and a thread does the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from angiova.errors import TrainingError

WRITE_ERRORS = (OSError, RuntimeError, SafetensorError)


class CheckpointWriter:
    """Does the jobs of one checkpoint in order, at once or in the background.

    Args:
        in_background: whether training goes on meanwhile.
    """

    def __init__(self, in_background: bool) -> None:
        self.in_background = in_background
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint") if in_background else None
        self._jobs: list[tuple[Path, Future[None]]] = []

    def do(self, folder: Path, job: Callable[[], None]) -> None:
        """Run a job that writes into the folder of a checkpoint, after those before it."""
        if self._thread is None:
            job()
        else:
            self._jobs.append((folder, self._thread.submit(job)))

    def finish(self) -> None:
        """Return when everything is written.

        Raises:
            TrainingError: a checkpoint could not be written; what was begun of it is removed.
        """
        jobs, self._jobs = self._jobs, []
        for folder, job in jobs:
            error = job.exception()
            if isinstance(error, WRITE_ERRORS):
                for _, other in jobs:
                    other.exception()
                raise unwritten(folder, error)
            if error is not None:
                raise error

    def wait(self) -> None:
        """Return when nothing is being written, whatever came of it."""
        for _, job in self._jobs:
            job.exception()


def unwritten(folder: Path, error: BaseException) -> TrainingError:
    """Remove what was begun of a checkpoint, and return what to tell the user."""
    shutil.rmtree(folder, ignore_errors=True)
    return TrainingError(
        f"checkpoint cannot be written ({error})",
        where=folder,
        remedy="free some space, then go on with --resume from the last checkpoint",
    )


def copied(value: Any) -> Any:  # noqa: ANN401
    """Return a nested state with every tensor copied where it lies, so that training may change the original."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    return [copied(entry) for entry in value] if isinstance(value, list) else value
