"""The report as JSON: every figure with its number and its source, every text in both languages."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from angiova.report.content import Block, Cell, Chart, Document, Photo, Value
from angiova.report.markdown import PICTURES_DIR
from angiova.report.statement import Statement

FORMAT: Final = "angiova-report/1"


def report_json(document: Document, statements: list[Statement]) -> dict[str, Any]:
    """Return the report as plain data that JSON can hold."""
    return {
        "format": FORMAT,
        "run": document.run,
        "title": _plain(document.title),
        "headline": [_plain(sentence) for sentence in document.headline],
        "cards": [{**asdict(card), "value": _cell(card.value)} for card in document.cards],
        "notices": [asdict(notice) for notice in document.notices],
        "statements": [asdict(statement) for statement in statements],
        "sections": [
            {"key": s.key, "title": _plain(s.title), "blocks": [_block(block) for block in s.blocks]}
            for s in document.sections
        ],
    }


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Chart | Photo):
        sources = [asdict(source) for source in block.sources]
        file = f"{PICTURES_DIR}/{block.name}"
        return {"kind": block.kind, "file": file, "caption": _plain(block.caption), "sources": sources}
    content = asdict(block)
    if block.kind == "table":
        content["rows"] = [[_cell(cell) for cell in row] for row in block.rows]
    return content


def _cell(cell: Cell) -> dict[str, Any]:
    if not isinstance(cell, Value):
        return {"text": _plain(cell)}
    return {"text": _plain(cell.text), "value": cell.raw, "sources": [asdict(source) for source in cell.sources]}


def _plain(label: Any) -> Any:  # noqa: ANN401  (text in both languages, or a plain one)
    return label if isinstance(label, str) else asdict(label)
