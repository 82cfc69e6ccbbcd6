"""Durations, timestamps and pace against each other."""

from __future__ import annotations

from collections.abc import Iterator

from angiova.data.records import Severity
from angiova.report.audit.claims import Evidence, Training
from angiova.report.audit.finding import AuditFinding

HOUR_S = 3600.0
DAY_H = 24.0
# Stated times are rounded, and a run does other things than steps (start, saving): closer than this is agreement.
TOLERANCE = 0.03
# Above this the steps cannot be what filled the time.
GROSS = 0.10


def units(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check the duration in hours against that in days, as exactly as the days are rounded."""
    t = evidence.claims.training
    if t.duration_hours is None or t.duration_days is None:
        return
    hours = t.duration_days * DAY_H
    if abs(hours - t.duration_hours) > max(0.05 * DAY_H, TOLERANCE * t.duration_hours):
        yield AuditFinding(
            "duration-units",
            Severity.ERROR,
            evidence.where("training.duration_hours", "training.duration_days"),
            f"{t.duration_days:g} days are not {t.duration_hours:g} hours",
            (f"{t.duration_days:g} d x 24 h = {hours:.1f} h",),
        )


def timestamps(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check the stated duration against start and end."""
    t = evidence.claims.training
    clock = clock_s(t)
    if clock is None:
        return
    if clock <= 0:
        yield AuditFinding(
            "timestamps-order",
            Severity.ERROR,
            evidence.where("training.started", "training.finished"),
            "the run ends before it starts",
            (f"{t.finished} - {t.started} = {clock / HOUR_S:.2f} h",),
            "check the time zones of both",
        )
    elif (stated := duration_s(t)) is not None and _apart(stated, clock) > TOLERANCE:
        yield AuditFinding(
            "duration-timestamps",
            Severity.ERROR,
            evidence.where("training.duration_hours", "training.started", "training.finished"),
            f"the run is said to have taken {stated / HOUR_S:.1f} h; its timestamps are {clock / HOUR_S:.1f} h apart",
            (
                f"{t.finished} - {t.started} = {clock / HOUR_S:.2f} h",
                f"{stated / HOUR_S:.2f} h / {clock / HOUR_S:.2f} h = {stated / clock:.3f}",
            ),
            "take the times from the log itself",
        )


def pace(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check iterations x seconds against the clock and against the stated duration."""
    t = evidence.claims.training
    done = t.iterations_done if t.iterations_done is not None else t.iterations
    if done is None or t.seconds_per_iteration is None:
        return
    steps_s = done * t.seconds_per_iteration
    others = {"timestamps": clock_s(t), "stated duration": duration_s(t)}
    known = {name: seconds for name, seconds in others.items() if seconds is not None and seconds > 0}
    wrong = {name: seconds for name, seconds in known.items() if _apart(steps_s, seconds) > TOLERANCE}
    if not wrong:
        return
    product = f"{done:,.0f} iterations x {t.seconds_per_iteration:g} s = {steps_s / HOUR_S:.2f} h"
    lines = [
        f"{name}: {seconds / HOUR_S:.2f} h, which is {(seconds - steps_s) / HOUR_S:+.2f} h or "
        f"{seconds / done:.2f} s an iteration"
        for name, seconds in wrong.items()
    ]
    gross = any(_apart(steps_s, seconds) > GROSS for seconds in wrong.values())
    yield AuditFinding(
        "iterations-time",
        Severity.ERROR if gross else Severity.WARNING,
        evidence.where("training.seconds_per_iteration", "training.iterations"),
        f"iterations times seconds give {steps_s / HOUR_S:.1f} h, which contradicts the {' and the '.join(wrong)}",
        (product, *lines),
        "measure the steps and what lies between them separately",
    )


def clock_s(t: Training) -> float | None:
    """Return seconds from start to end, or None when either is unknown or only one has a time zone."""
    if t.started is None or t.finished is None or (t.started.tzinfo is None) != (t.finished.tzinfo is None):
        return None
    return (t.finished - t.started).total_seconds()


def duration_s(t: Training) -> float | None:
    """Return the stated duration in seconds."""
    if t.duration_hours is not None:
        return t.duration_hours * HOUR_S
    return None if t.duration_days is None else t.duration_days * DAY_H * HOUR_S


def _apart(a: float, b: float) -> float:
    """Return how far apart two positive numbers are, as a share of the larger."""
    return abs(a - b) / max(abs(a), abs(b), 1e-12)
