"""What a report consists of, before it is HTML, Markdown or a terminal: one content, three renderings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True, slots=True)
class Notice:
    """A boxed statement that must not be missed.

    Attributes:
        level: error (do not use the figures), warning (read with care) or note.
    """

    level: Literal["error", "warning", "note"]
    text: str
    kind: Literal["notice"] = "notice"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text cells.

    Attributes:
        text_columns: columns set as text, to the left; the others hold numbers, set to the right.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    text_columns: tuple[int, ...] = (0,)
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with a caption.

    Attributes:
        name: file name, made by us and safe.
        content: the file: SVG text or PNG bytes.
        caption: what it shows.
    """

    name: str
    content: str | bytes
    caption: str
    kind: Literal["figure"] = "figure"


Block = Paragraph | Notice | Table | Figure


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under its own heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One figure of the headline, large, with what it is and how sure it is; struck out unless `trusted`."""

    label: str
    value: str
    detail: str = ""
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    language: str
    title: str
    subtitle: str
    headline: tuple[str, ...]
    cards: tuple[Card, ...]
    notices: tuple[Notice, ...]
    sections: tuple[Section, ...]
    footer: str

    @property
    def figures(self) -> list[Figure]:
        """Every figure, in order."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, Figure)]
