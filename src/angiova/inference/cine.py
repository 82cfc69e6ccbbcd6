"""The masks of several objects through a run, in one of the modes that `angiova track` offers.

    track      the language model sees key frames that show contrast; their masks are remembered, and every other frame
               is drawn from memory and the same prompt, those before the first key frame too; whether an object is
               there is judged from each frame on its own
    frame      each frame is asked about on its own, as `angiova predict` does
    smooth     the same, then probabilities are smoothed over time along the motion (`angiova.inference.motion`)
    reference  as Sa2VA does: the first frames are shown to the language model and remembered as they were drawn
    sa2va-i    as Sa2VA-i does (arXiv 2509.19082): frames spread over the whole run are shown, and their masks given to
               the memory as a person's would be

Frames are asked for one at a time and answers given one at a time, so a run of any length needs the same memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from angiova.data.pixels import GreyImage
from angiova.errors import ConfigError
from angiova.inference.motion import smooth
from angiova.inference.opacification import Opacification, choose_opacified
from angiova.inference.predictor import MAX_NEW_TOKENS, Predictor
from angiova.model.processing import standardise
from angiova.model.tracking import FrameMasks, RunFrame, TrackOrder, choose_key_frames, track

Floats = npt.NDArray[np.float32]
Item = TypeVar("Item")

# What a frame gets for an object that the model was asked about and did not draw: sigmoid of it is 0 in float32.
NOTHING: Final = -1e3


class Mode(StrEnum):
    """How the masks of a run are made; see the module's docstring."""

    TRACK = "track"
    FRAME = "frame"
    SMOOTH = "smooth"
    REFERENCE = "reference"
    SA2VA_I = "sa2va-i"

    @property
    def order(self) -> TrackOrder | None:
        """The order of tracking; None where each frame is asked about on its own."""
        return _ORDERS.get(self)


_ORDERS: Final = {
    Mode.TRACK: TrackOrder.PROMPTED,
    Mode.REFERENCE: TrackOrder.REFERENCE,
    Mode.SA2VA_I: TrackOrder.KEY_FRAMES,
}


@dataclass(frozen=True, slots=True)
class KeyFrameChoice:
    """Which frames the language model sees, and why.

    Attributes:
        frames: indices in the order of time; empty where each frame is asked about on its own.
        why: one sentence.
    """

    frames: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the model says about a run.

    Attributes:
        answers: its words, one answer a question.
        num_masks: how many masks each answer has; the first is the object's.
        prompts_NP: the language prompt of each object that it draws.
        drawn: which questions these belong to.
    """

    answers: tuple[str, ...]
    num_masks: tuple[int, ...]
    prompts_NP: Tensor
    drawn: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FrameLogits:
    """What the model draws of N objects in one frame, before a threshold makes masks of it.

    Attributes:
        frame: index of the frame in its run.
        logits_NHW: mask logits at image resolution.
        presence_N: probability that each object is in the frame.
    """

    frame: int
    logits_NHW: Floats
    presence_N: Floats


def choose_frames(mode: Mode, run: Opacification, wanted: int) -> KeyFrameChoice:
    """Return the key frames of a run in a mode, at most `wanted`."""
    num_frames = len(run.phases)
    if mode.order is None:
        return KeyFrameChoice((), "each frame is asked about on its own")
    if mode is Mode.REFERENCE:
        return KeyFrameChoice(tuple(choose_key_frames(num_frames, "first", wanted)), "the first frames of the run")
    if mode is Mode.SA2VA_I:
        return KeyFrameChoice(tuple(choose_key_frames(num_frames, "spread", wanted)), "spread over the whole run")
    why = "spread over the frames with contrast" if run.is_clear else "no clear contrast: spread over the whole run"
    return KeyFrameChoice(tuple(choose_opacified(run, wanted)), why)


def ask(predictor: Predictor, key_images: Sequence[GreyImage], questions: Sequence[str]) -> Spoken:
    """Ask all questions about a run at once; its key frames are encoded once for all of them."""
    batch = predictor.to_device(predictor.processor.run_prompts(key_images, questions))
    with predictor.computing():
        spoken = predictor.model.speak(**batch, **predictor.words_end, max_new_tokens=MAX_NEW_TOKENS)
        firsts = _firsts(spoken.num_masks_B)
        prompts_NP = predictor.model.bridge(spoken.states_NH[list(firsts.values())])
    words = tuple(predictor.processor.words(ids) for ids in spoken.answer_ids)
    return Spoken(words, tuple(spoken.num_masks_B), prompts_NP, tuple(firsts))


def follow(
    predictor: Predictor, frames: Sequence[GreyImage], spoken: Spoken, order: TrackOrder, key_frames: Sequence[int]
) -> Iterator[FrameLogits]:
    """Yield what is drawn of the objects asked for in every frame, in the order of time.

    Args:
        predictor: the model.
        frames: the run; each frame is read once, key frames first.
        spoken: what the model said about the key frames.
        order: order of tracking.
        key_frames: their indices.
    """
    num_objects = len(spoken.answers)
    if not spoken.drawn:
        for index, image_HW in enumerate(frames):
            yield _nothing(index, num_objects, image_HW.shape)
        return
    masks = track(predictor.model, _Prepared(predictor, frames), spoken.prompts_NP, order, key_frames)
    fetched_ones = map(_Fetched, _computed(predictor, masks))
    for fetched in _one_behind(fetched_ones) if predictor.device.type == "cuda" else fetched_ones:
        yield fetched.all_objects(num_objects, spoken.drawn)


def ask_each(predictor: Predictor, frames: Sequence[GreyImage], questions: Sequence[str]) -> Iterator[FrameLogits]:
    """Yield what is drawn of the objects asked for in every frame, each frame asked about on its own."""
    for index, image_HW in enumerate(frames):
        generation = predictor.generate([image_HW], questions, [0] * len(questions))
        result = _nothing(index, len(questions), image_HW.shape)
        if generation.masks is not None:
            logits, presence_M = generation.masks.logits_of(), _numpy(generation.masks.presence_N.float().sigmoid())
            for question, place in _firsts(generation.num_masks_B).items():
                result.logits_NHW[question] = _numpy(logits[place])
                result.presence_N[question] = presence_M[place]
        yield result


def draw(
    predictor: Predictor,
    frames: Sequence[GreyImage],
    questions: Sequence[str],
    mode: Mode,
    key_frames: Sequence[int],
    spoken: Spoken | None,
) -> Iterator[FrameLogits]:
    """Yield what is drawn in every frame of a run in a mode; `spoken` is what `ask` gave where the mode tracks."""
    if mode.order is not None:
        assert spoken is not None
        return follow(predictor, frames, spoken, mode.order, key_frames)
    alone = ask_each(predictor, frames, questions)
    return alone if mode is Mode.FRAME else _smoothed(alone, frames)


def parse_mode(name: str) -> Mode:
    """Return the mode of a name.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        return Mode(name)
    except ValueError:
        raise ConfigError(f"no mode {name!r}", where="--mode", remedy=f"one of: {', '.join(Mode)}") from None


