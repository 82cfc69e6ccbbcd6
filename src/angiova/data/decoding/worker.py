"""The decoding process: `python -P -m angiova.data.decoding.worker LIMITS`, requests as JSON lines on standard input.

It limits itself before it opens anything, cannot write files, and answers every request with messages that end in
`end` or `problem`. Problems are worded here: those of the libraries may quote names of patients.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from angiova.data.decoding.limits import MIB, DecodeLimits
from angiova.data.decoding.messages import Message, write_message
from angiova.errors import DataError

Task = Callable[[Path, DecodeLimits, Mapping[str, Any]], Iterator[Message]]
MAX_OPEN_FILES: Final = 64
DAMAGED: Final = "copy or export it again"


def main() -> None:
    """Answer requests until standard input ends."""
    limits = DecodeLimits(**json.loads(sys.argv[1]))
    answers = _private_output()
    warnings.simplefilter("ignore")
    _limit_process(limits)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit_seconds(limits)
        for message in _answer(request, limits):
            write_message(answers, message)


def _private_output() -> BinaryIO:
    """Keep standard output for answers alone: libraries that print get /dev/null instead."""
    private = os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    return private


def _limit_process(limits: DecodeLimits) -> None:
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_mib * MIB),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),  # a core would hold the patient's data
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
    ):
        resource.setrlimit(what, (most, most))


def _limit_seconds(limits: DecodeLimits) -> None:
    """Let the kernel end this process even when its owner is gone and nobody else watches the clock."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + limits.seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def _answer(request: Mapping[str, Any], limits: DecodeLimits) -> Iterator[Message]:
    try:
        yield from _task(request["task"])(Path(request["path"]), limits, request)
        yield Message({"end": True})
    except DataError as error:
        yield _problem(error.problem, error.remedy or DAMAGED)
    except MemoryError:
        yield _problem(f"needs more than {limits.memory_mib} MiB to open", "check the file, or raise --decode-memory")
    except RecursionError:
        yield _problem("sequences are nested too deeply", "leave the file out; it may be made to do harm")
    except Exception as error:  # parsers of hostile files raise anything; the kind is told, never the words
        yield _problem(f"is damaged or not what it says it is ({type(error).__name__})", DAMAGED)


def _task(name: str) -> Task:
    """Return what a request asks for; pydicom and PyAV are loaded by the first request that needs them."""
    if name.startswith("video"):
        from angiova.data.decoding import video

        return video.TASKS[name]
    from angiova.data.decoding import dicom

    return dicom.TASKS[name]


def _problem(problem: str, remedy: str) -> Message:
    return Message({"problem": problem, "remedy": remedy})


if __name__ == "__main__":
    main()
