"""A test that is skipped must say why; the guard lies in tests/conftest.py."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"

SKIPPING_TESTS = """
import pytest

def test_says_why():
    pytest.skip("no GPU here")

def test_says_nothing():
    pytest.skip()

def test_says_less():
    pytest.skip("  ")

@pytest.mark.skip
def test_marked(): ...

@pytest.mark.skip(reason="needs a GPU")
def test_marked_and_says_why(): ...
"""


def test_skip_without_reason_fails_and_skip_with_reason_does_not(tmp_path: Path) -> None:
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "test_it.py").write_text(SKIPPING_TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", str(tmp_path)]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert finished.returncode == 1
    assert "2 failed, 2 skipped, 1 error" in finished.stdout  # a mark fails in setup
    assert finished.stdout.count("skipped without a reason") >= 3
