"""Training examples: a frame or a clip of a run, varied, with the questions asked about it.

Example `i` depends on the seed and on `i` alone, never on a worker, a rank or what was drawn before; so a run that
was stopped sees the same examples when it goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from angiova.data import rle
from angiova.data.augment import AugmentSettings, augment, augment_clip
from angiova.data.clips import Clip, ClipSettings, draw_key_frames, draw_window, label_of, sides_of
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage
from angiova.data.prompts import Turn, make_turn
from angiova.data.questions.drawing import QuestionBank, QuestionSettings
from angiova.data.records import FrameRecord, Split, Target, TargetKind
from angiova.data.rle import BoolMask
from angiova.data.syntax import RIGHT_SEGMENTS, SEGMENT_NAMES, segment_phrase
from angiova.errors import DataError

# Streams of random numbers that must not depend on each other.
FRAME_STREAM: Final = 1_000_003
CLIP_STREAM: Final = 1_000_033
VIEW_STREAM: Final = 1_000_037
QUESTION_STREAM: Final = 1_000_039
# Frames drawn for a question until one, as it is shown, has the answer wanted.
MOST_DRAWN: Final = 8
# Letters of a question and its answer beside the phrase itself, and as many as a key frame's tokens are worth.
LETTERS_AROUND: Final = 60
LETTERS_A_FRAME: Final = 1024


class ExampleSettings(BaseModel):
    """What is asked about a training frame.

    Attributes:
        targets_per_frame: most targets asked about in one example.
        whole_only: share of examples that ask for the whole tree alone (these may be flipped).
        absent_segments: number of segments asked about in an example with named segments that are not in the frame;
            the right answer is an empty mask.
        absent_from: where they come from: segments of the *other* coronary tree cannot be in the frame; those of the
            same tree that are not labelled are absent only where every segment in view is labelled, as in ARCADE and
            simulated frames (`any`).
        joined: share of examples in which two targets are asked for in one question.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets_per_frame: int = Field(4, ge=1)
    whole_only: float = Field(0.3, ge=0, le=1)
    absent_segments: int = Field(1, ge=0)
    absent_from: Literal["other_tree", "any"] = "other_tree"
    joined: float = Field(0.15, ge=0, le=1)


@dataclass(frozen=True, slots=True)
class Example:
    """One training example.

    Attributes:
        frame_id: the frame it was made from.
        image_HW: varied 8-bit grey image.
        turns: questions and answers.
        masks: the mask of each `[SEG]`, in the order of the turns.
    """

    frame_id: str
    image_HW: GreyImage
    turns: tuple[Turn, ...]
    masks: tuple[BoolMask, ...]


