"""What `angiova doctor` says: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Final

import typer
from packaging.requirements import Requirement

from angiova import __version__
from angiova.errors import ExitCode

MIN_PYTHON: Final = (3, 11)
# Below these the nano preset may still work; the demo has little room.
LOW_MEMORY_BYTES: Final = 4 * 2**30
LOW_DISK_BYTES: Final = 2 * 2**30
# NVIDIA's Ampere generation is the first with bf16 arithmetic (CUDA C++ Programming Guide, compute capabilities).
BF16_CAPABILITY: Final = (8, 0)


class Status(StrEnum):
    """How a line of the diagnosis is to be read."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing looked at.

    Attributes:
        status: FAILED when angiova cannot run with it; NOTE when something optional is not there.
        text: what was found.
        remedy: what to do about it.
    """

    status: Status
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        advice = f" -> {self.remedy}" if self.remedy else ""
        return f"{self.status.value:<8} {self.text}{advice}"


def print_diagnosis() -> int:
    """Print one line for each thing looked at; return 0 if angiova can run here, 1 if not."""
    lines = []
    for line in diagnose():
        typer.echo(str(line))
        lines.append(line)
    can_run = all(line.status is not Status.FAILED for line in lines)
    typer.echo("angiova can run here." if can_run else "angiova cannot run here; see the lines marked 'failed'.")
    return ExitCode.DONE if can_run else ExitCode.FAILED


def diagnose() -> Iterator[Line]:
    """Yield everything that `angiova doctor` looks at."""
    yield python_line(sys.version_info[:3])
    yield Line(Status.OK, f"angiova {__version__}")
    yield from package_lines()
    yield from torch_lines()
    yield Line(Status.OK, f"{os.cpu_count()} CPU cores, {platform.machine()}")
    yield memory_line(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    yield disk_line(shutil.disk_usage(Path.cwd()).free)
    yield from extra_lines()


def python_line(found: tuple[int, ...]) -> Line:
    """Judge the version of Python."""
    text = f"Python {'.'.join(map(str, found))}"
    if found[:2] < MIN_PYTHON:
        return Line(Status.FAILED, text, f"use Python {'.'.join(map(str, MIN_PYTHON))} or newer")
    return Line(Status.OK, text)


def package_lines(project: str = "angiova") -> Iterator[Line]:
    """Judge every package that `project` needs by its version."""
    try:
        wanted = [Requirement(line) for line in requires(project) or []]
    except PackageNotFoundError:
        yield Line(Status.WARNING, f"{project} is not installed as a package", "pip install -e .")
        return
    for requirement in wanted:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement_line(requirement)


def requirement_line(requirement: Requirement) -> Line:
    """Judge one package by its version."""
    remedy = f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Line(Status.FAILED, f"{requirement.name} is missing", remedy)
    if not requirement.specifier.contains(found, prereleases=True):
        wanted = f"{requirement.name} {found}, angiova is made for {requirement.specifier}"
        return Line(Status.WARNING, wanted, remedy)
    return Line(Status.OK, f"{requirement.name} {found}")


def torch_lines() -> Iterator[Line]:
    """Judge whether torch works, and yield each CUDA device with its memory."""
    try:
        import torch
    except (ImportError, OSError) as error:
        reason = str(error).partition("\n")[0]
        yield Line(Status.FAILED, f"torch cannot be imported ({reason})", "install torch for this machine again")
        return
    if not torch.cuda.is_available():
        yield no_device_line(torch.version.cuda, has_driver=shutil.which("nvidia-smi") is not None)
        return
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        yield device_line(index, found.name, found.total_memory, (found.major, found.minor))


def no_device_line(cuda: str | None, *, has_driver: bool) -> Line:
    """Judge a machine on which torch sees no CUDA device; `cuda` is the CUDA that torch was built for, if any."""
    if has_driver and cuda is None:
        remedy = "install the CUDA build of the same torch version"
        return Line(Status.WARNING, "an NVIDIA driver is here, but this torch is built for CPUs only", remedy)
    if has_driver:
        remedy = "run nvidia-smi; update the driver, or install torch built for an older CUDA"
        return Line(Status.WARNING, f"an NVIDIA driver is here, but torch (CUDA {cuda}) sees no device", remedy)
    return Line(Status.NOTE, "no CUDA device: everything runs on the CPU, which suits the preset nano")


def device_line(index: int, name: str, memory_bytes: int, capability: tuple[int, int]) -> Line:
    """Describe one CUDA device."""
    text = f"cuda:{index} {name}, {_gib(memory_bytes)}, compute capability {capability[0]}.{capability[1]}"
    if capability < BF16_CAPABILITY:
        return Line(Status.NOTE, f"{text}, no bf16", "keep precision: auto or fp32 in the recipe")
    return Line(Status.OK, f"{text}, bf16")


def memory_line(total_bytes: int) -> Line:
    """Judge the machine's memory."""
    text = f"{_gib(total_bytes)} memory"
    if total_bytes < LOW_MEMORY_BYTES:
        return Line(Status.WARNING, text, "lower batch.micro and data.workers if a run is killed")
    return Line(Status.OK, text)


def disk_line(free_bytes: int) -> Line:
    """Judge the free space where the command was started, which is where runs are written by default."""
    text = f"{_gib(free_bytes)} free in {Path.cwd()}"
    if free_bytes < LOW_DISK_BYTES:
        return Line(Status.WARNING, text, "free some space, or write runs elsewhere")
    return Line(Status.OK, text)


def extra_lines(project: str = "angiova") -> Iterator[Line]:
    """Yield whether the packages of each optional extra of `project` are there."""
    try:
        extras = metadata(project).get_all("Provides-Extra") or []
        wanted = [Requirement(line) for line in requires(project) or []]
    except PackageNotFoundError:
        return
    for extra in extras:
        names = [r.name for r in wanted if r.marker is not None and r.marker.evaluate({"extra": extra})]
        missing = sorted(name for name in names if name != project and not _is_installed(name))
        if missing:
            yield Line(Status.NOTE, f"extra {extra}: without {', '.join(missing)}", f"pip install '{project}[{extra}]'")
        else:
            yield Line(Status.OK, f"extra {extra}")


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
