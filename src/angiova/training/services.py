"""Services that figures of a run can be sent to; nothing is sent unless the recipe names one."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from angiova.errors import ConfigError


def check_services(names: Sequence[str]) -> None:
    """Refuse services whose package is not installed, before anything is trained.

    Raises:
        ConfigError: a package is missing.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)} is not installed", where="report_to", remedy=f"pip install {' '.join(missing)}"
        )
