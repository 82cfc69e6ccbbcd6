"""Training logs of mmengine and xtuner, as text.

A line of training reads, with whatever fields the run logged::

    2025/11/19 21:30:02 - mmengine - INFO - Iter(train) [   10/12192]  lr: 1.2e-06  eta: 2 days, 8:30:00  \
time: 16.7000  data_time: 0.0100  memory: 14000  loss: 14.2463  loss_mask: 5.0226
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

from angiova.report.audit.claims import Claims, parse_claims
from angiova.report.audit.reading import MAX_LOG_BYTES, read_text

MEGABYTES_A_GIGABYTE: Final = 1024  # mmengine divides bytes by 1024 ** 2
_STEP: Final = re.compile(r"Iter\(train\)\s*\[\s*(\d{1,12})/(\d{1,12})\]")
_TIME: Final = re.compile(r"^(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d) ")
_NUMBER: Final = re.compile(r"(?<![\w.])(\w{1,60}): +(-?\d{1,30}(?:\.\d{1,30})?(?:e[-+]?\d{1,4})?)(?=\s|$)")
_DEVICES: Final = re.compile(r"\b(?:GPU number|world_size)[:=] *(\d{1,7})\b")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of training.

    Attributes:
        step, steps: iteration done, and planned.
        when: clock time of the line, where it has one.
        values: its numbers by name; `time` is seconds per iteration, `memory` the peak in MiB.
    """

    step: int
    steps: int
    when: datetime | None
    values: dict[str, float]


def is_training_log(path: Path) -> bool:
    """Whether a file has a line of training among its first megabyte."""
    with path.open("rb") as stream:
        return _STEP.search(stream.read(1_000_000).decode("utf-8", "replace")) is not None


def read_log(path: Path) -> list[LogLine]:
    """Return the lines of training of a log.

    Raises:
        DataError: the file is too large or cannot be read.
    """
    return list(_lines(read_text(path, MAX_LOG_BYTES)))


def claims_of_log(path: Path) -> Claims:
    """Return what a training log states.

    Raises:
        DataError: the file is too large, cannot be read, or holds values that cannot be.
    """
    text = read_text(path, MAX_LOG_BYTES)
    lines = list(_lines(text))
    training: dict[str, Any] = {}
    times = [line.values["time"] for line in lines if "time" in line.values]
    memory = [line.values["memory"] / MEGABYTES_A_GIGABYTE for line in lines if "memory" in line.values]
    clocks = [line.when for line in lines if line.when is not None]
    if lines:
        training |= {"iterations": lines[-1].steps, "iterations_done": max(line.step for line in lines)}
    if times:
        training["seconds_per_iteration"] = fmean(times)
    if memory:
        training["memory_per_device_gb"] = [min(memory), max(memory)]
    # Across a gap the clock also counts the time in which nothing ran, so it says nothing about the steps.
    if len(clocks) > 1 and not gaps(lines):
        first = lines[0].step * lines[0].values.get("time", 0.0) if lines[0].when is not None else 0.0
        training |= {"started": clocks[0] - timedelta(seconds=min(first, 1e9)), "finished": clocks[-1]}
    devices = _DEVICES.search(text)
    if devices is not None:
        training["devices"] = {"count": int(devices[1])}
    return parse_claims({"training": training, "losses": _losses(lines)}, where=path)


def gaps(lines: list[LogLine], factor: float = 10.0) -> list[tuple[LogLine, LogLine, float]]:
    """Return neighbouring lines between which far more time passed than their steps need, with the seconds lost.

    Far more means more than `factor` times the median time a step of all lines, and more than a minute.
    """
    pairs = [(a, b) for a, b in zip(lines, islice(lines, 1, None), strict=False) if a.when and b.when]
    paces = [_seconds(a, b) / (b.step - a.step) for a, b in pairs if b.step > a.step]
    if not paces:
        return []
    pace = median(paces)
    found = [(a, b, _seconds(a, b) - pace * max(b.step - a.step, 0)) for a, b in pairs]
    return [(a, b, lost) for a, b, lost in found if lost > 60 and lost > factor * pace * max(b.step - a.step, 1)]


def _lines(text: str) -> Iterator[LogLine]:
    for line in text.splitlines():
        step = _STEP.search(line[:300])
        if step is not None:
            values = {name: float(number) for name, number in _NUMBER.findall(line[step.end() : 4000])}
            yield LogLine(int(step[1]), int(step[2]), _when(line), values)


def _when(line: str) -> datetime | None:
    found = _TIME.match(line)
    try:
        return None if found is None else datetime(*map(int, found.groups()))  # type: ignore[arg-type]
    except ValueError:
        return None


def _losses(lines: list[LogLine]) -> dict[str, dict[str, float]]:
    """Return the first and last value of each loss, the sum called total as in reports."""
    names = dict.fromkeys(name for line in lines for name in line.values if "loss" in name.split("_"))
    found = {}
    for name in names:
        values = [line.values[name] for line in lines if name in line.values]
        part = name.removeprefix("loss_").removesuffix("_loss")
        found["total" if name == "loss" else part] = {"first": values[0], "last": values[-1]}
    return found


def _seconds(before: LogLine, after: LogLine) -> float:
    assert before.when is not None
    assert after.when is not None
    return (after.when - before.when).total_seconds()
