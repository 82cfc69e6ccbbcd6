"""Options of `angiova measure` that need more than a type."""

from __future__ import annotations

from math import isfinite

from angiova.errors import ConfigError
from angiova.morphology.measures import Spacing


def parse_spacing(text: str | None) -> Spacing | None:
    """Return (row, column) spacing in mm from "0.2" or "0.2,0.25"; None stays None.

    Raises:
        ConfigError: it is something else, or not positive.
    """
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(isfinite(value) and value > 0 for value in values):
        raise ConfigError(
            f"{text!r} is no spacing",
            where="--spacing",
            remedy="give millimetres, e.g. 0.2, or 0.2,0.25 down and across",
        )
    return values[0], values[-1]
