"""Questions whose answer can be held against a measurement: which kind one is, and what an answer to it says.

Kinds are told by their words, in English and Chinese. A question of no kind is answered freely. An answer is read
strictly: one that does not say what was asked, as a model may give that never learnt the kind, says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from angiova.data.prompts import SEG, known_phrases
from angiova.data.syntax import SEGMENT_NAMES, SEGMENT_NAMES_ZH
from angiova.morphology.anatomy import Side

Value = Side | bool | float | frozenset[str]


class Kind(StrEnum):
    """What is asked."""

    TREE = "tree"
    SEGMENTS = "segments"
    VISIBLE = "visible"
    CATHETER = "catheter"
    CONTRAST = "contrast"
    BRANCHES = "branches"
    NARROWEST = "narrowest"
    STENOSIS = "stenosis"
    BEST_FRAME = "best frame"


DESCRIBED: Final = (Kind.TREE, Kind.SEGMENTS, Kind.BRANCHES, Kind.STENOSIS)
STENOSIS_PERCENT: Final = 50.0
BRANCH_PX: Final = 20.0
THERE: Final = r"(?:\b(?:is|are) there\b|\b(?:see|shows|contains|has|have|does)\b)[^?.]*"
THERE_ZH: Final = r"(?:有没有|有无|是否|能否看到|有)[^？。]*"
ASKS: Final = {
    Kind.BEST_FRAME: r"\b(?:which|what|best) frame\b|哪一?帧",
    Kind.BRANCHES: r"\bhow many (?:\w+ )?branches\b|(?:多少|几)[条个根]?(?:分支|血管)",
    Kind.NARROWEST: r"\bnarrowest\b|\b(?:minimum|smallest|least) (?:lumen|calibre|caliber|diameter)\b|最窄|最小管径",
    Kind.STENOSIS: rf"{THERE}\b(?:stenos[ei]s|narrowings?)\b|{THERE_ZH}狭窄|狭窄吗",
    Kind.CATHETER: rf"{THERE}\bcatheter\b|\bcatheter (?:visible|present)\b|{THERE_ZH}导管",
    Kind.CONTRAST: rf"{THERE}\bcontrast\b|\bcontrast (?:visible|present)\b|造影剂|对比剂",
    Kind.SEGMENTS: r"\b(?:which|what) (?:\w+ )?(?:segments|vessels|arteries|branches)\b|哪些\w*(?:段|血管|分支)",
    Kind.VISIBLE: r"\bvisible\b|\b(?:can|do) (?:you|we|one) see\b|\b(?:is|are) there\b|\bin view\b"
    r"|可见|能?看到|有没有|是否有",
    Kind.TREE: r"\bleft or (?:the )?right\b|\bright or (?:the )?left\b|\b(?:which|what) (?:coronary )?(?:artery )?"
    r"(?:tree|side|coronary)\b|左冠[^？。]*右冠|右冠[^？。]*左冠|哪一?[侧支]冠",
}
DESCRIBES: Final = re.compile(r"\bdescri(?:be|ption)\b|描述", re.IGNORECASE)
PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*[%％]")
PIXELS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:px\b|pixels?\b|像素)", re.IGNORECASE)
SIDES: Final = {
    Side.LEFT: r"\bleft(?: coronary| side| tree| system|\W*$)|\bLCA\b|左冠|左侧",
    Side.RIGHT: r"\bright(?: coronary| side| tree| system|\W*$)|(?<!proximal )(?<!mid )(?<!distal )\bRCA\b|右冠|右侧",
}
YES: Final = re.compile(r"^\W*(?:yes\b|there (?:is|are) (?!no\b)|是|有|存在|可见)", re.IGNORECASE)
NO: Final = re.compile(r"^\W*(?:no\b|there (?:is|are) no\b|否|没有|无|不|未)", re.IGNORECASE)
NO_STENOSIS: Final = re.compile(r"\bno (?:\w+ )?(?:stenos|narrow)|(?:没有|无|未见)[^，。；]{0,14}狭窄", re.IGNORECASE)
HOW_NARROW: Final = re.compile(
    r"(?:stenosis|narrowing) of (\d+(?:\.\d+)?)\s*%|(\d+(?:\.\d+)?)\s*[%％] (?:\w+ )?(?:stenosis|narrowing)"
    r"|狭窄\s*(?:程度)?\s*(?:约|为)?\s*(\d+(?:\.\d+)?)\s*[%％]",
    re.IGNORECASE,
)
BRANCH_COUNT: Final = re.compile(r"(\d+)\s*(?:\w+ )?branch|(\d+)\s*[条个根]|^\W*(\d+)\W*$", re.IGNORECASE)
FRAME_NUMBER: Final = re.compile(r"\bframe\s*(\d+)|第\s*(\d+)\s*帧|^\W*(\d+)\W*$", re.IGNORECASE)
# The longest name first, so that "first diagonal branch a" is not "first diagonal" too.
PHRASES: Final = sorted(known_phrases(), key=len, reverse=True)
SEGMENT_OF_NAME: Final = {
    name.casefold(): number for names in (SEGMENT_NAMES, SEGMENT_NAMES_ZH) for number, name in names.items()
}
SEGMENTS_BY_LENGTH: Final = sorted(SEGMENT_OF_NAME, key=len, reverse=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question asks.

    Attributes:
        kind: its kind.
        threshold: percent of a stenosis, or pixels of a branch, from which on it counts; 0 where none is meant.
        segment: SYNTAX number of the segment whose visibility is asked for; empty where none is meant.
    """

    kind: Kind
    threshold: float = 0.0
    segment: str = ""


