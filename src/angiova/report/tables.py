"""An evaluation in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from angiova.data.records import Severity, TargetKind
from angiova.errors import ExitCode
from angiova.evaluation.result import Evaluation
from angiova.report import formats
from angiova.report.content import Cell, Table, Value
from angiova.report.results import chance_sentences, kind_table, segment_label
from angiova.report.text import Label, in_language

_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def print_evaluation(evaluation: Evaluation) -> int:
    """Print an evaluation to standard output and return the exit code: 0, or 3 when predictions are missing."""
    console = Console(soft_wrap=True)
    patients = "patients unknown" if evaluation.num_patients is None else f"{evaluation.num_patients} patients"
    console.print(f"[bold]{evaluation.split.value}[/]: {evaluation.num_frames} frames, {patients}")
    for kind in TargetKind:
        if kind in evaluation.kinds:
            _print(console, kind_table(kind.value, evaluation.kinds[kind.value]))
    if evaluation.segments:
        _print(console, _segments(evaluation))
    for sentence in chance_sentences(evaluation):
        console.print(escape(sentence.en))
    for finding in evaluation.findings:
        text = escape(f"{finding.severity.value}: {finding.where}: {finding.message} -> {finding.remedy}")
        console.print(f"[{_COLOURS[finding.severity]}]{text}[/]")
    return int(ExitCode.SOME_CASES_FAILED if evaluation.num_missing_predictions else ExitCode.DONE)


def _segments(evaluation: Evaluation) -> Table:
    """Return the named segments in few enough columns for a terminal of 80."""
    chance = {} if evaluation.chance is None else evaluation.chance.chance_by_segment
    rows = []
    for number, group in evaluation.segments.items():
        counts = (group.num_targets, group.num_missed, group.num_false)
        dice = f"{group.metrics['dice'].frame.mean:.3f}" if group.metrics else formats.UNKNOWN
        at_random = f"{chance[number]:.3f}" if number in chance else formats.UNKNOWN
        rows.append((segment_label(number), *map(str, counts), dice, at_random))
    header = ("Segment", "asked", "missed", "false", "Dice", "chance")
    return Table(header, tuple(rows), "Named segments; chance is Dice with the masks for other names")


def _english(cell: Cell) -> str:
    label: Label = cell.text if isinstance(cell, Value) else cell
    return in_language(label, "en")


def _print(console: Console, table: Table) -> None:
    drawn = RichTable(
        title=escape(_english(table.caption)),
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    for index, name in enumerate(table.header):
        drawn.add_column(escape(_english(name)), justify="right" if index else "left", no_wrap=index == 0)
    for row in table.rows:
        drawn.add_row(*(escape(_english(cell)) for cell in row))
    console.print(drawn)
