"""Counting the warnings of a run, from Python and from every logger, so that none is lost in a terminal."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from typing import Final, Self, TextIO

MAX_KINDS: Final = 100
MAX_CHARACTERS: Final = 300
OTHER: Final = "others"


class CountedWarnings(logging.Handler):
    """Counts warnings by their first line while it is entered; they are shown as ever.

    Loggers that keep their records to themselves, as the one of transformers does, are listened to as well.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts: Counter[str] = Counter()
        self._loggers: list[logging.Logger] = []

    def __enter__(self) -> Self:
        self._show = warnings.showwarning
        warnings.showwarning = self._shown
        named = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
        self._loggers = [logging.root, *(logger for logger in named if not logger.propagate)]
        for logger in self._loggers:
            logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        warnings.showwarning = self._show
        for logger in self._loggers:
            logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Count one logged record."""
        self._count(f"{record.name}: {record.getMessage()}")

    def _shown(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Count one Python warning, then show it."""
        self._count(f"{category.__name__}: {message}")
        self._show(message, category, filename, lineno, file, line)

    def _count(self, text: str) -> None:
        kind = text.strip().partition("\n")[0][:MAX_CHARACTERS]
        self.counts[kind if kind in self.counts or len(self.counts) < MAX_KINDS else OTHER] += 1
