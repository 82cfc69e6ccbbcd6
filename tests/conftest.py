"""Shared fixtures; real data from ../shared is used where it is and skipped, with the reason, where it is not."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
NO_REASON = ("", "unconditional skip")
SLOW_TIMEOUT_S = 1800


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the project."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"real images are not at {SHARED / 'data'}")
    return SHARED / "data"


@pytest.fixture(scope="session")
def shared_parity() -> Path:
    """The folder of numbers recorded from the reference, beside the project."""
    if not (SHARED / "parity").is_dir():
        pytest.skip(f"the reference's numbers are not at {SHARED / 'parity'}")
    return SHARED / "parity"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow proofs more time than the ten minutes of pyproject.toml, which a busy machine can eat up."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is skipped without saying why has failed."""
    report = yield
    if not report.skipped or not isinstance(report.longrepr, tuple):
        return report
    if report.longrepr[2].removeprefix("Skipped").strip(": ") in NO_REASON:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} is skipped without a reason"
    return report
