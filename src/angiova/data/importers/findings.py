"""Collects everything wrong with a source, so that a user sees all of it at once and not one problem a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from angiova.data.records import Finding, Severity
from angiova.errors import DataError

MAX_LISTED: Final = 50


class Findings:
    """What an importer noticed.

    Args:
        fix: whether repairs are allowed.
    """

    def __init__(self, fix: bool) -> None:
        self.fix = fix
        self._found: list[Finding] = []
        self._num_errors = 0

    def refuse(self, code: str, where: object, message: str, remedy: str = "") -> None:
        """Record a problem that nothing but a change of the source can mend."""
        self._num_errors += 1
        self._found.append(Finding(code, Severity.ERROR, str(where), message, remedy))

    def repair(self, code: str, where: object, message: str, repair: str, remedy: str = "") -> bool:
        """Record a problem that `repair` mends; return whether the caller is to carry it out."""
        if self.fix:
            self._found.append(Finding(code, Severity.WARNING, str(where), message, repair, repaired=True))
        else:
            advice = f"{remedy}, or --fix: {repair}" if remedy else f"--fix: {repair}"
            self.refuse(code, where, message, advice)
        return self.fix

    def warn(self, code: str, where: object, message: str, remedy: str = "") -> None:
        """Record something that may be right, and that the user should look at."""
        self._found.append(Finding(code, Severity.WARNING, str(where), message, remedy))

    def note(self, code: str, where: object, message: str) -> None:
        """Record a harmless fact."""
        self._found.append(Finding(code, Severity.NOTE, str(where), message))

    @property
    def refused(self) -> bool:
        """Whether any problem stands."""
        return self._num_errors > 0

    @property
    def all(self) -> tuple[Finding, ...]:
        """Everything found, in the order of finding."""
        return tuple(self._found)

    def raise_if_refused(self, source: Path) -> None:
        """Refuse the source when any problem stands.

        Raises:
            DataError: lists the first problems, each with its file and reason, and counts the rest.
        """
        errors = [finding for finding in self._found if finding.severity is Severity.ERROR]
        if errors:
            raise DataError(f"{_count(errors)}; nothing was imported\n{_listing(errors)}", where=source)


def _count(errors: Sequence[Finding]) -> str:
    return f"{len(errors)} problem{'s' if len(errors) > 1 else ''}"


def _listing(errors: Sequence[Finding]) -> str:
    """Return the problems by code, what to do about them said once."""
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for error in errors[:MAX_LISTED]:
        groups[error.code, error.remedy].append(error)
    lines = []
    for (code, remedy), members in groups.items():
        lines.append(f"  {code}{f' -> {remedy}' if remedy else ''}")
        lines += [f"    {error.where}: {error.message}" for error in members]
    return "\n".join([*lines, f"  ... and {len(errors) - MAX_LISTED} more"] if len(errors) > MAX_LISTED else lines)
