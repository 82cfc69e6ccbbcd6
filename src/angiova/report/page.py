"""A run's report, composed once and written as HTML, Markdown and JSON, with a model card beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from angiova.files import write_bytes, write_json, write_text
from angiova.report import headline, judgement, results
from angiova.report.answered import answer_section
from angiova.report.as_json import report_json
from angiova.report.audit.checks_run import audit_run
from angiova.report.audit.finding import AuditFinding
from angiova.report.compared import compared_section
from angiova.report.configuration import configuration_section
from angiova.report.content import Chart, Document, Photo, Section
from angiova.report.course import course_section
from angiova.report.facts import RunFacts, read_facts
from angiova.report.files_list import ListedFile, checkpoint_section, file_section, list_files, record_section
from angiova.report.html import render_html
from angiova.report.losses import loss_section
from angiova.report.markdown import PICTURES_DIR, render_markdown
from angiova.report.pictures import picture_section
from angiova.report.subgroups import subgroup_blocks
from angiova.report.text import checked_language
from angiova.report.training_data import data_section
from angiova.report.wording import say

HTML_NAME: Final = "report.html"
MARKDOWN_NAME: Final = "report.md"
JSON_NAME: Final = "report.json"


def write_report(run: Path, language: str = "en") -> list[Path]:
    """Write report.html, report.md with its pictures, and report.json from what the run folder holds.

    Args:
        run: the run folder.
        language: en or zh; the page shows it first and can switch, Markdown has this one alone.

    Returns:
        The paths written.

    Raises:
        ConfigError: there is no report in that language.
        DataError: run.json is missing, or a file of the run is damaged.
    """
    checked_language(language)
    facts = read_facts(run)
    document = compose(facts, list_files(run), audit_run(run, weights=False).findings)
    write_text(run / HTML_NAME, render_html(document, language))
    pictures = [
        _write_picture(run / PICTURES_DIR, block, language)
        for block in document.blocks
        if isinstance(block, Chart | Photo)
    ]
    write_text(run / MARKDOWN_NAME, render_markdown(document, language))
    write_json(run / JSON_NAME, report_json(document, judgement.statements(facts)))
    return [run / HTML_NAME, run / MARKDOWN_NAME, run / JSON_NAME, *pictures]


def compose(facts: RunFacts, files: list[ListedFile], audited: Sequence[AuditFinding] = ()) -> Document:
    """Return the content of a run's report.

    Args:
        facts: what the run folder holds.
        files: every file of it.
        audited: what the run's audit found; each stands among what speaks against the figures.
    """
    record, evaluation = facts.record, facts.evaluation
    sections: list[Section | None] = [
        configuration_section(facts),
        data_section(facts),
        course_section(facts),
        loss_section(facts),
        results.evaluation_section(facts, subgroup_blocks),
        compared_section(facts),
        picture_section(facts),
        results.distribution_section(facts),
        answer_section(facts),
        judgement.judgement_section(facts),
        judgement.next_section(facts),
        checkpoint_section(record),
        file_section(files),
        None if evaluation is None else results.definition_section(evaluation),
        record_section(record),
    ]
    return Document(
        run=facts.name,
        title=say("title"),
        subtitle=say(
            "subtitle",
            run=facts.name,
            preset=record.model_preset,
            started=record.started,
            version=record.angiova_version,
        ),
        headline=tuple(headline.headline(facts)),
        cards=tuple(headline.cards(facts)),
        notices=tuple(headline.notices(facts, audited)),
        sections=tuple(section for section in sections if section is not None),
        footer=say("footer"),
    )


def _write_picture(folder: Path, block: Chart | Photo, language: str) -> Path:
    content = block.png if isinstance(block, Photo) else block.drawing.svg(language).encode()
    write_bytes(folder / block.name, content)
    return folder / block.name
