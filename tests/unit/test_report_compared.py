"""The report sets a run beside others by what `angiova eval --compare` wrote, and says when that is out of date."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import pytest

from angiova.data.manifest import Manifest
from angiova.data.records import Split
from angiova.evaluation.comparing import compare, write_comparison
from angiova.evaluation.evaluate import evaluate
from angiova.evaluation.store import write_evaluation
from angiova.files import read_json
from angiova.report.compared import COMPARISON_FILE, compared_section
from angiova.report.content import Notice, Table, Value
from angiova.report.facts import read_facts
from angiova.report.page import write_report
from angiova.run_record import COMPARISON_DIR
from runs import make_answers, make_run


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """Return a run that was compared with a model that draws every mask exactly."""
    run = make_run(tmp_path)
    manifest = _evaluated_on(tmp_path)
    other = tmp_path / "rival <b>"
    write_evaluation(
        other, manifest, evaluate(manifest, Split.TEST, make_answers(manifest, perfect=True)), make_answers(manifest)
    )
    write_comparison(run / COMPARISON_DIR, compare([run, other]))
    return run


def test_every_figure_is_the_field_that_it_names(compared: Path) -> None:
    section, recorded = compared_section(read_facts(compared)), read_json(compared / COMPARISON_FILE)
    assert section is not None
    tables = [block for block in section.blocks if isinstance(block, Table)]
    assert [len(table.rows) for table in tables] == [len(recorded["means"]), len(recorded["pairs"])]
    figures = [cell for table in tables for row in table.rows for cell in row if isinstance(cell, Value)]
    single = [cell for cell in figures if len(cell.sources) == 1]
    assert len(single) == 2 * len(recorded["means"]) + 5 * len(recorded["pairs"])
    for cell in single:
        assert cell.raw == _field(recorded, cell.sources[0].field)


def test_the_page_shows_both_models_and_an_untrusted_one_in_red(compared: Path) -> None:
    write_report(compared)
    page = (compared / "report.html").read_text(encoding="utf-8")
    assert "Compared with other models" in page
    assert "与其他模型比较" in page
    assert "rival &lt;b&gt;" in page
    assert "rival <b>" not in page
    section = compared_section(read_facts(compared))
    assert section is not None
    assert [notice.level for notice in section.blocks if isinstance(notice, Notice)] == ["error"]


def test_a_comparison_of_an_earlier_evaluation_is_called_that(compared: Path, tmp_path: Path) -> None:
    manifest = _evaluated_on(tmp_path)
    answers = make_answers(manifest)[:-1]
    write_evaluation(compared / "evaluation", manifest, evaluate(manifest, Split.TEST, answers), answers)
    section = compared_section(read_facts(compared))
    assert section is not None
    notices = [block for block in section.blocks if isinstance(block, Notice)]
    assert any("Compare again" in str(notice.text) for notice in notices)


def test_a_run_that_was_not_compared_has_no_such_section(tmp_path: Path) -> None:
    assert compared_section(read_facts(make_run(tmp_path))) is None


def _evaluated_on(folder: Path) -> Manifest:
    (manifest,) = {path.parent for path in folder.rglob("manifest.parquet")}
    return Manifest(manifest)


def _field(record: object, dotted: str) -> object:
    def step(value: object, name: str) -> object:
        return value[int(name)] if isinstance(value, list) else value[name]  # type: ignore[index]

    return reduce(step, dotted.split("."), record)
