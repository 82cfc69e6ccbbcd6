"""What an audit found, with the arithmetic that shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from angiova.data.records import Severity


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """A contradiction in what a run states about itself.

    Attributes:
        code: stable identifier such as ``"duration-timestamps"``.
        severity: error (one of the figures must be wrong), warning (cannot be decided) or note.
        where: the files and fields that contradict each other.
        message: what is wrong, in one sentence.
        arithmetic: the computation, a line each, so that a reader can repeat it by hand.
        remedy: what to do about it.
    """

    code: str
    severity: Severity
    where: str
    message: str
    arithmetic: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """An audited run.

    Attributes:
        path: what was audited.
        sources: the files that were read.
        checks: codes of the checks that had what they need; the others could not be made.
        findings: the contradictions, gravest first.
    """

    path: str
    sources: tuple[str, ...]
    checks: tuple[str, ...]
    findings: tuple[AuditFinding, ...]


def check_name(check: Callable[..., Any]) -> str:
    """Return the name of a check as the list of checks shows it: ``time.pace``."""
    return f"{check.__module__.rpartition('.')[2].removeprefix('checks_')}.{check.__name__}"


def by_gravity(findings: list[AuditFinding]) -> tuple[AuditFinding, ...]:
    """Return the findings with errors first, otherwise in their order."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))
