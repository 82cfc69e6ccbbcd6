"""The doctor passes this machine, and names what is wrong with another together with a remedy."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from angiova.doctor import (
    Line,
    Status,
    device_line,
    disk_line,
    extra_lines,
    memory_line,
    no_device_line,
    package_lines,
    print_diagnosis,
    python_line,
    requirement_line,
)

GIB = 2**30


def test_this_machine_can_run_angiova(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_diagnosis() == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "angiova can run here."
    for subject in ("Python 3.", "torch 2.", "CPU cores", "GiB memory", "GiB free in", "extra baselines"):
        assert any(subject in line for line in said), subject


def test_every_line_that_is_not_well_has_a_remedy() -> None:
    unwell = [
        python_line((3, 10, 4)),
        requirement_line(Requirement("no-such-package-of-ours>=1")),
        requirement_line(Requirement("numpy<2")),
        next(package_lines("no-such-package-of-ours")),
        no_device_line("13.0", has_driver=True),
        no_device_line(None, has_driver=True),
        memory_line(2 * GIB),
        disk_line(GIB),
    ]
    assert [line.status for line in unwell] == [Status.FAILED] * 2 + [Status.WARNING] * 6
    assert all(line.remedy for line in unwell)


def test_only_what_stops_angiova_is_a_failure() -> None:
    assert python_line((3, 11, 0)).status is Status.OK
    assert python_line((4, 0, 0)).status is Status.OK
    assert requirement_line(Requirement("numpy>=2")).status is Status.OK
    assert no_device_line(None, has_driver=False).status is Status.NOTE
    assert memory_line(24 * GIB).status is disk_line(50 * GIB).status is Status.OK


def test_device_is_described_with_memory_and_bf16() -> None:
    ampere = device_line(0, "NVIDIA A100", 80 * GIB, (8, 0))
    assert str(ampere) == "ok       cuda:0 NVIDIA A100, 80.0 GiB, compute capability 8.0, bf16"
    turing = device_line(1, "Tesla T4", 16 * GIB, (7, 5))
    assert turing.status is Status.NOTE
    assert "no bf16" in turing.text
    assert turing.remedy


def test_extras_of_a_package_that_is_not_installed_are_not_listed() -> None:
    assert list(extra_lines("no-such-package-of-ours")) == []


def test_a_line_reads_as_status_finding_remedy() -> None:
    assert str(Line(Status.FAILED, "no torch", "install it")) == "failed   no torch -> install it"
