"""An evaluation in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from angiova.data.records import Severity, TargetKind
from angiova.errors import ExitCode
from angiova.evaluation.result import Evaluation
from angiova.report.content import Table
from angiova.report.results import chance_sentences, kind_table, segment_table
from angiova.report.wording import Words

_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def print_evaluation(evaluation: Evaluation) -> int:
    """Print an evaluation to standard output and return the exit code: 0, or 3 when predictions are missing."""
    words, console = Words("en"), Console(soft_wrap=True)
    patients = "patients unknown" if evaluation.num_patients is None else f"{evaluation.num_patients} patients"
    console.print(f"[bold]{evaluation.split.value}[/]: {evaluation.num_frames} frames, {patients}")
    for kind in TargetKind:
        if kind in evaluation.kinds:
            _print(console, kind_table(kind.value, evaluation.kinds[kind.value], words))
    if evaluation.segments:
        _print(console, segment_table(evaluation, words))
    for sentence in chance_sentences(evaluation, words):
        console.print(escape(sentence))
    for finding in evaluation.findings:
        text = escape(f"{finding.severity.value}: {finding.where}: {finding.message} -> {finding.remedy}")
        console.print(f"[{_COLOURS[finding.severity]}]{text}[/]")
    return int(ExitCode.SOME_CASES_FAILED if evaluation.num_missing_predictions else ExitCode.DONE)


def _print(console: Console, table: Table) -> None:
    drawn = RichTable(title=escape(table.caption), title_justify="left", title_style="", box=box.SIMPLE_HEAD)
    for index, name in enumerate(table.header):
        drawn.add_column(escape(name), justify="right" if index else "left", no_wrap=index == 0)
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    console.print(drawn)
