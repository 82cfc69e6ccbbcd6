"""RUN/report.html, one file that needs no network, and RUN/report.md with its pictures beside it."""

from __future__ import annotations

import re
from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from angiova.files import write_bytes, write_text
from angiova.report import figures, headline, results, training
from angiova.report.content import Document, Figure
from angiova.report.facts import RunFacts, read_facts
from angiova.report.wording import Words

HTML_NAME: Final = "report.html"
MARKDOWN_NAME: Final = "report.md"
PICTURES_DIR: Final = "report_files"


def write_report(run: Path, language: str = "en") -> list[Path]:
    """Write report.html, report.md and its pictures from what the run folder holds, and return the paths.

    Args:
        run: the run folder.
        language: en or zh.

    Raises:
        ConfigError: there is no report in that language.
        DataError: run.json is missing, or a file of the run is damaged.
    """
    document = compose(read_facts(run), Words(language))
    write_text(run / HTML_NAME, render_html(document))
    pictures = [_write_picture(run / PICTURES_DIR, figure) for figure in document.figures]
    write_text(run / MARKDOWN_NAME, render_markdown(document))
    return [run / HTML_NAME, run / MARKDOWN_NAME, *pictures]


def compose(facts: RunFacts, words: Words) -> Document:
    """Return the content of a run's report."""
    record = facts.record
    return Document(
        language=words.language,
        title=words("title"),
        subtitle=words(
            "subtitle",
            run=facts.name,
            preset=record.model_preset,
            started=record.started,
            version=record.angiova_version,
        ),
        headline=tuple(headline.headline(facts, words)),
        cards=tuple(headline.cards(facts, words)),
        notices=tuple(headline.notices(facts, words)),
        sections=(
            *results.result_sections(facts, words),
            training.loss_section(facts, words),
            training.model_section(record, words),
            training.data_section(facts, words),
            training.cost_section(record, words),
            training.checkpoint_section(record, words),
            training.message_section(record, words),
            training.configuration_section(record, words),
            *([] if facts.evaluation is None else [results.definition_section(facts.evaluation, words)]),
        ),
        footer=words("footer"),
    )


def render_html(document: Document) -> str:
    """Return the report as one HTML file: style and pictures inside, no scripts, nothing fetched.

    Every text is escaped; the figures' SVG is ours, and matplotlib escapes the texts in it.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_template("report.html.j2"))
    return template.render(document=document, embed=_embed)


def render_markdown(document: Document) -> str:
    """Return the report as Markdown; every text is escaped, so that no frame id becomes a link or a tag."""
    environment = Environment(  # noqa: S701  (Markdown has its own escaping, in `finalize`)
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_markdown_escape
    )
    text = environment.from_string(_template("report.md.j2")).render(document=document, folder=PICTURES_DIR)
    return re.sub(r"\n{3,}", "\n\n", text)


def _template(name: str) -> str:
    return files("angiova.report").joinpath("templates", name).read_text(encoding="utf-8")


def _embed(figure: Figure) -> Markup:
    if isinstance(figure.content, str):
        return Markup(figures.inline(figure.content))  # noqa: S704  (drawn by us, see render_html)
    encoded = b64encode(figure.content).decode("ascii")
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(figure.caption, encoded)


def _markdown_escape(value: object) -> object:
    if not isinstance(value, str):
        return value
    escaped = re.sub(r"([\\`*_\[\]<>|#!])", r"\\\1", value.replace("&", "&amp;"))
    return re.sub(r"\s*[\r\n]+\s*", " ", escaped)


def _write_picture(folder: Path, figure: Figure) -> Path:
    content = figure.content.encode() if isinstance(figure.content, str) else figure.content
    write_bytes(folder / figure.name, content)
    return folder / figure.name
