"""Sources against each other: what two files of one run state differently, and logs with holes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from angiova.data.records import Severity
from angiova.report.audit.claims import Evidence, leaves
from angiova.report.audit.finding import AuditFinding
from angiova.report.audit.read_log import gaps, read_log

TOLERANCE = 0.02


def disagreements(evidence: Evidence) -> Iterator[AuditFinding]:
    """Find numbers that two sources state differently; memory of a log is compared by its peak elsewhere."""
    stated: dict[str, list[tuple[str, float]]] = {}
    for reading in evidence.readings:
        for path, value in leaves(reading.claims):
            if isinstance(value, int | float):
                stated.setdefault(path, []).append((reading.source, float(value)))
    for path, values in stated.items():
        low, high = min(v for _, v in values), max(v for _, v in values)
        if high - low > TOLERANCE * max(abs(high), abs(low)):
            yield AuditFinding(
                "sources-disagree",
                Severity.ERROR,
                path,
                f"{len(values)} sources state different values of {path}",
                tuple(f"{source}: {value:g}" for source, value in values),
                "find out which file belongs to this run",
            )


def log_holes(path: Path) -> Iterator[AuditFinding]:
    """Find what is missing in a log: time in which nothing happened, and iterations that were never made."""
    lines = read_log(path)
    for before, after, lost_s in gaps(lines):
        yield AuditFinding(
            "log-gap",
            Severity.WARNING,
            str(path),
            f"{lost_s / 3600:.2f} h between iterations {before.step} and {after.step} are no step's",
            (f"{before.when} to {after.when}",),
            "say that the run was interrupted, and what it went on from",
        )
    if lines and max(line.step for line in lines) < lines[-1].steps:
        done, planned = max(line.step for line in lines), lines[-1].steps
        message = f"the log ends at iteration {done:,} of {planned:,}"
        yield AuditFinding("log-incomplete", Severity.WARNING, str(path), message, (), "find the rest of the log")
