"""Each fact of an answer beside the one that is measured."""

from __future__ import annotations

from typing import Final

from angiova.data.questions.kinds import Asked, Kind, Value, read_answer
from angiova.data.questions.phrasing import names_of
from angiova.data.syntax import SEGMENT_NAMES, SEGMENT_NAMES_ZH
from angiova.inference.asking import wording
from angiova.inference.asking.reply import Statement, Verdict
from angiova.morphology.anatomy import Side
from angiova.report.text import Label, Text, fill

# How far a number may lie from the measured one: a mask of the narrowest place is right to about a pixel, and the
# level of contrast is smoothed over five frames.
TOLERANCES: Final = {Kind.NARROWEST: 1.0, Kind.BEST_FRAME: 2.0}


def compare(asked: Asked, words: str, measured: Value | None, detail: Text | None = None) -> Statement:
    """Return what an answer says to what was asked, and how that stands to what is measured.

    Args:
        asked: what was asked.
        words: the model's words.
        measured: the value measured; None where it could not be.
        detail: what belongs to that value, such as its place.
    """
    said, told = read_answer(asked, words), None
    if measured is not None:
        told = shown_value(asked, measured)
        told = told if detail is None else fill(wording.WITH_DETAIL, {"value": told, "detail": detail})
    return Statement(
        about=about(asked),
        said=None if said is None else shown_value(asked, said),
        measured=told,
        verdict=_verdict(asked, said, measured),
    )


def about(asked: Asked) -> Text:
    """Return what a question is about."""
    names = {"segment": SEGMENT_NAMES.get(asked.segment, ""), "segment_zh": SEGMENT_NAMES_ZH.get(asked.segment, "")}
    return fill(wording.ABOUT[asked.kind], {"threshold": f"{asked.threshold:g}", **names})


def shown_value(asked: Asked, value: Value) -> Label:
    """Return a value as it is told."""
    if isinstance(value, Side):
        return wording.SIDES[value]
    if isinstance(value, bool):
        return wording.YES if value else wording.NO
    if isinstance(value, frozenset):
        return Text(", ".join(names_of(value, "en")), "、".join(names_of(value, "zh")))
    return fill(wording.PX, {"number": f"{value:.1f}"}) if asked.kind is Kind.NARROWEST else f"{value:.0f}"


def _verdict(asked: Asked, said: Value | None, measured: Value | None) -> Verdict:
    if said is None:
        return Verdict.NOT_USABLE
    if measured is None:
        return Verdict.NOT_MEASURED
    if isinstance(said, float) and isinstance(measured, float):
        is_same = abs(said - measured) <= TOLERANCES.get(asked.kind, 0.0)
    else:
        is_same = said == measured
    return Verdict.AGREES if is_same else Verdict.DISAGREES
