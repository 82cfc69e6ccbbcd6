"""Masks of a run while it is still being recorded: frames in, masks out, one at a time and without looking ahead.

The first frames that show contrast become key frames: the language model is asked about them, and their masks are
remembered. All others are drawn from memory. Before the first key frame there is nothing to draw, and masks are empty.
A run that begins with contrast shows no rise of it: while there is no key frame the model is asked now and then whether
it sees an object, and a frame in which it does is a key frame.

What a frame takes is bounded: one pass of the encoders and the decoder, and for a key frame the language model's
answer about at most as many frames as there are key frames. What is kept is bounded too, however long the run becomes:
the key frames with their memory, and the memory of the last frames that SAM2 looks back to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

import numpy as np

from angiova.data.pixels import GreyImage
from angiova.errors import ConfigError
from angiova.inference.cine import Spoken, all_objects, ask, prepare
from angiova.inference.opacification import LEAST_RATIO, LEAST_RISE, vessel_level
from angiova.inference.predictor import BoolMasks, Logits, Predictor
from angiova.model.memory import MemoryBank, check_memory
from angiova.model.tracking import Follower, FrameMasks, TrackOrder

# One blurred frame is no contrast; the median of three is a frame late.
MEDIAN_FRAMES: Final = 3
# Frames from one key frame to the next: contrast has moved on by then.
KEY_FRAME_STEP: Final = 4
# When the model is asked first whether contrast was there from the start, and how many frames later again.
FIRST_LOOK: Final = 2
LOOK_STEP: Final = 15


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """What is said of a frame.

    Attributes:
        frame: index of the frame, from 0.
        masks_NHW: masks of the N objects at image resolution; empty where they are judged absent.
        presence_N: probability that each object is in the frame.
        is_key_frame: whether the language model was asked about it.
    """

    frame: int
    masks_NHW: BoolMasks
    presence_N: Logits
    is_key_frame: bool


class ContrastWatch:
    """Says of each frame whether contrast has come, from the frames before it alone.

    It has where the level, `angiova.inference.opacification.vessel_level`, has risen above the lowest one so far by as
    much as a run with contrast has to.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=MEDIAN_FRAMES)
        self._lowest = float("inf")

    @property
    def may_show_contrast(self) -> bool:
        """Whether the frames taken last look as much like vessel as the faintest run with contrast does."""
        return median(self._recent) >= LEAST_RISE

    def shows_contrast(self, level: float) -> bool:
        """Take the level of the next frame, and return whether it shows contrast."""
        self._recent.append(level)
        steady = median(self._recent)
        self._lowest = min(self._lowest, steady)
        return steady - self._lowest >= LEAST_RISE and steady >= LEAST_RATIO * self._lowest


