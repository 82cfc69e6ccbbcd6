"""A model card states what the record states, and is refused by name where the record says nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from angiova.errors import DataError
from angiova.evaluation.store import read_evaluation
from angiova.files import read_json, write_json
from angiova.report.model_card import write_model_card
from runs import CHECKPOINT, make_run

ATTACK = "<script>alert(1)</script>|`[x](javascript:1)"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


def test_the_header_is_what_the_hub_reads_and_equals_the_evaluation(run: Path) -> None:
    text = write_model_card(run).read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["library_name"] == "transformers"
    assert header["pipeline_tag"] == "image-segmentation"
    result = header["model-index"][0]["results"][0]
    evaluation = read_evaluation(run / "evaluation")
    tree = evaluation.kinds["vessel_tree"].metrics
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    for name in ("dice", "cldice"):
        patient = tree[name].patient
        assert patient is not None
        assert values[name] == pytest.approx(patient.mean, abs=5e-5)
    assert result["dataset"]["split"] == "test"
    assert result["dataset"]["revision"] == evaluation.manifest_sha256


def test_the_card_states_what_readers_are_owed(run: Path) -> None:
    text = write_model_card(run).read_text(encoding="utf-8")
    record = read_json(run / "run.json")
    for stated in (
        "Research use only; not a medical device",
        "Out of scope",
        "| train | 20 | 40 | 200 | 600 |",
        "24 targets simulated",
        "4, of which 0 have frames in training; 8 frames",
        "95 % interval",
        "## Results",
        "### Subgroups",
        "### Definitions",
        "1 h 02 min",
        record["checkpoints"][0]["sha256"],
        record["data"]["manifest_sha256"],
        "micro-batch x accumulation x devices = 4 x 2 x 1",
    ):
        assert stated in text, stated


def _without(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def damage(record: dict[str, Any]) -> None:
        for name in path[:-1]:
            record = record[name]
        record[path[-1]] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (_without("finished", value=None), r"finished \(run\.json\)"),
        (_without("model_parts", value=[]), r"model_parts"),
        (_without("data", "splits", value={}), r"data\.splits"),
        (_without("data", "source", value=None), r"data\.source"),
        (_without("data", "importer", value=None), r"data\.importer"),
        (_without("machine", value={}), r"machine\.device"),
        (_without("resources", "seconds", value={}), r"resources\.seconds"),
        (_without("resources", "peak_rss_bytes", value=0), r"resources\.peak_rss_bytes"),
        (_without("checkpoints", value=[]), r"checkpoints with sha256"),
    ],
)
def test_a_missing_field_is_refused_by_name(damage: Callable[[dict[str, Any]], None], name: str, run: Path) -> None:
    record = read_json(run / "run.json")
    damage(record)
    write_json(run / "run.json", record)
    with pytest.raises(DataError, match=f"no model card without .*{name}"):
        write_model_card(run)
    assert not (run / "model_card.md").exists()


def test_a_run_that_was_not_evaluated_gets_no_card(run: Path) -> None:
    (run / "evaluation" / "evaluation.json").unlink()
    with pytest.raises(DataError, match=r"evaluation \(evaluation/evaluation\.json\), metrics of any kind"):
        write_model_card(run)


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    run = make_run(tmp_path, text="f")
    record = read_json(run / "run.json")
    record["data"]["source"] = record["data"]["licence"] = record["model_preset"] = ATTACK
    write_json(run / "run.json", record)
    text = write_model_card(run).read_text(encoding="utf-8")
    assert "<script" not in text.replace("\\<script", "")
    assert "[x](" not in text.replace("\\[x\\](", "")
    assert CHECKPOINT in text
