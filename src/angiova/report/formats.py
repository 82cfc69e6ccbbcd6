"""How numbers are written in reports; what is not known is written as a dash, never as zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from angiova.evaluation.result import Interval, Spread

UNKNOWN: Final = "–"


def count(value: int | None) -> str:
    """Write a whole number with thousands separated: 12,190."""
    return UNKNOWN if value is None else f"{value:,}"


def millions(value: int) -> str:
    """Write a number of parameters: 1,090.0 M, or in full below 100,000."""
    return f"{value / 1e6:,.2f} M" if value >= 100_000 else count(value)


def size(num_bytes: int) -> str:
    """Write bytes in decimal units, as disks and model cards do: 2.50 GB."""
    value, units = float(num_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.2f} {units[0]}"


def duration(seconds: float) -> str:
    """Write seconds as 4.2 s, 3 min 20 s or 64 h 42 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def percent(part: float, whole: float) -> str:
    """Write a share: 53.46 %; a dash when there is no whole."""
    return f"{100 * part / whole:.2f} %" if whole else UNKNOWN


def spread(value: Spread | None, digits: int = 4) -> str:
    """Write mean ± standard deviation; a single value stands alone."""
    if value is None:
        return UNKNOWN
    mean = f"{value.mean:.{digits}f}"
    return mean if value.sd is None else f"{mean} ± {value.sd:.{digits}f}"


def interval(value: Interval | None) -> str:
    """Write the limits of a 95 % interval on one line: [0.774, 0.840]."""
    return UNKNOWN if value is None or value.low is None else f"[{value.low:.3f},\N{NO-BREAK SPACE}{value.high:.3f}]"


def significant(value: float) -> str:
    """Write a loss or learning rate with four significant digits."""
    return f"{value:.4g}"


def flattened(tree: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as (dotted name, value) in order."""
    rows: list[tuple[str, str]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            rows += flattened(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", plain(value)))
    return rows


def plain(value: object) -> str:
    """Write a setting: lists joined by commas, nothing as a dash."""
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "[]"
    return UNKNOWN if value is None else str(value)
