"""An audit on the terminal, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from angiova.data.records import Severity
from angiova.errors import ExitCode
from angiova.report.audit.finding import Audit

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def print_audit(audit: Audit, *, as_json: bool = False) -> ExitCode:
    """Print an audit to standard output and return the exit code: 0 without findings, 3 with any."""
    if as_json:
        print(json.dumps(asdict(audit), indent=2, ensure_ascii=False))
    else:
        _print_text(audit)
    return ExitCode.SOME_CASES_FAILED if audit.findings else ExitCode.DONE


def _print_text(audit: Audit) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(escape(f"read {', '.join(audit.sources)}; {len(audit.checks)} checks"))
    for finding in audit.findings:
        console.print(f"[{_STYLES[finding.severity]}]{finding.severity}[/] [bold]{escape(finding.code)}[/]", end=" ")
        console.print(escape(finding.message))
        console.print(escape(f"    where: {finding.where}"))
        for line in finding.arithmetic:
            console.print(escape(f"    {line}"))
        if finding.remedy:
            console.print(escape(f"    -> {finding.remedy}"))
    errors = sum(finding.severity is Severity.ERROR for finding in audit.findings)
    console.print(f"{len(audit.findings)} findings, {errors} of them errors" if audit.findings else "no contradiction")