class LiveTracker:
    """Follows objects through a run whose frames come one by one.

    Args:
        predictor: the model.
        prompts: what to ask for, one object each.
        key_frames: how many frames the language model is asked about, at most; default: as the model is configured.

    Raises:
        ConfigError: nothing is asked for, or about no frame.
        ModelError: the model cannot track.
    """

    def __init__(self, predictor: Predictor, prompts: Sequence[str], key_frames: int | None = None) -> None:
        self._predictor, self._prompts = predictor, tuple(prompts)
        self._wanted = predictor.model.config.num_key_frames if key_frames is None else key_frames
        if not self._prompts or self._wanted < 1:
            remedy = "give at least one of both"
            raise ConfigError(f"{len(self._prompts)} prompts, {self._wanted} key frames", remedy=remedy)
        sam = predictor.model.segmenter
        check_memory(sam)
        self._follower = Follower(predictor.model, sam, TrackOrder.PROMPTED)
        self._nothing = MemoryBank.empty(sam, sam.config.max_object_pointers_in_encoder)
        self._bank = self._nothing
        self._watch = ContrastWatch()
        self._key_images: dict[int, GreyImage] = {}
        self._spoken: Spoken | None = None
        self._next_frame, self._next_key_frame, self._is_started = 0, 0, False

    def start(self) -> None:
        """Make the next frame a key frame whatever it shows, e.g. of a run that begins with contrast.

        Where there are as many key frames as wanted, it takes the place of the oldest.
        """
        self._is_started = True

    def add(self, image_HW: GreyImage) -> LiveFrame:
        """Return the masks of the next frame.

        Args:
            image_HW: 8-bit grey, of the same size as the frames before it.
        """
        index = self._next_frame
        is_key_frame = self._is_key_frame(image_HW, index)
        self._next_frame += 1
        if is_key_frame:
            self._ask(image_HW, index)
        masks = self._draw(image_HW, index, is_key_frame)
        if masks is None and self._is_time_to_look(index):
            masks = self._look(image_HW, index)
            is_key_frame = masks is not None
        num_objects = len(self._prompts)
        if masks is None or self._spoken is None:
            empty_NHW = np.zeros((num_objects, *image_HW.shape), dtype=bool)
            return LiveFrame(index, empty_NHW, np.zeros(num_objects, dtype=np.float32), is_key_frame)
        drawn = all_objects(masks, num_objects, self._spoken.drawn)
        return LiveFrame(
            index, self._predictor.masks_of(drawn.logits_NHW, drawn.presence_N), drawn.presence_N, is_key_frame
        )

    def _is_key_frame(self, image_HW: GreyImage, index: int) -> bool:
        if len(self._key_images) == self._wanted:
            return self._is_started
        shows_contrast = self._watch.shows_contrast(vessel_level(image_HW))
        return self._is_started or (shows_contrast and index >= self._next_key_frame)

    def _ask(self, image_HW: GreyImage, index: int) -> None:
        """Ask about the key frames so far; what other objects were remembered by is worth nothing for these."""
        self._is_started, self._next_key_frame = False, index + KEY_FRAME_STEP
        self._key_images[index] = image_HW
        if len(self._key_images) > self._wanted:
            oldest = min(self._key_images)
            del self._key_images[oldest]
            kept = {frame: memory for frame, memory in self._bank.conditioning.items() if frame != oldest}
            self._bank = replace(self._bank, conditioning=kept)
        before = self._spoken
        self._spoken = ask(self._predictor, list(self._key_images.values()), self._prompts)
        if before is not None and before.drawn != self._spoken.drawn:
            self._bank = self._nothing
            for earlier, earlier_HW in self._key_images.items():
                if earlier != index:
                    self._draw(earlier_HW, earlier, is_key_frame=True)

    def _is_time_to_look(self, index: int) -> bool:
        is_due = index >= FIRST_LOOK and (index - FIRST_LOOK) % LOOK_STEP == 0
        return is_due and not self._key_images and self._watch.may_show_contrast

    def _look(self, image_HW: GreyImage, index: int) -> FrameMasks | None:
        """Return the masks of a frame that the model sees an object in, a key frame then; None where it sees none."""
        self._ask(image_HW, index)
        masks = self._draw(image_HW, index, is_key_frame=True)
        if masks is not None and bool((masks.decoded.presence_N > 0).any()):
            return masks
        self._key_images, self._bank, self._spoken, self._next_key_frame = {}, self._nothing, None, 0
        return None

    def _draw(self, image_HW: GreyImage, index: int, is_key_frame: bool) -> FrameMasks | None:
        """Return the masks of the objects that the model draws, and remember them; None where there are none."""
        if self._spoken is None or not self._spoken.drawn:
            return None
        frame = prepare(self._predictor, image_HW)
        with self._predictor.computing():
            if is_key_frame:
                masks, memory = self._follower.decode_key_frame(frame, index, self._spoken.prompts_NP)
                self._bank = self._bank.with_conditioning(index, memory)
            else:
                masks, memory = self._follower.track_frame(frame, index, self._bank, self._spoken.prompts_NP)
                self._bank = self._bank.with_tracked(index, memory)
        return masks
