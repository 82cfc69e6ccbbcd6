"""Findings on the terminal, by code, the gravest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.markup import escape

from angiova.data.records import Finding, Severity

EXAMPLES_A_CODE: Final = 3
_STYLES: Final = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


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
