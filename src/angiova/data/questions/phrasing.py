"""How questions are asked and answered, in English and Chinese.

Every question here is understood as its kind by `angiova.data.questions.kinds`, and every answer is read back as the
value that it was made of; tests hold both against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import numpy as np

from angiova.data.prompts import NAMED_ANSWER, as_typed, capitalised
from angiova.data.questions.kinds import Asked, Kind, Value
from angiova.data.syntax import SEGMENT_NAMES, SEGMENT_NAMES_ZH
from angiova.morphology.anatomy import Side

Language = Literal["en", "zh"]

ASKED: Final[dict[Language, dict[Kind, tuple[str, ...]]]] = {
    "en": {
        Kind.TREE: (
            "which coronary tree is this?",
            "is this the left or the right coronary tree?",
            "left or right coronary artery?",
            "what coronary tree is shown?",
        ),
        Kind.SEGMENTS: (
            "which segments are visible?",
            "what segments can you see?",
            "which coronary segments are in view?",
            "which vessels are shown?",
        ),
        Kind.VISIBLE: (
            "is the {segment} visible?",
            "can you see the {segment}?",
            "is there a {segment} in this frame?",
            "is the {segment} in view?",
        ),
        Kind.CATHETER: (
            "is there a catheter?",
            "is a catheter visible?",
            "do you see a catheter in this frame?",
            "does this frame show a catheter?",
        ),
        Kind.CONTRAST: (
            "is there contrast?",
            "is contrast present?",
            "do you see any contrast?",
            "does the frame have contrast in the vessels?",
        ),
        Kind.STENOSIS: (
            "is there a stenosis above {threshold} %?",
            "do you see a stenosis of at least {threshold} %?",
            "are there narrowings above {threshold} %?",
        ),
        Kind.BRANCHES: (
            "how many branches of at least {threshold} pixels are there?",
            "how many branches are {threshold} px long or longer?",
        ),
        Kind.NARROWEST: (
            "where is the narrowest place, and how narrow is it?",
            "how narrow is the narrowest place?",
        ),
    },
    "zh": {
        Kind.TREE: ("这是左冠还是右冠？", "图中是左冠还是右冠？", "这是哪一侧冠脉？"),
        Kind.SEGMENTS: ("能看到哪些节段？", "图中有哪些血管？", "可见哪些节段？"),
        Kind.VISIBLE: ("能看到{segment}吗？", "{segment}是否可见？", "图中有没有{segment}？"),
        Kind.CATHETER: ("有没有导管？", "图中是否有导管？", "能否看到导管？"),
        Kind.CONTRAST: ("有造影剂吗？", "是否有造影剂？", "血管里有没有造影剂？"),
        Kind.STENOSIS: ("有没有超过 {threshold}% 的狭窄？", "是否有 {threshold}% 以上的狭窄？"),
        Kind.BRANCHES: ("长度不少于 {threshold} 像素的有多少条分支？", "有多少条分支长于 {threshold} 像素？"),
        Kind.NARROWEST: ("最窄处在哪里，有多窄？", "最窄的地方有多窄？"),
    },
}
# Asks for the segments and for their masks at once: the answer has a `[SEG]` before each name.
GROUNDED: Final[dict[Language, tuple[str, ...]]] = {
    "en": ("which segments are visible? segment them", "outline all segments that are visible"),
    "zh": ("能看到哪些节段？请分割出来", "请分割所有可见节段"),
}
DESCRIBE: Final[dict[Language, tuple[str, ...]]] = {
    "en": ("describe the vessels", "describe the vessel tree", "please describe what is shown"),
    "zh": ("描述血管", "请描述冠脉树", "描述图中的血管"),
}
SIDES: Final[dict[Language, dict[Side, str]]] = {
    "en": {Side.LEFT: "left coronary tree", Side.RIGHT: "right coronary tree"},
    "zh": {Side.LEFT: "左冠", Side.RIGHT: "右冠"},
}
THINGS: Final[dict[Language, dict[Kind, tuple[str, str]]]] = {
    "en": {
        Kind.CATHETER: ("yes, there is a catheter.", "no, there is no catheter."),
        Kind.CONTRAST: ("yes, there is contrast.", "no, there is no contrast."),
        Kind.VISIBLE: ("yes, the {segment} is visible.", "no, the {segment} is not visible."),
        Kind.STENOSIS: ("yes, above {threshold} %.", "no stenosis above {threshold} %."),
    },
    "zh": {
        Kind.CATHETER: ("有导管。", "没有导管。"),
        Kind.CONTRAST: ("有造影剂。", "没有造影剂。"),
        Kind.VISIBLE: ("可见{segment}。", "未见{segment}。"),
        Kind.STENOSIS: ("有超过 {threshold}% 的狭窄。", "没有超过 {threshold}% 的狭窄。"),
    },
}
NAMES: Final[dict[Language, dict[str, str]]] = {"en": SEGMENT_NAMES, "zh": SEGMENT_NAMES_ZH}
COMMA: Final[dict[Language, str]] = {"en": ", ", "zh": "、"}


def question_of(asked: Asked, language: Language, rng: np.random.Generator) -> str:
    """Return a question in randomly chosen words."""
    return as_typed(_filled(str(rng.choice(ASKED[language][asked.kind])), asked, language), rng)


def answer_of(asked: Asked, value: Value, language: Language) -> str:
    """Return the words that say a value."""
    if isinstance(value, bool):
        yes, no = THINGS[language][asked.kind]
        return _filled(yes if value else no, asked, language)
    if isinstance(value, Side):
        return SIDES[language][value] + ("." if language == "en" else "。")
    if isinstance(value, frozenset):
        return COMMA[language].join(names_of(value, language)) + ("." if language == "en" else "。")
    if asked.kind is Kind.BRANCHES:
        noun = "branch" if value == 1 else "branches"
        return f"{value:.0f} {noun}." if language == "en" else f"{value:.0f} 条分支。"
    return f"{value:.1f} px." if language == "en" else f"{value:.1f} 像素。"


def description_of(told: Mapping[Asked, Value], language: Language) -> str:
    """Return several facts as prose; each can be read back as if it had been asked for."""
    parts = []
    for asked, value in told.items():
        words = answer_of(asked, value, language)
        if asked.kind is Kind.STENOSIS and value is True:
            words = _filled(DESCRIBED_STENOSIS[language], asked, language)
        parts.append(words)
    return (" " if language == "en" else "").join(parts)


def grounded_answer(phrases: list[str]) -> str:
    """Return an answer that names vessels, each with its `[SEG]`; English, since these names are the prompts."""
    return ", ".join(NAMED_ANSWER.format(phrase) for phrase in phrases) + "."


def names_of(segments: frozenset[str], language: Language) -> list[str]:
    """Return the names of segments in the order of their numbers."""
    return [name for number, name in NAMES[language].items() if number in segments]


DESCRIBED_STENOSIS: Final[dict[Language, str]] = {
    "en": "a stenosis of {threshold} % or more.",
    "zh": "狭窄 {threshold}% 以上。",
}


def corpus() -> Iterator[str]:
    """Yield every question and answer with every name, in both languages: what the small tokenizer is trained on."""
    for language in ASKED:
        templates = [words for of_kind in ASKED[language].values() for words in of_kind]
        templates += [words for pair in THINGS[language].values() for words in pair]
        for template in templates:
            names = NAMES[language].values() if "{segment}" in template else ("",)
            for name in names:
                sentence = template.format(segment=name, threshold="20")
                yield from (sentence, capitalised(sentence))
        requests = (*GROUNDED[language], *DESCRIBE[language])
        yield from (*requests, *map(capitalised, requests), *SIDES[language].values())
        yield from (DESCRIBED_STENOSIS[language].format(threshold="20"), COMMA[language].join(NAMES[language].values()))
    yield from (" branches.", " branch.", " px.", " 条分支。", " 像素。")


def _filled(template: str, asked: Asked, language: Language) -> str:
    return template.format(segment=NAMES[language].get(asked.segment, ""), threshold=f"{asked.threshold:g}")
