"""`report` and `audit` from the command line: what is written, which language, which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runs import make_run

FIRST_REPORT = Path(__file__).resolve().parents[1] / "figures" / "first_report.yaml"


def angiova(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "angiova", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("cli"))


@pytest.mark.parametrize("option", ["--lang", "--language"])
def test_report_writes_four_files_in_the_language_asked_for(option: str, run: Path) -> None:
    done = angiova("report", run, option, "zh")
    assert done.returncode == 0, done.stderr
    for name in ("report.html", "report.md", "report.json", "model_card.md"):
        assert str(run / name) in done.stdout
        assert (run / name).stat().st_size > 1000
    assert '<html lang="zh"' in (run / "report.html").read_text(encoding="utf-8")
    assert json.loads((run / "report.json").read_text(encoding="utf-8"))["format"] == "angiova-report/1"


def test_a_report_in_no_language_is_a_usage_error(run: Path) -> None:
    refused = angiova("report", run, "--lang", "fr")
    assert refused.returncode == 2
    assert "choose en or zh" in refused.stderr


def test_a_run_without_evaluation_has_a_report_and_no_card(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "evaluation" / "evaluation.json").unlink()
    done = angiova("report", run)
    assert done.returncode == 0
    assert "no model card without" in done.stderr
    assert (run / "report.html").exists()
    assert not (run / "model_card.md").exists()


def test_audit_exits_with_0_or_3_and_speaks_json(run: Path, tmp_path: Path) -> None:
    clean = angiova("audit", run)
    assert (clean.returncode, clean.stdout.splitlines()[-1]) == (0, "no contradiction")
    found = angiova("audit", FIRST_REPORT, "--json")
    assert found.returncode == 3
    assert len(json.loads(found.stdout)["findings"]) == 6
    refused = angiova("audit", tmp_path / "nowhere")
    assert refused.returncode == 1
    assert "no such file or folder" in refused.stderr
    assert "Traceback" not in refused.stderr
