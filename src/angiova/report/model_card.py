"""The model card of a run: `model_card.md` with Hugging Face's header, from the record alone.

The fields are those that readers of medical models are owed: intended use and users, what is out of scope, data with
patient counts and how patients were told apart, annotation, splits, metrics with intervals and definitions, subgroups,
failures, compute, limits, and hashes of what was trained (CHAI applied model card, 2024; CLAIM 2024 update, Tejani et
al., Radiology: Artificial Intelligence 6(4), 2024; Hugging Face model cards). What the run does not record is refused
by name, never filled in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import Environment, StrictUndefined

from angiova.data.records import TargetKind
from angiova.errors import DataError
from angiova.evaluation.result import Evaluation
from angiova.files import write_text
from angiova.report import formats
from angiova.report.configuration import batch_sizes, num_devices, part_table, setting, whole_model
from angiova.report.content import Table, Value
from angiova.report.course import total_seconds
from angiova.report.facts import RunFacts, read_facts
from angiova.report.headline import notices
from angiova.report.judgement import statements
from angiova.report.markdown import markdown_escaped
from angiova.report.results import kind_table, main_kind, segment_table
from angiova.report.subgroups import group_tables
from angiova.report.text import Text, in_language
from angiova.run_record import RUN_NAME

CARD_NAME: Final = "model_card.md"
_LANGUAGE: Final = "en"


def write_model_card(run: Path) -> Path:
    """Write model_card.md of a run and return its path.

    Raises:
        DataError: the run does not record something that a card must state; it is named.
    """
    facts = read_facts(run)
    missing = missing_fields(facts)
    if missing:
        raise DataError(
            f"no model card without {', '.join(missing)}",
            where=run / RUN_NAME,
            remedy="finish the run and evaluate it (angiova eval); a run of an older version must be trained again",
        )
    write_text(run / CARD_NAME, render_card(facts))
    return run / CARD_NAME


def missing_fields(facts: RunFacts) -> list[str]:
    """Return the fields that a card must state and that the run does not record, by name."""
    return [name for name, is_there in _REQUIRED.items() if not is_there(facts)]


def render_card(facts: RunFacts) -> str:
    """Return the card's text."""

    environment = Environment(  # noqa: S701  (Markdown has its own escaping, in `finalize`)
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_written
    )
    source = files("angiova.report").joinpath("templates", "model_card.md.j2").read_text(encoding="utf-8")
    body = environment.from_string(source).render(**_values(facts))
    return f"---\n{yaml.safe_dump(card_header(facts), sort_keys=False, allow_unicode=True)}---\n\n" + re.sub(
        r"\n{3,}", "\n\n", body
    )


def card_header(facts: RunFacts) -> dict[str, Any]:
    """Return Hugging Face's metadata: what the hub reads of a card."""
    record, evaluation = facts.record, _evaluated(facts)
    kind = main_kind(evaluation)
    assert kind is not None
    metrics = evaluation.kinds[kind].metrics
    results = [
        {"type": name, "value": round((metrics[name].patient or metrics[name].frame).mean, 4)}
        for name in metrics
        if name in ("dice", "cldice", "iou", "precision", "recall")
    ]
    return {
        "license": "other",
        "license_name": "that-of-data-and-base-model",
        "library_name": "transformers",
        "pipeline_tag": "image-segmentation",
        "tags": ["angiography", "medical-imaging", "sa2va", "research-only"],
        "model-index": [
            {
                "name": facts.name,
                "results": [
                    {
                        "task": {"type": "image-segmentation", "name": f"{kind} in X-ray angiograms"},
                        "dataset": {
                            "name": Path(evaluation.dataset).name,
                            "type": record.data.importer or "angiova",
                            "split": evaluation.split.value,
                            "revision": evaluation.manifest_sha256,
                        },
                        "metrics": results,
                    }
                ],
            }
        ],
    }


