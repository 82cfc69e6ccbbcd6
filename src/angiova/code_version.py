"""Which code this is."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

# Behind a commit: the files were not those of the commit.
CHANGED: Final = "+changes"


def code_commit() -> str | None:
    """Return the git commit of the code, marked when there are changes on top; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + (CHANGED if _git(folder, "status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(  # noqa: S603  (fixed arguments)
        ["git", "-C", str(folder), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    ).stdout.strip()