def all_objects(frame: FrameMasks, num_objects: int, drawn: Sequence[int]) -> FrameLogits:
    """Return a frame's objects with those in between that are not drawn at all."""
    return _Fetched(frame).all_objects(num_objects, drawn)


def prepare(predictor: Predictor, image_HW: GreyImage) -> RunFrame:
    """Return a frame as the tracker takes it."""
    pixels_3SS = predictor.processor.segmenter_pixels(image_HW, predictor.device)
    return RunFrame(pixels_3SS, standardise(image_HW).to(predictor.device))


class _Fetched:
    """A frame's masks on their way from the device, which goes on computing meanwhile."""

    def __init__(self, frame: FrameMasks) -> None:
        self._frame = frame.frame
        self._logits_NHW = frame.logits_NHW.float().to("cpu", non_blocking=True)
        self._presence_N = frame.decoded.presence_N.float().sigmoid().to("cpu", non_blocking=True)
        self._is_here = torch.Event("cuda") if frame.logits_NHW.is_cuda else None
        if self._is_here is not None:
            self._is_here.record()

    def all_objects(self, num_objects: int, drawn: Sequence[int]) -> FrameLogits:
        """Wait for the masks; see `all_objects` of the module."""
        if self._is_here is not None:
            self._is_here.synchronize()
        result = _nothing(self._frame, num_objects, self._logits_NHW.shape[1:])
        result.logits_NHW[list(drawn)] = self._logits_NHW.numpy()
        result.presence_N[list(drawn)] = self._presence_N.numpy()
        return result


class _Prepared(Sequence[RunFrame]):
    """Frames made ready for the model when they are asked for."""

    def __init__(self, predictor: Predictor, frames: Sequence[GreyImage]) -> None:
        self._predictor, self._frames = predictor, frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> RunFrame:  # type: ignore[override]  # a slice would hold many frames
        return prepare(self._predictor, self._frames[index])


def _smoothed(drawn: Iterator[FrameLogits], frames: Sequence[GreyImage]) -> Iterator[FrameLogits]:
    """Yield frames with presence and pixels smoothed over time."""
    together = ((image_HW, frame.logits_NHW, frame.presence_N) for image_HW, frame in zip(frames, drawn, strict=True))
    for index, (logits_NHW, presence_N) in enumerate(smooth(together)):
        yield FrameLogits(index, logits_NHW, presence_N)


def _computed(predictor: Predictor, items: Iterator[Item]) -> Iterator[Item]:
    """Yield items that are each computed under `Predictor.computing`, which the caller's code is kept out of."""
    while True:
        with predictor.computing():
            item = next(items, None)
        if item is None:
            return
        yield item


def _one_behind(items: Iterator[Item]) -> Iterator[Item]:
    """Yield items, each after the next one was begun."""
    before = next(items, None)
    while before is not None:
        after = next(items, None)
        yield before
        before = after


def _firsts(num_masks: Sequence[int]) -> dict[int, int]:
    """Return for each question with a mask the place of its first one among the masks of all."""
    starts = np.cumsum([0, *num_masks]).tolist()
    return {question: starts[question] for question, count in enumerate(num_masks) if count}


def _nothing(index: int, num_objects: int, shape_px: tuple[int, ...]) -> FrameLogits:
    logits_NHW = np.full((num_objects, *shape_px), NOTHING, dtype=np.float32)
    return FrameLogits(index, logits_NHW, np.zeros(num_objects, dtype=np.float32))


def _numpy(values: Tensor) -> Floats:
    return values.to(torch.float32).cpu().numpy()
