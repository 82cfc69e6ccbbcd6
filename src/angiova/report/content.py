"""What a report consists of, before it is HTML, Markdown, JSON or a terminal: one content, several renderings.

Every text is in both languages or in none (`Text` or `str`), and every figure says which field of which file it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from angiova.report.charts.svg import Drawing
from angiova.report.text import Label


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure is recorded.

    Attributes:
        file: path in the run folder.
        field: the field of a JSON file joined by dots, or the column of a table.
    """

    file: str
    field: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field}"


@dataclass(frozen=True, slots=True)
class Value:
    """A figure as it is shown, with the number itself and where it is recorded.

    Attributes:
        text: as shown.
        raw: the value; None where it is not known, or where the text is all there is.
        sources: the fields that it is, or is computed from.
    """

    text: Label
    raw: float | str | None = None
    sources: tuple[Source, ...] = ()


Cell = Label | Value


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of plain text."""

    text: Label
    sources: tuple[Source, ...] = ()
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True, slots=True)
class Notice:
    """A boxed statement that must not be missed.

    Attributes:
        level: error (do not use the figures), warning (read with care), note, or good (speaks for the result).
    """

    level: Literal["error", "warning", "note", "good"]
    text: Label
    sources: tuple[Source, ...] = ()
    kind: Literal["notice"] = "notice"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of cells.

    Attributes:
        text_columns: columns set as text, to the left; the others hold numbers, set to the right.
        folded: shown closed on the page, for what few readers want; printing opens it.
        anchors: kind of row that figures lead to, ``"r"`` for fields of run.json and ``"f"`` for files; the first cell
            is then the name. Empty where nothing leads.
    """

    header: tuple[Label, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: Label = ""
    text_columns: tuple[int, ...] = (0,)
    folded: bool = False
    anchors: Literal["", "r", "f"] = ""
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of ours with a caption."""

    name: str
    drawing: Drawing
    caption: Label
    sources: tuple[Source, ...]
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture of the run with a caption.

    Attributes:
        name: file name, made by us and safe.
        png: the file.
    """

    name: str
    png: bytes
    caption: Label
    sources: tuple[Source, ...]
    kind: Literal["photo"] = "photo"


Block = Paragraph | Notice | Table | Chart | Photo


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under its own heading.

    Attributes:
        key: stable name, the same in every language; the anchor of the section.
    """

    key: str
    title: Label
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One figure of the headline, large, with what it is and how sure it is; struck out unless `trusted`."""

    label: Label
    value: Value
    detail: Label = ""
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    run: str
    title: Label
    subtitle: Label
    headline: tuple[Label, ...]
    cards: tuple[Card, ...]
    notices: tuple[Notice, ...]
    sections: tuple[Section, ...]
    footer: Label

    @property
    def blocks(self) -> Iterator[Block]:
        """Every block, in order."""
        return (block for section in self.sections for block in section.blocks)

    @property
    def sources(self) -> Iterator[Source]:
        """Every source that something in the report names."""
        for card in self.cards:
            yield from card.value.sources
        for notice in self.notices:
            yield from notice.sources
        for block in self.blocks:
            if isinstance(block, Table):
                cells = (cell for row in block.rows for cell in row if isinstance(cell, Value))
                yield from (source for cell in cells for source in cell.sources)
            else:
                yield from block.sources
