"""Clips: some frames of one run as one training example, with the labels that there are.

"Labelled and empty" is an answer to learn; "not labelled" is none: such a frame is tracked through and never scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from angiova.data import rle
from angiova.data.pixels import GreyImage
from angiova.data.prompts import Turn
from angiova.data.records import FrameRecord, Target, TargetKind
from angiova.data.rle import BoolMask, Rle
from angiova.data.syntax import RIGHT_SEGMENTS

# A frame counts as opacified when what is asked for covers at least this share of its largest area in the clip.
OPACIFIED_SHARE: Final = 0.5
PARTS_OF_THE_TREE: Final = (TargetKind.SEGMENT, TargetKind.STENOSIS)


class ClipSettings(BaseModel):
    """How frames of one run become one example. Each clip holds the labelled frame that it was drawn for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(0.0, ge=0, le=1, description="Share of examples that are clips; the others are single frames.")
    frames: int = Field(6, ge=1, description="Frames of a clip, fewer where the run is shorter.")
    stride: int = Field(2, ge=1, description="Largest distance of its frames in the run; 1: consecutive frames.")
    start: Literal["random", "first"] = Field(
        "random", description="Where a clip starts: anywhere around its frame, or as early as reaches it."
    )
    reverse: float = Field(0.3, ge=0, le=1, description="Share of clips shown backwards.")
    drop: float = Field(0.1, ge=0, lt=1, description="Probability of each frame but one to be missing from its clip.")
    targets: int = Field(2, ge=1, description="Most targets asked about; each is tracked through the clip.")
    key_frames: int = Field(
        3, ge=1, description="Most frames that the language model sees; each clip draws its own number."
    )
    key_choice: Literal["opacified", "any"] = Field(
        "opacified", description="Which frames those are: of frames labelled with contrast where there are any, or any."
    )
    recompute: bool = Field(
        False, description="Keep one frame's activations at a time and compute them again going backward: slower, less."
    )


@dataclass(frozen=True, slots=True)
class Clip:
    """One training example of T frames about N objects.

    Attributes:
        frame_ids: the frames it was made from, in the order shown.
        images: T varied 8-bit grey images of one size, (H, W) each.
        turns: questions and answers; one `[SEG]` an object stands for all frames.
        masks: for each frame the mask of each `[SEG]` in the order of the turns; None where nobody labelled it.
        key_frames: which of the T frames the language model sees, in the order of time.
    """

    frame_ids: tuple[str, ...]
    images: tuple[GreyImage, ...]
    turns: tuple[Turn, ...]
    masks: tuple[tuple[BoolMask | None, ...], ...]
    key_frames: tuple[int, ...]


def draw_window(num_frames: int, anchor: int, settings: ClipSettings, rng: np.random.Generator) -> list[int]:
    """Return which frames of a run of `num_frames` make a clip, in the order shown; `anchor` is one of them."""
    length = min(settings.frames, num_frames)
    behind, ahead = anchor, num_frames - 1 - anchor
    fitting = [s for s in range(1, settings.stride + 1) if behind // s + 1 + ahead // s >= length]
    stride = fitting[rng.integers(len(fitting))]
    fewest, most = max(0, length - 1 - ahead // stride), min(length - 1, behind // stride)
    before = most if settings.start == "first" else int(rng.integers(fewest, most + 1))
    window = [anchor + (i - before) * stride for i in range(length)]
    kept = [frame for frame in window if frame == anchor or rng.random() >= settings.drop]
    return kept[::-1] if rng.random() < settings.reverse else kept


def label_of(record: FrameRecord, target: Target) -> Rle | None:
    """Return the mask that a frame has for a target of another frame of its run; None where it is not labelled.

    The drawing of the same observer is preferred. Parts of the coronary tree are known to be absent where the tree is
    labelled and empty, and segments where segments of the other coronary tree are labelled.
    """
    same = [other for other in record.targets if other.phrase == target.phrase]
    if same:
        return next((other for other in same if other.observer == target.observer), same[0]).mask
    trees = [other for other in record.targets if other.kind is TargetKind.VESSEL_TREE]
    no_tree = bool(trees) and all(tree.mask.is_empty for tree in trees)
    is_elsewhere = target.segment is not None and (target.segment in RIGHT_SEGMENTS) not in sides_of(record)
    if (target.kind in PARTS_OF_THE_TREE and no_tree) or (is_elsewhere and len(sides_of(record)) == 1):
        return rle.empty(record.height, record.width)
    return None


def sides_of(record: FrameRecord) -> set[bool]:
    """Return of which coronary trees segments are labelled: True stands for the right one."""
    return {target.segment in RIGHT_SEGMENTS for target in record.targets if target.segment is not None}


def draw_key_frames(
    labels: Sequence[Sequence[Rle | None]], settings: ClipSettings, rng: np.random.Generator
) -> tuple[int, ...]:
    """Return which frames the language model sees, in the order of time.

    Args:
        labels: the labels of each frame's objects, None where there is none.
        settings: how many, and of which frames.
        rng: source of all randomness.
    """
    areas_px = np.array([sum(0 if label is None else label.area_px for label in frame) for frame in labels])
    shown = np.flatnonzero((areas_px >= OPACIFIED_SHARE * areas_px.max()) & (areas_px > 0))
    candidates = shown if settings.key_choice == "opacified" and len(shown) else np.arange(len(labels))
    count = int(rng.integers(1, min(settings.key_frames, len(candidates)) + 1))
    return tuple(sorted(int(frame) for frame in rng.choice(candidates, count, replace=False)))
