"""The report shows every division of the result that the evaluation holds, and names those that it does not hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from angiova.evaluation.result import Evaluation
from angiova.report.content import Block, Chart, Paragraph, Table
from angiova.report.facts import RunFacts, read_facts
from angiova.report.page import compose
from angiova.report.subgroups import calibre_table, subgroup_blocks
from angiova.report.text import in_language
from runs import make_run


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> RunFacts:
    return read_facts(make_run(tmp_path_factory.mktemp("divided")))


def changed(facts: RunFacts, **values: Any) -> Evaluation:  # noqa: ANN401
    assert facts.evaluation is not None
    return Evaluation.model_validate(facts.evaluation.model_dump(mode="json") | values)


def blocks_of(evaluation: Evaluation) -> list[Block]:
    return list(subgroup_blocks(evaluation))


def paragraphs(blocks: list[Block]) -> str:
    return " ".join(in_language(block.text, "en") for block in blocks if isinstance(block, Paragraph))


def test_every_patient_has_a_row_with_the_mean_of_its_frames(facts: RunFacts) -> None:
    assert facts.evaluation is not None
    table = next(b for b in blocks_of(facts.evaluation) if isinstance(b, Table))
    assert [row[0] for row in table.rows] == ["P0", "P1", "P2", "P3"]
    assert facts.frames is not None
    tree = facts.frames.filter((facts.frames["kind"] == "vessel_tree") & (facts.frames["patient"] == "P1"))
    mean = tree["dice"].mean()
    assert isinstance(mean, float)
    assert f"{mean:.3f}" in str(table.rows[1])


def test_what_is_not_divided_is_named(facts: RunFacts) -> None:
    bare = changed(facts, patients={}, phases={}, views={}, calibration={})
    said = paragraphs(blocks_of(bare))
    for reason in ("No figure per patient", "contrast phase", "Not divided by view", "calibration is not known"):
        assert reason in said


def test_phases_and_views_are_drawn_and_speak_both_languages(facts: RunFacts) -> None:
    assert facts.evaluation is not None
    tree = facts.evaluation.kinds["vessel_tree"].model_dump(mode="json")
    divided = changed(facts, phases={"2 filling": tree, "3 full": tree}, views={"LAO cranial": tree, "odd view": tree})
    blocks = blocks_of(divided)
    assert {"phases.svg", "views.svg"} <= {block.name for block in blocks if isinstance(block, Chart)}
    labels = [row[0] for block in blocks if isinstance(block, Table) for row in block.rows]
    assert [in_language(labels[n], "zh") for n in (4, 5, 6, 7)] == ["充盈中", "充盈", "左前斜头位", "odd view"]


def test_branches_are_counted_by_calibre(facts: RunFacts) -> None:
    assert facts.evaluation is not None
    table = calibre_table(facts.evaluation)
    found = facts.evaluation.calibres
    assert len(table.rows) == sum(len(classes) for classes in found.values()) > 0
    kind, classes = next(iter(found.items()))
    calibre, summary = next(iter(classes.items()))
    sources = {source.field for cell in table.rows[0] for source in getattr(cell, "sources", ())}
    assert f"calibres.{kind}.{calibre}.num_branches" in sources
    assert f"{summary.num_branches:,}" in str(table.rows[0])


def test_a_reliability_curve_shows_the_share_of_vessel_in_each_bin(facts: RunFacts) -> None:
    bins = [
        {"low": 0.0, "high": 0.5, "num_pixels": 100, "num_vessel": 10, "mean_probability": 0.2},
        {"low": 0.5, "high": 1.0, "num_pixels": 50, "num_vessel": 40, "mean_probability": 0.9},
        {"low": 1.0, "high": 1.0, "num_pixels": 0, "num_vessel": 0, "mean_probability": None},
    ]
    found = {"bins": bins, "ece": 0.1, "ece_foreground": None, "num_cases": 8, "num_without": 1}
    blocks = blocks_of(changed(facts, calibration={"vessel_tree": found}))
    chart = next(block for block in blocks if isinstance(block, Chart) and block.name == "calibration.svg")
    page = chart.drawing.svg()
    assert "share of vessel found 0.1\n" in page  # 10 of 100
    assert "share of vessel found 0.8\n" in page  # 40 of 50
    table = blocks[-1]
    assert isinstance(table, Table)
    assert "0.1000" in str(table.rows[0])


def test_the_whole_report_holds_them(facts: RunFacts, tmp_path: Path) -> None:
    leakage = {"num_training_frames": 200, "num_shared_patients": 1, "num_shared_files": 2, "num_near_duplicates": 3}
    document = compose(replace(facts, evaluation=changed(facts, leakage=leakage)), [])
    data = next(section for section in document.sections if section.key == "data")
    notice = next(block for block in data.blocks if block.kind == "notice")
    assert "1 shared patients, 2 frames with the same file or pixels, 3 near-duplicates" in in_language(
        notice.text, "en"
    )
