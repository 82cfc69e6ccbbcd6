"""Two bars for people, over runs and over the frames of one; nothing where standard error is a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


class RunProgress:
    """Shows how many runs and frames are done, and the time left.

    Args:
        num_runs: how many runs there are.
    """

    def __init__(self, num_runs: int) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        self._bars = Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        )
        self._runs = self._bars.add_task("runs", total=num_runs)
        self._name = ""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def start(self, name: str) -> None:
        """Begin with a run."""
        self._name = name

    def finish(self) -> None:
        """Count a run as done, whatever became of it."""
        self._bars.advance(self._runs)

    def over(self, frames: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
        """Yield frames of the run, counting them; `total` is None where it is not known yet."""
        bar = self._bars.add_task(f"{what} {self._name}, frames", total=total)
        try:
            for frame in frames:
                yield frame
                self._bars.advance(bar)
        finally:
            self._bars.remove_task(bar)
