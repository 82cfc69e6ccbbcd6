"""Training examples: a frame, varied, with the questions asked about it.

Example `i` depends on the seed and on `i` alone, never on a worker, a rank or what was drawn before; so a run that
was stopped sees the same examples when it goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from angiova.data import rle
from angiova.data.augment import AugmentSettings, augment
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage
from angiova.data.prompts import Turn, make_turn
from angiova.data.records import FrameRecord, Split, Target, TargetKind
from angiova.data.rle import BoolMask
from angiova.data.syntax import RIGHT_SEGMENTS, SEGMENT_NAMES, segment_phrase
from angiova.errors import DataError

VIEW_STREAM = 1_000_033
# Of a question and its answer, beside the phrase itself.
LETTERS_AROUND = 60


class ExampleSettings(BaseModel):
    """What is asked about a training frame.

    Attributes:
        targets_per_frame: most targets asked about in one example.
        whole_only: share of examples that ask for the whole tree alone (these may be flipped).
        absent_segments: number of segments of the *other* coronary tree asked about in an example with named
            segments; they cannot be in the frame, so the right answer is an empty mask.
        joined: share of examples in which two targets are asked for in one question.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets_per_frame: int = Field(4, ge=1)
    whole_only: float = Field(0.3, ge=0, le=1)
    absent_segments: int = Field(1, ge=0)
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
        views: variations of a frame, taken in turn; None: a new one each time.

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
        views: int | None = None,
    ) -> None:
        self.manifest, self.seed, self.views = manifest, seed, views
        self.examples, self.augmentation = examples, augmentation
        self.records = [r for r in (record.only(phrases) for record in manifest.records(split)) if r.targets]
        if not self.records:
            what = "" if phrases is None else f" with {' or '.join(phrases)}"
            problem = f"no labelled frame{what} in split '{split}'"
            raise DataError(problem, where=manifest.folder, remedy="run `angiova split` first")
        self._order = np.concatenate(
            [np.random.default_rng([seed, turn]).permutation(len(self.records)) for turn in range(repeats)]
        )

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < len(self._order):
            raise IndexError(index)
        record = self.records[self._order[index]]
        rng = np.random.default_rng([self.seed, 1_000_003, index])
        targets = choose_targets(record, self.examples, rng)
        may_flip = all(target.kind is not TargetKind.SEGMENT for target in targets)
        image_HW, masks = augment(
            self.manifest.read_image(record),
            [rle.decode(target.mask) for target in targets],
            self.augmentation,
            self._view_rng(index) or rng,
            may_flip,
        )
        return Example(record.frame_id, image_HW, _make_turns(targets, self.examples.joined, rng), tuple(masks))

    def size_of(self, index: int) -> tuple[int, int]:
        """Return the number of masks and of letters that an example asks about, without reading its image.

        Its length in tokens follows from the letters, up to the wording of the questions.
        """
        record = self.records[self._order[index]]
        targets = choose_targets(record, self.examples, np.random.default_rng([self.seed, 1_000_003, index]))
        return len(targets), sum(len(target.phrase) + LETTERS_AROUND for target in targets)

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
    others += _absent_segments(record, settings.absent_segments, rng)
    room = max(settings.targets_per_frame - len(whole), 1)
    chosen = whole + [others[i] for i in rng.permutation(len(others))[:room]]
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _absent_segments(record: FrameRecord, count: int, rng: np.random.Generator) -> list[Target]:
    """Return empty targets for segments of the tree that is not injected; none unless the view shows one tree."""
    named = [target for target in record.targets if target.segment is not None]
    sides = {target.segment in RIGHT_SEGMENTS for target in named}
    if count == 0 or len(sides) != 1:
        return []
    elsewhere = [number for number in SEGMENT_NAMES if (number in RIGHT_SEGMENTS) not in sides]
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
