"""The owner's side of the decoding process: start it, ask it, and end it when it takes too long."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import angiova
from angiova.data.decoding.limits import DecodeLimits
from angiova.data.decoding.messages import Message, read_message
from angiova.errors import DataError

READ_BYTES: Final = 2**20
# One thread, one arena: the process has a limit on addresses, and libraries reserve some for every thread.
_ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class Decoder:
    """Opens files from elsewhere in a child process that is limited, and replaced after it had to be ended.

    Args:
        limits: what the process may use.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def one(self, task: str, path: Path, **fields: Any) -> Message:  # noqa: ANN401  (anything JSON can hold)
        """Return the only message that answers `task` about `path`.

        Raises:
            DataError: see `ask`.
        """
        messages = list(self.ask(task, path, **fields))
        if len(messages) != 1:
            raise DataError("made its decoder answer nonsense", where=path, remedy="leave the file out")
        return messages[0]

    def ask(self, task: str, path: Path, **fields: Any) -> Iterator[Message]:  # noqa: ANN401
        """Yield the messages that answer `task` about `path`.

        Raises:
            DataError: the file cannot be used, its decoder broke down, or a limit was reached.
        """
        process = self._started()
        assert process.stdin is not None
        finished = False
        try:
            process.stdin.write(json.dumps({"task": task, "path": str(path.resolve()), **fields}).encode() + b"\n")
            process.stdin.flush()
            answers = _Answers(process, self._limits)
            while "end" not in (message := read_message(answers.read)).fields:
                if "problem" in message.fields:
                    finished = True
                    raise DataError(str(message.fields["problem"]), where=path, remedy=str(message.fields["remedy"]))
                yield message
            finished = True
        except BrokenPipeError:
            raise DataError("its decoder broke down", where=path, remedy="leave the file out") from None
        finally:
            if not finished:  # half an answer may still be in the pipe
                self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            # -P: a file pydicom.py in the current folder is data, not a module.
            command = [sys.executable, "-P", "-m", "angiova.data.decoding.worker", json.dumps(asdict(self._limits))]
            package_folder = str(Path(angiova.__file__).parents[1])
            path = os.pathsep.join(filter(None, (package_folder, os.environ.get("PYTHONPATH"))))
            self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": path},
            )
        return self._process


class _Answers:
    """Reads answers, and counts the time that was spent waiting for them."""

    def __init__(self, process: subprocess.Popen[bytes], limits: DecodeLimits) -> None:
        assert process.stdout is not None
        self._file = process.stdout.fileno()
        self._seconds, self._left_s = limits.seconds, limits.seconds

    def read(self, num_bytes: int) -> bytes:
        """Return the next `num_bytes` bytes.

        Raises:
            DataError: they did not come in time, or the process ended.
        """
        parts, missing = [], num_bytes
        while missing:
            part = self._wait(min(missing, READ_BYTES))
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _wait(self, most: int) -> bytes:
        started_s = time.monotonic()
        ready, _, _ = select.select([self._file], [], [], self._left_s)
        self._left_s = max(self._left_s - (time.monotonic() - started_s), 0.0)
        if not ready:
            remedy = "check the file, or raise --decode-seconds"
            raise DataError(f"took longer than {self._seconds:g} s to open", remedy=remedy)
        part = os.read(self._file, most)
        if not part:
            raise DataError("its decoder broke down or reached its limits", remedy="leave the file out")
        return part
