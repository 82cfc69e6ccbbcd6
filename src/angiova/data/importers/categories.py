"""What a category name or phrase of a source means here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from angiova.data.records import TargetKind
from angiova.data.syntax import CATHETER_PHRASE, SEGMENT_NAMES, STENOSIS_PHRASE, VESSELS_PHRASE

_NUMBER_OF_PHRASE: Final = {phrase.lower(): number for number, phrase in SEGMENT_NAMES.items()}
_TREE_WORDS: Final = frozenset({"vessel", "vessels", "tree", "vasculature", "arteries"})


@dataclass(frozen=True, slots=True)
class Category:
    """How a named object enters the manifest: its phrase, kind and SYNTAX segment number."""

    phrase: str
    kind: TargetKind
    segment: str | None = None


def segment_category(number: str) -> Category | None:
    """Return the category of a SYNTAX segment number such as ``"9a"``, or None."""
    number = number.strip().lower()
    return Category(SEGMENT_NAMES[number], TargetKind.SEGMENT, number) if number in SEGMENT_NAMES else None


def known_category(name: str) -> Category | None:
    """Return what `name` means: a SYNTAX segment, a stenosis, a catheter or vessels; None where it is none of them."""
    lowered = " ".join(name.lower().replace("_", " ").split())
    if lowered in _NUMBER_OF_PHRASE:
        return segment_category(_NUMBER_OF_PHRASE[lowered])
    if "stenos" in lowered:
        return Category(STENOSIS_PHRASE, TargetKind.STENOSIS)
    if "catheter" in lowered:
        return Category(CATHETER_PHRASE, TargetKind.CATHETER)
    if lowered in ("vessel", "vessels"):
        return Category(VESSELS_PHRASE, TargetKind.VESSEL_TREE)
    if _TREE_WORDS.intersection(lowered.split()) or lowered in ("artery", "coronary artery"):
        return Category(name.strip(), TargetKind.VESSEL_TREE)
    return None


def category_of_phrase(phrase: str) -> Category:
    """Return what a free phrase asks for; a phrase without a known meaning keeps its words, as kind OTHER.

    Unlike a category name, a phrase is kept word for word: it is what the model was, or will be, asked.
    """
    known = known_category(phrase)
    if known is None:
        return Category(phrase.strip(), TargetKind.OTHER)
    return Category(phrase.strip(), known.kind, known.segment)
