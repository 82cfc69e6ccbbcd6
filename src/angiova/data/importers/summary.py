"""What an import shows on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from angiova.data.finding_list import print_finding_groups
from angiova.data.importers.importing import ImportReport


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