def understand(question: str) -> tuple[Asked, ...]:
    """Return what a question asks: one thing, several for a description, nothing where it is of no kind."""
    if DESCRIBES.search(question):
        return tuple(_asked(kind, "") for kind in DESCRIBED)
    for kind, pattern in ASKS.items():
        if re.search(pattern, question, re.IGNORECASE) and (kind is not Kind.VISIBLE or _only_segment(question)):
            return (_asked(kind, question),)
    return ()


def read_answer(asked: Asked, words: str) -> Value | None:
    """Return what an answer says to what was asked; None where it says nothing that is usable."""
    text = words.replace(SEG, " ").strip()
    match asked.kind:
        case Kind.TREE:
            return _side(text)
        case Kind.SEGMENTS:
            return segments_named(text) or None
        case Kind.STENOSIS:
            return _stenosis(text, asked.threshold)
        case Kind.CATHETER | Kind.CONTRAST | Kind.VISIBLE:
            return _yes_or_no(text)
        case Kind.BRANCHES:
            return _number(BRANCH_COUNT, text)
        case Kind.NARROWEST:
            return _number(PIXELS, text)
        case Kind.BEST_FRAME:
            return _number(FRAME_NUMBER, text)


def segments_named(text: str) -> frozenset[str]:
    """Return the SYNTAX numbers of the segments that a text names, in English or Chinese."""
    rest, found = text.casefold(), set()
    for name in SEGMENTS_BY_LENGTH:
        if name in rest:
            found.add(SEGMENT_OF_NAME[name])
            rest = rest.replace(name, " " * len(name))
    return frozenset(found)


def phrases_in(text: str) -> list[str]:
    """Return the phrases of the product that a text names, in its order."""
    places: dict[str, int] = {}
    rest = text.casefold()
    for name in PHRASES:
        place = rest.find(name.casefold())
        if place >= 0:
            places[name] = place
            rest = rest.replace(name.casefold(), " " * len(name))
    return sorted(places, key=lambda name: places[name])


def _yes_or_no(text: str) -> bool | None:
    return False if NO.search(text) else True if YES.search(text) else None


def _stenosis(text: str, threshold: float) -> bool | None:
    """Return whether a text says that there is a stenosis of a percentage, at its beginning or within a description."""
    if NO_STENOSIS.search(text):
        return False
    percent = _number(HOW_NARROW, text)
    return _yes_or_no(text) if percent is None else percent >= threshold


def _side(text: str) -> Side | None:
    """Return the side that a text names; None where it names both, or a side of something else."""
    if re.search(r"\bleft or (?:the )?right\b|\bright or (?:the )?left\b", text, re.IGNORECASE):
        return None
    sides = [side for side, pattern in SIDES.items() if re.search(pattern, text, re.IGNORECASE)]
    return sides[0] if len(sides) == 1 else None


def _asked(kind: Kind, question: str) -> Asked:
    if kind is Kind.STENOSIS:
        return Asked(kind, _number(PERCENT, question) or STENOSIS_PERCENT)
    if kind is Kind.BRANCHES:
        return Asked(kind, _number(PIXELS, question) or BRANCH_PX)
    if kind is Kind.VISIBLE:
        return Asked(kind, segment=_only_segment(question))
    return Asked(kind)


def _only_segment(question: str) -> str:
    """Return the SYNTAX number of the one segment that a question names; empty where it names none or several."""
    named = segments_named(question)
    return next(iter(named)) if len(named) == 1 else ""


def _number(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.search(text)
    return None if found is None else float(next(group for group in found.groups() if group is not None))
