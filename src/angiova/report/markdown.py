"""The report as Markdown in one language; its drawings and pictures are files beside it."""

from __future__ import annotations

import re
from typing import Final

from jinja2 import Environment, StrictUndefined

from angiova.report.content import Document, Value
from angiova.report.html import template_text
from angiova.report.text import Text, in_language

PICTURES_DIR: Final = "report_files"


def render_markdown(document: Document, language: str) -> str:
    """Return the Markdown text; every text is escaped, so that no frame id becomes a link or a tag."""

    def written(value: object) -> object:
        """Return a label or cell in the language, escaped."""
        label = value.text if isinstance(value, Value) else value
        return markdown_escaped(in_language(label, language)) if isinstance(label, str | Text) else value

    environment = Environment(  # noqa: S701  (Markdown has its own escaping, in `finalize`)
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=written
    )
    template = environment.from_string(template_text("report.md.j2"))
    return re.sub(r"\n{3,}", "\n\n", template.render(document=document, folder=PICTURES_DIR))


def markdown_escaped(text: str) -> str:
    """Return text in which no sign has a meaning in Markdown or HTML, on one line."""
    escaped = re.sub(r"([\\`*_\[\]<>|#!])", r"\\\1", text.replace("&", "&amp;"))
    return re.sub(r"\s*[\r\n]+\s*", " ", escaped)
