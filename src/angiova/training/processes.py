"""One process a device: who this process is, what it must do together with the others, and starting them all.

`angiova train` starts the processes of one machine itself; torchrun starts those of several. Both tell a process who it
is by the same environment variables, and everything after that is accelerate's.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object, reduce

from angiova.errors import ConfigError, ExitCode
from angiova.training.watchdog import NOTES, STALL_S, read_notes, stall_of

T = TypeVar("T")

WORLD_SIZE: Final = "WORLD_SIZE"
POLL_S: Final = 0.2
# What the other processes get to write and to leave by themselves after one has failed.
GRACE_S: Final = 30.0
SHOWN_BYTES: Final = 4000


def world_size() -> int:
    """Return how many processes train together, one a device."""
    return int(os.environ.get(WORLD_SIZE, "1"))


def rank() -> int:
    """Return which of them this process is, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Say whether this process writes the run folder and talks to the user."""
    return rank() == 0


def join(device: torch.device) -> None:
    """Meet the other processes, if there are any; from here on they can be waited for."""
    if world_size() > 1:
        PartialState(cpu=device.type == "cpu", backend="gloo" if device.type == "cpu" else None)


def own_device(device: torch.device) -> torch.device:
    """Return the device of this process: `cuda` by itself names the first GPU to each process of a machine."""
    if device.type != "cuda" or world_size() == 1:
        return device
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def wait_for_all() -> None:
    """Return when every process has come here."""
    if world_size() > 1:
        PartialState().wait_for_everyone()


def gather(values: Sequence[T]) -> list[T]:
    """Return the values of all processes, in order of their ranks."""
    return list(gather_object(list(values))) if world_size() > 1 else list(values)


def any_of_all(said: bool) -> bool:
    """Say whether any process says yes; all get the same answer."""
    if world_size() == 1:
        return said
    state = PartialState()
    return bool(reduce(torch.tensor(float(said), device=state.device), "sum") > 0)


def is_worker() -> bool:
    """Say whether somebody started this process as one of several, or as the only one, and it is to train itself."""
    return WORLD_SIZE in os.environ


def count_devices(asked: int | None, device: str) -> int:
    """Return how many processes to start: what was asked for, else one a GPU.

    Raises:
        ConfigError: there are not as many GPUs.
    """
    on_gpus = device != "cpu" and torch.cuda.is_available()
    available = torch.cuda.device_count() if on_gpus else None
    if asked is None:
        return available or 1
    if available is not None and asked > available:
        raise ConfigError(f"{asked} GPUs asked for, {available} here", where="--devices", remedy="see `angiova doctor`")
    return asked


def start_processes(count: int, command: Sequence[str], stall_s: float = STALL_S) -> ExitCode:
    """Run `command` once for each of `count` devices of this machine and return how it went.

    The first process shares this one's terminal. When one fails the others are ended, and its last words are shown.
    When training stands still, the process that is waited for is named and all are ended. Ctrl-C reaches all of them;
    they agree on the step after which they stop.

    Args:
        count: number of processes.
        command: what each of them runs.
        stall_s: seconds without any step after which training stands still.
    """
    port = _free_port()
    with (
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryDirectory(prefix="angiova-") as notes,
        _Forwarding() as forwarding,
    ):
        processes = [
            subprocess.Popen(  # noqa: S603  (our own command)
                command,
                env=_environment(rank, count, port) | {NOTES: notes},
                stdout=None if rank == 0 else subprocess.DEVNULL,
                stderr=None if rank == 0 else said,
            )
            for rank in range(count)
        ]
        forwarding.processes = processes
        failed = _first_failure(processes, Path(notes), stall_s)
        if failed:
            sys.stderr.write(f"process {failed} of {count} (counted from 0) failed:\n{_tail(said)}\n")
    return ExitCode.DONE if failed is None else ExitCode.FAILED


class _Forwarding:
    """Keeps this process alive on Ctrl-C, which the terminal sends to all, and passes SIGTERM on, which comes alone."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> _Forwarding:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and sys.stdin.isatty():
            return
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(number)


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    threads = max((os.cpu_count() or 1) // count, 1)
    return {
        "OMP_NUM_THREADS": str(threads),
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        WORLD_SIZE: str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _first_failure(processes: Sequence[subprocess.Popen[bytes]], notes: Path, stall_s: float) -> int | None:
    """Wait for all; return which failed first, if any. The others then get GRACE_S to leave, and are ended."""
    first, deadline, running = None, 0.0, True
    while running:
        codes = [process.poll() for process in processes]
        running = None in codes
        stall = stall_of(read_notes(notes), time.time(), stall_s) if first is None else None
        if stall is not None:
            sys.stderr.write(stall + "\n")
            for process in processes:
                process.kill()
        if first is None:
            first = next((rank for rank, code in enumerate(codes) if code), None)
            deadline = time.monotonic() + GRACE_S
        elif time.monotonic() > deadline:
            for process in processes:
                process.kill()
        time.sleep(POLL_S)
    return first


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - SHOWN_BYTES, 0))
    return stream.read().decode("utf-8", "replace").strip()
