"""Which questions are asked about which frames, so that no answer can be guessed from the question alone.

For a question with a few possible answers the answer is drawn first, each as likely as the other, and then a frame that
has it. One that has only one answer in the whole data set is never asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from angiova.data.clips import sides_of
from angiova.data.prompts import Turn, as_typed
from angiova.data.questions.facts import Facts, described
from angiova.data.questions.kinds import BRANCH_PX, DESCRIBED, STENOSIS_PERCENT, Asked, Kind, Value
from angiova.data.questions.phrasing import (
    DESCRIBE,
    GROUNDED,
    Language,
    answer_of,
    description_of,
    grounded_answer,
    question_of,
)
from angiova.data.records import FrameRecord, TargetKind
from angiova.data.rle import BoolMask
from angiova.data.syntax import RIGHT_SEGMENTS, SEGMENT_NAMES
from angiova.morphology.anatomy import Side

THRESHOLDS: Final = {Kind.BRANCHES: (BRANCH_PX, 30.0, 40.0), Kind.STENOSIS: (STENOSIS_PERCENT,)}
Answer = bool | Side


class QuestionSettings(BaseModel):
    """Which questions are asked in training, beside those for masks.

    Attributes:
        share: share of the examples that ask a question to be answered in words; they cost no pass of the segmenter.
        kinds: only these are asked, as far as the labels tell them; empty: all, and descriptions. Few and closed ones
            first teach a model with a random vision tower to look.
        languages: languages asked in, drawn evenly.
        grounded: share of questions for segments that want their masks too.
        absent_from: which segments are asked for that are not there; see `ExampleSettings.absent_from`. `any` also says
            that all segments in view are labelled, so that they can be listed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(0.0, ge=0, lt=1)
    kinds: tuple[Kind, ...] = ()
    languages: tuple[Language, ...] = Field(("en", "zh"), min_length=1)
    grounded: float = Field(0.2, ge=0, le=1)
    absent_from: Literal["other_tree", "any"] = "other_tree"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A question that waits for a frame.

    Attributes:
        frames: those that it may be asked about.
        asked: what is asked; several things for a description.
        answer: what the answer is to be; None where any will do.
    """

    frames: Sequence[FrameRecord]
    asked: tuple[Asked, ...]
    answer: Value | None = None

    @property
    def is_description(self) -> bool:
        """Whether a description is asked for."""
        return len(self.asked) > 1


class QuestionBank:
    """The questions that a data set can answer.

    Args:
        records: its labelled frames.
        settings: which questions are asked.
    """

    def __init__(self, records: Sequence[FrameRecord], settings: QuestionSettings) -> None:
        self.settings = settings
        frames: dict[Asked, dict[Answer, list[FrameRecord]]] = defaultdict(lambda: defaultdict(list))
        for record in records:
            for asked, answer in _closed(record, settings):
                frames[asked][answer].append(record)
        self._closed = {asked: answers for asked, answers in frames.items() if len(answers) > 1}
        self._visible = [asked for asked in self._closed if asked.kind is Kind.VISIBLE]
        self._with_tree = [record for record in records if _has_tree(record)]
        self._with_segments = [record for record in self._with_tree if sides_of(record)]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is asked, by name; the empty word stands for descriptions."""
        closed = {asked.kind for asked in self._closed}
        is_complete = self.settings.absent_from == "any"
        open_kinds = {Kind.SEGMENTS} if is_complete and self._with_segments else set()
        open_kinds |= {Kind.BRANCHES, Kind.NARROWEST} if self._with_tree else set()
        wanted = set(self.settings.kinds or Kind)
        names = tuple(kind for kind in Kind if kind in wanted & (closed | open_kinds))
        return (*names, "") if self._with_segments and not self.settings.kinds else names

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw a question, then an answer where it has few; what is left to draw is a frame with that answer."""
        kind = str(rng.choice(self.kinds))
        if not kind:
            return Drawn(self._with_segments, tuple(plain(each) for each in DESCRIBED))
        if kind in (Kind.SEGMENTS, Kind.BRANCHES, Kind.NARROWEST):
            frames = self._with_segments if kind == Kind.SEGMENTS else self._with_tree
            threshold = float(rng.choice(THRESHOLDS.get(Kind(kind), (0.0,))))
            return Drawn(frames, (Asked(Kind(kind), threshold),))
        asked = self._draw_segment(rng) if kind == Kind.VISIBLE else plain(Kind(kind))
        answers = self._closed[asked]
        answer = list(answers)[rng.integers(len(answers))]
        return Drawn(answers[answer], (asked,), answer)

    def facts(self, record: FrameRecord, masks: Sequence[BoolMask]) -> Facts:
        """Return what the labels of a frame say, with its masks (H, W) as they are shown."""
        return Facts(record.targets, tuple(masks), complete=self.settings.absent_from == "any")

    def turn(self, drawn: Drawn, facts: Facts, rng: np.random.Generator) -> Turn | None:
        """Return the question and its answer in words; None where the frame, as shown, has not the answer wanted."""
        told = described(facts, drawn.asked)
        language: Language = self.settings.languages[rng.integers(len(self.settings.languages))]
        if drawn.is_description:
            words = as_typed(str(rng.choice(DESCRIBE[language])), rng)
            return Turn(words, description_of(told, language), ()) if len(told) > 1 else None
        [asked] = drawn.asked
        if asked not in told or (drawn.answer is not None and told[asked] != drawn.answer):
            return None
        if asked.kind is Kind.SEGMENTS and rng.random() < self.settings.grounded:
            return _grounded(facts, told[asked], as_typed(str(rng.choice(GROUNDED[language])), rng))
        return Turn(question_of(asked, language, rng), answer_of(asked, told[asked], language), ())

    def _draw_segment(self, rng: np.random.Generator) -> Asked:
        """Draw a segment, more often one with many frames for each answer."""
        fewest = np.array([min(map(len, self._closed[asked].values())) for asked in self._visible], dtype=float)
        return self._visible[rng.choice(len(self._visible), p=np.sqrt(fewest) / np.sqrt(fewest).sum())]


def _closed(record: FrameRecord, settings: QuestionSettings) -> list[tuple[Asked, Answer]]:
    """Return the questions with few answers that a frame's labels tell, with the answers."""
    found: list[tuple[Asked, Answer]] = []
    is_empty = {target.kind: target.mask.is_empty for target in record.targets}
    if TargetKind.CATHETER in is_empty:
        found.append((plain(Kind.CATHETER), not is_empty[TargetKind.CATHETER]))
    if TargetKind.VESSEL_TREE in is_empty:
        found.append((plain(Kind.CONTRAST), not is_empty[TargetKind.VESSEL_TREE]))
    if TargetKind.STENOSIS in is_empty and not is_empty.get(TargetKind.VESSEL_TREE, True):
        found.append((plain(Kind.STENOSIS), not is_empty[TargetKind.STENOSIS]))
    sides = sides_of(record)
    if len(sides) != 1:
        return found
    [is_right] = sides
    found.append((plain(Kind.TREE), Side.RIGHT if is_right else Side.LEFT))
    seen = {target.segment for target in record.targets if target.segment is not None}
    for number in SEGMENT_NAMES:
        is_elsewhere = (number in RIGHT_SEGMENTS) != is_right
        if number in seen or is_elsewhere or settings.absent_from == "any":
            found.append((Asked(Kind.VISIBLE, segment=number), number in seen))
    return found


def _grounded(facts: Facts, segments: Value, question: str) -> Turn:
    assert isinstance(segments, frozenset)
    targets = {target.segment: target for target in facts.targets if target.segment in segments}
    named = [targets[number] for number in SEGMENT_NAMES if number in targets]
    return Turn(question, grounded_answer([target.phrase for target in named]), tuple(named))


def plain(kind: Kind) -> Asked:
    """Return what a question of a kind asks where it says no more."""
    return Asked(kind, THRESHOLDS.get(kind, (0.0,))[0])


def _has_tree(record: FrameRecord) -> bool:
    return any(t.kind is TargetKind.VESSEL_TREE and not t.mask.is_empty for t in record.targets)