def _values(facts: RunFacts) -> dict[str, Any]:
    record, evaluation = facts.record, _evaluated(facts)
    found, whole = statements(facts), whole_model(record)
    kinds = [kind_table(k.value, evaluation.kinds[k.value]) for k in TargetKind if k.value in evaluation.kinds]
    subgroups = [*([segment_table(evaluation)] if evaluation.segments else []), *group_tables(evaluation)]
    sizes = batch_sizes(record)
    return {
        "name": facts.name,
        "record": record,
        "data": record.data,
        "evaluation": evaluation,
        "kinds": kinds,
        "subgroups": subgroups,
        "parts": part_table(record),
        "checkpoints": record.checkpoints,
        "total": formats.count(whole.total),
        "trainable": formats.count(whole.trainable),
        "share": formats.percent(whole.trainable, whole.total),
        "devices": f"{num_devices(record)} x {record.machine.get('device')}",
        "batch": formats.UNKNOWN if sizes is None else " x ".join(map(str, sizes)),
        "rate": str(setting(record, "optimizer.lr")),
        "precision": str(setting(record, "precision")),
        "hours": formats.duration(total_seconds(record) or 0.0),
        "memory": formats.size(record.resources.peak_rss_bytes),
        "samples": formats.count(record.progress.samples_seen),
        "warnings": [notice.text for notice in notices(facts)],
        "strengths": [s.text for s in found if s.role == "strength"],
        "limits": [s.text for s in found if s.role == "limit"],
        "count": formats.count,
        "plain": formats.plain,
        "table": _Written.table,
    }


def _written(value: object) -> object:
    """Return a label or cell, escaped; what is Markdown already stays."""
    label = value.text if isinstance(value, Value) else value
    return markdown_escaped(in_language(label, _LANGUAGE)) if isinstance(label, str | Text) else value


@dataclass(frozen=True, slots=True)
class _Written:
    """Markdown in which every text is escaped already."""

    markdown: str

    def __str__(self) -> str:
        return self.markdown

    @classmethod
    def table(cls, table: Table) -> _Written:
        """Return a table, its caption above it."""
        rule = ["---" if n in table.text_columns else "---:" for n in range(len(table.header))]
        lines = [[str(_written(cell)) for cell in row] for row in (table.header, *table.rows)]
        body = "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))
        return cls(f"{_written(table.caption)}\n\n{body}" if table.caption else body)


def _evaluated(facts: RunFacts) -> Evaluation:
    assert facts.evaluation is not None, "missing_fields would have said so"
    return facts.evaluation


def _of_evaluation(check: Callable[[Evaluation], bool]) -> Callable[[RunFacts], bool]:
    return lambda facts: facts.evaluation is not None and check(facts.evaluation)


_REQUIRED: Final[dict[str, Callable[[RunFacts], bool]]] = {
    "finished (run.json)": lambda facts: facts.record.finished is not None,
    "model_parts (run.json)": lambda facts: bool(facts.record.model_parts),
    "data.splits (run.json)": lambda facts: bool(facts.record.data.splits),
    "data.source (run.json)": lambda facts: bool(facts.record.data.source),
    "data.importer (run.json)": lambda facts: bool(facts.record.data.importer),
    "machine.device (run.json)": lambda facts: facts.record.machine.get("device") is not None,
    "resources.seconds (run.json)": lambda facts: bool(facts.record.resources.seconds),
    "resources.peak_rss_bytes (run.json)": lambda facts: facts.record.resources.peak_rss_bytes > 0,
    "checkpoints with sha256 (run.json)": lambda facts: (
        bool(facts.record.checkpoints) and all(checkpoint.sha256 for checkpoint in facts.record.checkpoints)
    ),
    "evaluation (evaluation/evaluation.json)": lambda facts: facts.evaluation is not None,
    "metrics of any kind (evaluation/evaluation.json)": _of_evaluation(lambda e: main_kind(e) is not None),
    "definitions (evaluation/evaluation.json)": _of_evaluation(lambda e: bool(e.definitions)),
}
