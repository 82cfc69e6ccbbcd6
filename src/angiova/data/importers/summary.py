"""What an import shows on the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from angiova.data.importers.importing import ImportReport
from angiova.data.records import Finding, Severity

EXAMPLES_A_CODE: Final = 3
_STYLES: Final = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def print_import(report: ImportReport) -> None:
    """Print what was imported, what was noticed and where the picture is, to standard output."""
    console = Console(soft_wrap=True)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _rows(report):
        table.add_row(name, escape(value))
    console.print(f"imported [bold]{escape(str(report.source))}[/] as {report.format} in {report.seconds:.1f} s")
    console.print(table)
    print_finding_groups(console, report.findings)
    console.print(f"look at {escape(str(report.contact_sheet))}")


def _rows(report: ImportReport) -> list[tuple[str, str]]:
    unnamed = f" ({report.num_unnamed} frames without)" if report.num_unnamed else ""
    rows = [
        ("frames", f"{report.num_frames}"),
        ("runs", f"{report.num_runs}"),
        ("patients", f"{report.num_patients}{unnamed}"),
        ("targets", _counts(report.targets_by_kind)),
    ]
    return [*rows, ("published split", _counts(report.frames_by_split))] if report.frames_by_split else rows


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def print_finding_groups(console: Console, findings: Iterable[Finding]) -> None:
    """Print findings by code: how many, the first few with file and reason, and how many more."""
    groups: dict[tuple[Severity, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.severity, finding.code].append(finding)
    for severity in Severity:
        for (of, code), members in groups.items():
            if of is severity:
                _print_group(console, severity, code, members)


def _print_group(console: Console, severity: Severity, code: str, members: list[Finding]) -> None:
    console.print(f"[{_STYLES[severity]}]{severity}[/] {escape(code)} x {len(members)}")
    for finding in members[:EXAMPLES_A_CODE]:
        advice = f" -> {finding.remedy}" if finding.remedy else ""
        done = " (repaired)" if finding.repaired else ""
        console.print(f"  {escape(f'{finding.where}: {finding.message}{advice}{done}')}", highlight=False)
    if len(members) > EXAMPLES_A_CODE:
        console.print(f"  ... and {len(members) - EXAMPLES_A_CODE} more")
