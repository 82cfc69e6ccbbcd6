"""Shared fixtures; real data from ../shared is used where it is and skipped, with the reason, where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the project."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"real images are not at {SHARED / 'data'}")
    return SHARED / "data"
