"""Pictures of cases, and the cases that failed with the reason that their pixels give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from angiova.evaluation.cases import Outcome
from angiova.evaluation.result import Picture
from angiova.evaluation.selection import FAILED_DICE
from angiova.evaluation.store import COMPARISONS_DIR
from angiova.report import formats
from angiova.report.content import Block, Cell, Paragraph, Photo, Section, Source, Table
from angiova.report.facts import RunFacts
from angiova.report.text import Text, joined
from angiova.report.values import EVALUATION_FILE, FRAMES_FILE, of_cases
from angiova.report.wording import say
from angiova.run_record import EVALUATION_DIR

NUM_FAILURES: Final = 12
# Precision and recall this far apart say that the mask is too large or too small, rather than elsewhere.
APART: Final = 0.2


def picture_section(facts: RunFacts) -> Section | None:
    """Return the evaluation's pictures and a table of failures; None when there are neither."""
    blocks: list[Block] = [*_photos(facts), *_failures(facts)]
    return Section("pictures", say("pictures.title"), tuple(blocks)) if blocks else None


def reason(case: Mapping[str, Any]) -> Text:
    """Say why a case failed, from its outcome and its counts of pixels."""
    presence = formats.UNKNOWN if case["presence"] is None else f"{case['presence']:.2f}"
    if case["outcome"] != Outcome.COMPARED:
        return say(f"failure.{case['outcome']}", presence=presence)
    outside, missed = 1 - case["precision"], 1 - case["recall"]
    values = {"outside": f"{100 * outside:.0f} %", "missed": f"{100 * missed:.0f} %"}
    if case["tp"] == 0:
        return say("failure.elsewhere")
    if outside - missed > APART:
        return say("failure.too_large", **values)
    if missed - outside > APART:
        return say("failure.too_small", **values)
    return say("failure.both", **values)


def _photos(facts: RunFacts) -> Iterator[Block]:
    if facts.evaluation is None or not facts.pictures:
        return
    yield Paragraph(say("pictures.how"))
    for number, picture in enumerate(facts.evaluation.pictures, 1):
        if picture.file in facts.pictures:
            caption = say(
                "picture.caption",
                role=say(f"picture.{picture.role}"),
                frame=picture.frame_id,
                phrase=picture.phrase,
                dice=f"{picture.dice:.3f}",
                cldice=f"{picture.cldice:.3f}",
            )
            why = _reason_of(facts.frames, picture)
            if why is not None:
                caption = joined([caption, why], " · ")
            sources = (
                Source(EVALUATION_FILE, f"pictures.{number - 1}"),
                Source(f"{EVALUATION_DIR}/{COMPARISONS_DIR}/{picture.file}", ""),
            )
            yield Photo(f"comparison-{number}.png", facts.pictures[picture.file], caption, sources)


def _reason_of(table: pl.DataFrame | None, picture: Picture) -> Text | None:
    """Return why the case of a picture failed; None when it did not, or its row is not there."""
    if table is None or picture.dice >= FAILED_DICE:
        return None
    rows = table.filter((pl.col("frame_id") == picture.frame_id) & (pl.col("phrase") == picture.phrase))
    return None if rows.is_empty() else reason(rows.row(0, named=True))


def _failures(facts: RunFacts) -> Iterator[Block]:
    """Yield how many cases failed, and the worst of each kind of failure with its reason."""
    table = facts.frames
    if table is None:
        return
    scored = table.with_row_index("row", offset=1).filter(pl.col("dice").is_not_null())
    failed = scored.filter(pl.col("dice") < FAILED_DICE).sort("dice", "frame_id", "phrase")
    source = (Source(FRAMES_FILE, "dice"),)
    yield Paragraph(
        say("failures.count", n=formats.count(failed.height), total=formats.count(scored.height), limit=FAILED_DICE),
        source,
    )
    if failed.is_empty():
        return
    # One of every phrase first, so that one hopeless kind of target does not fill the table.
    chosen = failed.unique("phrase", keep="first", maintain_order=True).head(NUM_FAILURES)
    header = tuple(say(f"failures.{name}") for name in ("frame", "phrase", "dice", "precision", "recall", "reason"))
    rows = tuple(_failure_row(row) for row in chosen.iter_rows(named=True))
    yield Table(header, rows, say("failures.caption", n=len(rows)), text_columns=(0, 1, 5))


def _failure_row(case: Mapping[str, Any]) -> tuple[Cell, ...]:
    place = f"row {case['row']}"
    shares = tuple(
        of_cases(f"{case[name]:.3f}", case[name], f"{place}, {name}") for name in ("dice", "precision", "recall")
    )
    return (case["frame_id"], case["phrase"], *shares, of_cases(reason(case), None, f"{place}, outcome"))
