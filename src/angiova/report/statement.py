"""One thing that the figures of a run say: a strength, a limit, or what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from angiova.report.content import Source
from angiova.report.text import Text
from angiova.report.values import EVALUATION_FILE, QUESTIONS_FILE
from angiova.report.wording import say
from angiova.run_record import METRICS_NAME, RUN_NAME

Role = Literal["strength", "limit", "next"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that the figures say.

    Attributes:
        code: stable name of the rule's outcome.
        role: strength, limit, or what to do next.
    """

    code: str
    role: Role
    text: Text
    sources: tuple[Source, ...]


def evaluated(*fields: str) -> tuple[Source, ...]:
    """Return fields of evaluation.json as sources."""
    return tuple(Source(EVALUATION_FILE, field) for field in fields)


def answered(*fields: str) -> tuple[Source, ...]:
    """Return fields of questions.json as sources."""
    return tuple(Source(QUESTIONS_FILE, field) for field in fields)


def recorded(*fields: str) -> tuple[Source, ...]:
    """Return fields of run.json as sources."""
    return tuple(Source(RUN_NAME, field) for field in fields)


def logged(*columns: str) -> tuple[Source, ...]:
    """Return columns of metrics.jsonl as sources."""
    return tuple(Source(METRICS_NAME, column) for column in columns)


def state(code: str, role: Role, sources: tuple[Source, ...], **values: object) -> Statement:
    """Return a statement whose sentence is that of its role and code, filled in."""
    return Statement(code, role, say(f"{role}.{code}", **values), sources)