class ExampleDataset:
    """All examples of a run, in training order: `repeats` shuffled passes over the frames of a split.

    Args:
        manifest: the data set.
        split: the part to draw from.
        repeats: number of passes.
        seed: source of the order and of every variation.
        examples: what is asked.
        augmentation: how frames are varied.
        phrases: only these are asked about; None: whatever is labelled.
        clips: how many examples are clips, and how they are drawn; None: all examples are single frames.
        views: variations of a frame, taken in turn; None: a new one each time.
        questions: how many examples ask questions to be answered in words, and which; None: none.

    Raises:
        DataError: the split has no frame on which something to ask about is labelled.
    """

    def __init__(
        self,
        manifest: Manifest,
        split: Split,
        repeats: int,
        seed: int,
        examples: ExampleSettings,
        augmentation: AugmentSettings,
        phrases: tuple[str, ...] | None = None,
        clips: ClipSettings | None = None,
        views: int | None = None,
        questions: QuestionSettings | None = None,
    ) -> None:
        self.manifest, self.seed, self.views = manifest, seed, views
        self.examples, self.augmentation = examples, augmentation
        self.clips = ClipSettings() if clips is None else clips
        every = [record.only(phrases) for record in manifest.records(split)]
        self.records = [record for record in every if record.targets]
        self._runs = _runs_of(every) if self.clips.share > 0 else {}
        if not self.records:
            what = "" if phrases is None else f" with {' or '.join(phrases)}"
            problem = f"no labelled frame{what} in split '{split}'"
            raise DataError(problem, where=manifest.folder, remedy="run `angiova split` first")
        self._questions = QuestionBank(self.records, questions) if questions is not None and questions.share else None
        if self._questions is not None and not self._questions.kinds:
            raise DataError(
                "no question can be asked", where=manifest.folder, remedy="see data.questions in the recipe"
            )
        self._order = np.concatenate(
            [np.random.default_rng([seed, turn]).permutation(len(self.records)) for turn in range(repeats)]
        )

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Example | Clip:
        if not 0 <= index < len(self._order):
            raise IndexError(index)
        record = self.records[self._order[index]]
        clip_rng = self._clip_rng(index)
        if clip_rng is not None:
            return self._clip(record, clip_rng)
        example = self._question(index)
        if example is not None:
            return example
        rng = np.random.default_rng([self.seed, FRAME_STREAM, index])
        return self._frame(record, rng, self._view_rng(index) or rng)

    def _frame(self, record: FrameRecord, rng: np.random.Generator, view_rng: np.random.Generator) -> Example:
        targets = choose_targets(record, self.examples, rng)
        may_flip = all(target.kind is not TargetKind.SEGMENT for target in targets)
        image_HW, masks = augment(
            self.manifest.read_image(record),
            [rle.decode(target.mask) for target in targets],
            self.augmentation,
            view_rng,
            may_flip,
        )
        return Example(record.frame_id, image_HW, _make_turns(targets, self.examples.joined, rng), tuple(masks))

    def _question(self, index: int) -> Example | None:
        """Return an example that asks a question to be answered in words; None where its turn is one for masks.

        Its frame is drawn by the answer, not taken in order, and again where cropping made another answer of it.
        Flipping would swap left and right.
        """
        rng = self._question_rng(index)
        if rng is None or self._questions is None:
            return None
        drawn = self._questions.draw(rng)
        for _ in range(MOST_DRAWN):
            record = drawn.frames[int(rng.integers(len(drawn.frames)))]
            image_HW, masks = augment(
                self.manifest.read_image(record),
                [rle.decode(target.mask) for target in record.targets],
                self.augmentation,
                rng,
                may_flip=False,
            )
            facts = self._questions.facts(record, masks)
            turn = self._questions.turn(drawn, facts, rng)
            if turn is not None:
                shown = dict(zip(map(id, facts.targets), facts.masks, strict=True))
                return Example(record.frame_id, image_HW, (turn,), tuple(shown[id(t)] for t in turn.targets))
        return None

    def _clip(self, record: FrameRecord, rng: np.random.Generator) -> Clip:
        """Draw a clip that holds a labelled frame, and ask about what is labelled there."""
        size = (record.height, record.width)
        run = [other for other in self._runs[record.run] if (other.height, other.width) == size]
        window = draw_window(len(run), run.index(record), self.clips, rng)
        frames = [run[position] for position in window]
        asked = self.examples.model_copy(update={"targets_per_frame": self.clips.targets})
        targets = choose_targets(record, asked, rng)
        labels = [[label_of(frame, target) for target in targets] for frame in frames]
        images, masks = augment_clip(
            [self.manifest.read_image(frame) for frame in frames],
            [[None if label is None else rle.decode(label) for label in of_frame] for of_frame in labels],
            self.augmentation,
            rng,
            may_flip=all(target.kind is not TargetKind.SEGMENT for target in targets),
        )
        return Clip(
            frame_ids=tuple(frame.frame_id for frame in frames),
            images=tuple(images),
            turns=_make_turns(targets, self.examples.joined, rng),
            masks=tuple(map(tuple, masks)),
            key_frames=draw_key_frames(labels, self.clips, rng),
        )

    def size_of(self, index: int) -> tuple[int, int]:
        """Return the number of masks and of letters that an example asks about, without reading its image.

        Its length in tokens follows from the letters, up to the wording of the questions.
        """
        record = self.records[self._order[index]]
        if self._clip_rng(index) is not None:
            letters = self.clips.key_frames * LETTERS_A_FRAME + self.clips.targets * LETTERS_AROUND
            return self.clips.frames * self.clips.targets, letters
        if self._question_rng(index) is not None:
            return 0, LETTERS_AROUND
        targets = choose_targets(record, self.examples, np.random.default_rng([self.seed, FRAME_STREAM, index]))
        return len(targets), sum(len(target.phrase) + LETTERS_AROUND for target in targets)

    def _clip_rng(self, index: int) -> np.random.Generator | None:
        """Return what draws the clip of an example; None where it is a frame.

        Clips have a stream of their own, so that frames are drawn as they are without clips.
        """
        rng = np.random.default_rng([self.seed, CLIP_STREAM, index])
        return rng if rng.random() < self.clips.share else None

    def _question_rng(self, index: int) -> np.random.Generator | None:
        """Return what draws the question of an example; None where it asks for masks."""
        if self._questions is None:
            return None
        rng = np.random.default_rng([self.seed, QUESTION_STREAM, index])
        return rng if rng.random() < self._questions.settings.share else None

    def _view_rng(self, index: int) -> np.random.Generator | None:
        """Return what varies the frame of an example, the same each time its turn comes again; None: nothing of it."""
        if self.views is None:
            return None
        turn, record = index // len(self.records), int(self._order[index])
        return np.random.default_rng([self.seed, VIEW_STREAM, record, turn % self.views])


