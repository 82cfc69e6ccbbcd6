"""Errors meant for users: each says what is wrong, where, and what to do about it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the `angiova` command returns to the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SOME_CASES_FAILED = 3


class AngiovaError(Exception):
    """A failure that the user can understand and act on.

    Args:
        problem: what is wrong, in one sentence.
        where: the file, field or option concerned.
        remedy: what the user can do about it.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, problem: str, *, where: object = None, remedy: str | None = None) -> None:
        self.problem, self.where, self.remedy = problem, where, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where is not None else ""
        advice = f" -> {self.remedy}" if self.remedy else ""
        return f"{place}{self.problem}{advice}"


class DataError(AngiovaError):
    """A file or record that cannot be used as it is."""


class ConfigError(AngiovaError):
    """A recipe field or command-line option that cannot be used."""

    exit_code = ExitCode.USAGE


class ModelError(AngiovaError):
    """A checkpoint that cannot be used as it is."""


class TrainingError(AngiovaError):
    """A training run that had to stop."""
