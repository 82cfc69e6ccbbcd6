"""Figures with their sources: the only way by which a number gets into the report."""

from __future__ import annotations

from angiova.evaluation.answered import RESULT_NAME
from angiova.evaluation.result import Interval, Spread
from angiova.evaluation.store import EVALUATION_NAME, FRAMES_NAME
from angiova.report import formats
from angiova.report.content import Source, Value
from angiova.report.text import Label
from angiova.run_record import EVALUATION_DIR, METRICS_NAME, QUESTIONS_DIR, RUN_NAME

EVALUATION_FILE = f"{EVALUATION_DIR}/{EVALUATION_NAME}"
QUESTIONS_FILE = f"{QUESTIONS_DIR}/{RESULT_NAME}"
FRAMES_FILE = f"{EVALUATION_DIR}/{FRAMES_NAME}"


def of_run(text: Label, raw: float | str | None, *fields: str) -> Value:
    """Return a figure of run.json."""
    return Value(text, raw, tuple(Source(RUN_NAME, field) for field in fields))


def of_log(text: Label, raw: float | str | None, *columns: str) -> Value:
    """Return a figure of metrics.jsonl."""
    return Value(text, raw, tuple(Source(METRICS_NAME, column) for column in columns))


def of_evaluation(text: Label, raw: float | str | None, *fields: str) -> Value:
    """Return a figure of evaluation.json."""
    return Value(text, raw, tuple(Source(EVALUATION_FILE, field) for field in fields))


def of_questions(text: Label, raw: float | str | None, *fields: str) -> Value:
    """Return a figure of questions.json."""
    return Value(text, raw, tuple(Source(QUESTIONS_FILE, field) for field in fields))


def of_cases(text: Label, raw: float | str | None, *columns: str) -> Value:
    """Return a figure of frames.csv."""
    return Value(text, raw, tuple(Source(FRAMES_FILE, column) for column in columns))


def count(value: int | None, field: str) -> Value:
    """Return a whole number of run.json."""
    return of_run(formats.count(value), value, field)


def spread_of(value: Spread | None, field: str, digits: int = 4) -> Value:
    """Return mean ± standard deviation of evaluation.json; a dash without sources where there is none."""
    if value is None:
        return Value(formats.UNKNOWN)
    return of_evaluation(formats.spread(value, digits), value.mean, f"{field}.mean", f"{field}.sd")


def interval_of(value: Interval | None, field: str) -> Value:
    """Return the ends of an interval of evaluation.json."""
    if value is None or value.low is None:
        return Value(formats.UNKNOWN)
    return of_evaluation(formats.interval(value), None, f"{field}.low", f"{field}.high")