def choose_targets(record: FrameRecord, settings: ExampleSettings, rng: np.random.Generator) -> list[Target]:
    """Draw the targets that an example asks about, in random order; one observer is drawn for each phrase."""
    by_phrase: dict[str, list[Target]] = {}
    for target in record.targets:
        by_phrase.setdefault(target.phrase, []).append(target)
    drawn = [candidates[rng.integers(len(candidates))] for candidates in by_phrase.values()]
    whole = [target for target in drawn if target.kind is TargetKind.VESSEL_TREE]
    others = [target for target in drawn if target.kind is not TargetKind.VESSEL_TREE]
    if whole and (not others or rng.random() < settings.whole_only):
        return whole
    others += _absent_segments(record, settings, rng)
    room = max(settings.targets_per_frame - len(whole), 1)
    chosen = whole + [others[i] for i in rng.permutation(len(others))[:room]]
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _absent_segments(record: FrameRecord, settings: ExampleSettings, rng: np.random.Generator) -> list[Target]:
    """Return empty targets for segments that are not in the frame; none unless the view shows one tree."""
    named = [target for target in record.targets if target.segment is not None]
    sides, count = sides_of(record), settings.absent_segments
    if count == 0 or len(sides) != 1:
        return []
    seen = {target.segment for target in named}
    is_any = settings.absent_from == "any"
    elsewhere = [n for n in SEGMENT_NAMES if (n not in seen if is_any else (n in RIGHT_SEGMENTS) not in sides)]
    nothing = rle.empty(record.height, record.width)
    return [
        Target(segment_phrase(elsewhere[i]), TargetKind.SEGMENT, nothing, named[0].origin, segment=elsewhere[i])
        for i in rng.permutation(len(elsewhere))[:count]
    ]


def _make_turns(targets: Sequence[Target], joined: float, rng: np.random.Generator) -> tuple[Turn, ...]:
    """Ask about each target in its own turn, or about the first two at once."""
    join = len(targets) >= 2 and rng.random() < joined
    groups = [targets[:2], *([t] for t in targets[2:])] if join else [[t] for t in targets]
    return tuple(make_turn(group, rng) for group in groups)


def _runs_of(records: Sequence[FrameRecord]) -> dict[str, list[FrameRecord]]:
    """Return the frames of each run in the order of time, unlabelled ones too."""
    runs: dict[str, list[FrameRecord]] = {}
    for record in sorted(records, key=lambda record: record.frame):
        runs.setdefault(record.run, []).append(record)
    return runs
