"""The report as one HTML page: style, script and pictures inside, both languages, nothing fetched.

Every text is escaped by the template engine or by `charts.svg`. The page's own policy forbids any other script or
address than ours, so that even a mistake here could not load anything.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from angiova.report.content import Cell, Chart, Document, Photo, Source, Table, Value
from angiova.report.text import LANGUAGES, Label, in_language
from angiova.report.wording import say
from angiova.run_record import RUN_NAME

LONG_CELL: Final = 28


def render_html(document: Document, language: str) -> str:
    """Return the page.

    Args:
        document: the report.
        language: the one shown first; the page can switch.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    style, script = template_text("report.css"), template_text("report.js")
    policy = b64encode(sha256(script.encode()).digest()).decode("ascii")
    anchors = _Anchors(document)
    return environment.from_string(template_text("report.html.j2")).render(
        document=document,
        language=language,
        style=Markup(style),  # noqa: S704  (ours)
        script=Markup(script),  # noqa: S704  (ours)
        script_sha256=policy,
        t=_both,
        say=say,
        plain=in_language,
        cell=anchors.cell,
        sources=anchors.sources,
        cell_class=_cell_class,
        svg=_svg,
        image=_image,
    )


def template_text(name: str) -> str:
    """Return a file of templates/."""
    return files("angiova.report").joinpath("templates", name).read_text(encoding="utf-8")


def _both(label: Label) -> Markup:
    """Return a label in both languages, of which the style shows one; once where they are the same."""
    if isinstance(label, str):
        return escape(label)
    english, chinese = (_with_code(in_language(label, language)) for language in LANGUAGES)
    if english == chinese:
        return english
    return Markup('<span lang="en">{}</span><span lang="zh">{}</span>').format(english, chinese)


def _with_code(sentence: str) -> Markup:
    """Return a sentence escaped, with what stands between backticks set as code."""
    parts = (Markup("<code>{}</code>").format(p) if n % 2 else escape(p) for n, p in enumerate(sentence.split("`")))
    return Markup("").join(parts) if sentence.count("`") % 2 == 0 else escape(sentence)


def _cell_class(table: Table, column: int, cell: Cell) -> str:
    if column not in table.text_columns:
        return "number"
    label = cell.text if isinstance(cell, Value) else cell
    return "long" if len(in_language(label, "en")) > LONG_CELL else "short"


def _svg(chart: Chart) -> Markup:
    return Markup(chart.drawing.svg())  # noqa: S704  (drawn by us; charts.svg escapes every text)


def _image(photo: Photo) -> Markup:
    encoded = b64encode(photo.png).decode("ascii")
    label = in_language(photo.caption, "en")
    return Markup('<img loading="eager" alt="{}" src="data:image/png;base64,{}">').format(label, encoded)


class _Anchors:
    """Where on the page each source stands: a row of the record, or the row of its file."""

    def __init__(self, document: Document) -> None:
        rows = [
            (t.anchors, str(row[0])) for t in document.blocks if isinstance(t, Table) and t.anchors for row in t.rows
        ]
        self._fields = [name for kind, name in rows if kind == "r"]
        self._files = {name for kind, name in rows if kind == "f"}

    def cell(self, cell: Cell) -> Markup:
        """Return a cell; a figure links to where it is recorded and says so when it is pointed at."""
        if not isinstance(cell, Value) or not cell.sources:
            return _both(cell.text if isinstance(cell, Value) else cell)
        return Markup('<a class="value" href="#{}" title="{}">{}</a>').format(
            self._of(cell.sources[0]), "; ".join(map(str, cell.sources)), _both(cell.text)
        )

    def sources(self, sources: tuple[Source, ...]) -> Markup:
        """Return links to all sources, one a file."""
        by_file: dict[str, list[Source]] = {}
        for source in sources:
            by_file.setdefault(source.file, []).append(source)
        links = [
            Markup('<a href="#{}" title="{}">{}</a>').format(self._of(found[0]), "; ".join(map(str, found)), file)
            for file, found in by_file.items()
        ]
        return Markup(", ").join(links)

    def _of(self, source: Source) -> str:
        if source.file != RUN_NAME:
            return f"f:{source.file}" if source.file in self._files else "files"
        start = source.field.partition("*")[0].rstrip(".")
        inside = (name for name in self._fields if name == start or name.startswith(f"{start}."))
        found = next(inside, None)
        return "record" if found is None else f"r:{found}"
