"""Masks through a run: each frame on its own, the reference's order, or from key frames through SAM2's memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoModel

from angiova.errors import ModelError
from angiova.model.configuration import KeyFrames
from angiova.model.memory import Memory, MemoryBank, check_memory, recall, remember, remember_mask
from angiova.model.outputs import EncodedFrames
from angiova.model.segmenter import (
    DecodedMasks,
    FrameFeatures,
    decode_candidates,
    decode_objects,
    encode_frames,
    without_memory,
)

if TYPE_CHECKING:
    from angiova.model.modeling import Sa2VAModel


Result = TypeVar("Result")


class TrackOrder(StrEnum):
    """How masks are carried through a run.

    Attributes:
        INDEPENDENT: every frame is decoded with the language prompt, as in training; no memory.
        REFERENCE: key frames are decoded so and remembered as decoded; the others are tracked without the prompt.
        KEY_FRAMES: key frames are decoded so, and their masks are given to the tracker as a person's would be
            (Sa2VA-i, arXiv 2509.19082), so that the memory sees what SAM2 trained it for.
        PROMPTED: as `KEY_FRAMES`, and the other frames are decoded with the language prompt too, on top of what they
            recall: the words keep saying what to draw, the memory says how it looked around this moment. Whether an
            object is there is judged from the frame on its own.
    """

    INDEPENDENT = "independent"
    REFERENCE = "reference"
    KEY_FRAMES = "key_frames"
    PROMPTED = "prompted"


@dataclass(frozen=True, slots=True)
class RunFrame:
    """One frame of a run, ready for the model.

    Attributes:
        pixels_3SS: the frame for SAM2.
        image_1HW: the frame at its own resolution, standardised grey.
    """

    pixels_3SS: Tensor
    image_1HW: Tensor


# Frames that a GPU encodes at once; their features wait for their turn. 16 give a third more frames a second than 8,
# for 3 GiB with SAM2-L (benchmarks/track.md).
FRAMES_TOGETHER: Final = 16

# A frame of a run, or what the model's own encoders already said of it.
OneFrame = RunFrame | EncodedFrames


@dataclass(frozen=True, slots=True)
class FrameMasks:
    """The masks of N objects in one frame.

    Attributes:
        frame: index of the frame in its run.
        logits_NHW: final logits at image resolution.
        decoded: SAM2's low-resolution masks with their scores; the presence is the final one, the refiner's part in it.
        memory: what the run remembers of the frame; None without memory.
    """

    frame: int
    logits_NHW: Tensor
    decoded: DecodedMasks
    memory: Memory | None


def choose_key_frames(num_frames: int, how: KeyFrames, wanted: int) -> list[int]:
    """Return at most `wanted` frame indices: the first ones, or the middles of equal parts of the run."""
    count = min(wanted, num_frames)
    if how == "first":
        return list(range(count))
    return [(2 * part + 1) * num_frames // (2 * count) for part in range(count)]


def track(
    model: Sa2VAModel,
    frames: Sequence[OneFrame],
    prompts_NP: Tensor,
    order: TrackOrder | None = None,
    key_frames: Sequence[int] | None = None,
    tracker: Sam2VideoModel | None = None,
    recompute: bool = False,
) -> Iterator[FrameMasks]:
    """Yield the masks of N objects in every frame of a run, in the order of time.

    Each key frame's final logits are held until its turn; beside them the memory is bounded by what SAM2 looks back
    to. Frames ahead of the first key frame are tracked too: they see the key frames' memories, which lie ahead.

    Args:
        model: the model.
        frames: the run; each item is asked for once, key frames first, so it may be made lazily.
        prompts_NP: language prompts, `model.bridge(model.seg_states(...))`.
        order: see `TrackOrder`; the configuration's by default.
        key_frames: indices of the frames to decode with the prompts; chosen by the configuration by default.
        tracker: an untouched SAM2 that tracks in the order `KEY_FRAMES`; the model's own segmenter by default.
        recompute: compute each frame's activations again in the backward pass instead of keeping them all.

    Raises:
        ModelError: a key frame is not in the run, or there is none, or the segmenter cannot track.
    """
    order = TrackOrder(model.config.track_order) if order is None else order
    step = _recomputed if recompute else _kept
    together = 1 if recompute or tracker is not None else _frames_together(prompts_NP.device)
    if order is TrackOrder.INDEPENDENT:
        for index, frame in _encoded_ahead(model, frames, range(len(frames)), together):
            yield step(_decode_alone, model, frame, index, prompts_NP)
        return
    follower = Follower(model, model.segmenter if tracker is None else tracker, order)
    check_memory(follower.sam)
    held: dict[int, FrameMasks] = {}
    bank = MemoryBank.empty(follower.sam, len(frames))
    for index, frame in _encoded_ahead(model, frames, _checked(model, len(frames), key_frames), together):
        held[index], memory = step(follower.decode_key_frame, frame, index, prompts_NP)
        bank = bank.with_conditioning(index, memory)
    others = [index for index in range(len(frames)) if index not in held]
    for index, frame in _encoded_ahead(model, frames, others, together):
        while held and min(held) < index:
            yield held.pop(min(held))
        masks, memory = step(follower.track_frame, frame, index, bank, prompts_NP)
        bank = bank.with_tracked(index, memory)
        yield masks
    yield from (held[index] for index in sorted(held))


@dataclass(frozen=True, slots=True)
class Follower:
    """What stays the same from frame to frame of a run; what is remembered lies with the caller.

    Attributes:
        model: the model.
        sam: the segmenter that tracks.
        order: any but `INDEPENDENT`.
    """

    model: Sa2VAModel
    sam: Sam2VideoModel
    order: TrackOrder

    def decode_key_frame(self, frame: OneFrame, index: int, prompts_NP: Tensor) -> tuple[FrameMasks, Memory]:
        """Return the masks of N objects in a key frame, drawn from the prompts (N, P), and the memory of it."""
        encoded = _encode(self.model, self.model.segmenter, frame)
        masks, features = _decode_with_prompts(self.model, encoded, index, prompts_NP)
        if self.sam is not self.model.segmenter:
            features = _of_each_object(_encode(self.model, self.sam, frame), len(prompts_NP))
        if self.order is TrackOrder.REFERENCE:
            memory = remember(self.sam, features, masks.decoded, self.model.config.memory_precision)
        else:
            memory = remember_mask(self.sam, features, self._inside(masks))
        return replace(masks, memory=memory), memory

    def track_frame(
        self, frame: OneFrame, index: int, bank: MemoryBank, prompts_NP: Tensor
    ) -> tuple[FrameMasks, Memory]:
        """Return the masks of N objects in another frame, drawn from what the bank remembers, and the memory of it.

        The prompts (N, P) are used in the order `PROMPTED` alone.
        """
        encoded = _encode(self.model, self.sam, frame)
        features = _of_each_object(encoded, len(prompts_NP))
        embeddings_NCHW = recall(self.sam, features, bank, index, ahead=self.order is not TrackOrder.REFERENCE)
        # A SAM2 that was not fine-tuned tracks with its three masks, as it was trained.
        several = self.model.config.mask_selection == "best_iou" or self.sam is not self.model.segmenter
        if self.order is TrackOrder.PROMPTED:
            masks = self._decode_twice(encoded, index, embeddings_NCHW, prompts_NP, several)
        else:
            decoded = decode_candidates(self.sam, embeddings_NCHW, features, None, several).best()
            masks = _finish(self.model, encoded, index, decoded)
        memory = remember(self.sam, features, masks.decoded, self.model.config.memory_precision)
        return replace(masks, memory=memory), memory

    def _decode_twice(
        self, encoded: EncodedFrames, index: int, recalled_NCHW: Tensor, prompts_NP: Tensor, several: bool
    ) -> FrameMasks:
        """Return masks drawn from memory and prompts, with the presence that the frame has on its own.

        A memory of vessels makes vessels likelier, contrast or no contrast; whether there is any shows in the frame.
        Both are decoded in one pass, as 2N objects.
        """
        num_objects = len(prompts_NP)
        features = _of_each_object(encoded, 2 * num_objects)
        alone_NCHW = without_memory(self.sam, encoded.features).expand_as(recalled_NCHW)
        both_NP = torch.cat([prompts_NP, prompts_NP])
        candidates = decode_candidates(self.sam, torch.cat([recalled_NCHW, alone_NCHW]), features, both_NP, several)
        both = _finish(self.model, encoded, index, candidates.best())
        decoded = replace(both.decoded.part(slice(num_objects)), presence_N=both.decoded.presence_N[num_objects:])
        return replace(both, logits_NHW=both.logits_NHW[:num_objects], decoded=decoded)

    def _inside(self, masks: FrameMasks) -> Tensor:
        """Return the hardened masks (N, H, W); empty where the object is judged absent, if that is believed."""
        inside_NHW = masks.logits_NHW > 0
        if not self.model.config.presence_gate:
            return inside_NHW
        return inside_NHW & (masks.decoded.presence_N > 0).view(-1, 1, 1)


def _frames_together(device: torch.device) -> int:
    """Return how many frames are encoded at once: a GPU is kept busy, a CPU gains nothing by it."""
    return FRAMES_TOGETHER if device.type == "cuda" else 1


def _encoded_ahead(
    model: Sa2VAModel, frames: Sequence[OneFrame], indices: Sequence[int], together: int
) -> Iterator[tuple[int, OneFrame]]:
    """Yield frames with their indices, encoded `together` at a time where that is more than one."""
    for start in range(0, len(indices), together):
        chosen = indices[start : start + together]
        found = [frames[index] for index in chosen]
        raw = [frame for frame in found if isinstance(frame, RunFrame)]
        if together == 1 or len(raw) < len(found):
            yield from zip(chosen, found, strict=True)
            continue
        encoded = model.encode_frames(torch.stack([f.pixels_3SS for f in raw]), [f.image_1HW for f in raw])
        for place, index in enumerate(chosen):
            yield index, encoded.frame(place)


def _kept(function: Callable[..., Result], *args: object) -> Result:
    return function(*args)


def _recomputed(function: Callable[..., Result], *args: object) -> Result:
    result: Result = checkpoint(function, *args, use_reentrant=False)
    return result


def _encode(model: Sa2VAModel, sam: Sam2VideoModel, frame: OneFrame) -> EncodedFrames:
    """Encode a frame; for a foreign segmenter without the refiner, which knows the tokens of its own one only."""
    if isinstance(frame, EncodedFrames):
        assert sam is model.segmenter, "another segmenter has features of its own"
        return frame
    pixels_13SS = frame.pixels_3SS.unsqueeze(0)
    if sam is model.segmenter:
        return model.encode_frames(pixels_13SS, [frame.image_1HW])
    height_px, width_px = frame.image_1HW.shape[-2:]
    return EncodedFrames(encode_frames(sam, pixels_13SS), [], [(height_px, width_px)])


def _decode_alone(model: Sa2VAModel, frame: OneFrame, index: int, prompts_NP: Tensor) -> FrameMasks:
    return _decode_with_prompts(model, _encode(model, model.segmenter, frame), index, prompts_NP)[0]


def _decode_with_prompts(
    model: Sa2VAModel, encoded: EncodedFrames, index: int, prompts_NP: Tensor
) -> tuple[FrameMasks, FrameFeatures]:
    features = _of_each_object(encoded, len(prompts_NP))
    decoded = decode_objects(model.segmenter, features, prompts_NP, model.config.mask_selection)
    return _finish(model, encoded, index, decoded), features


def _finish(model: Sa2VAModel, encoded: EncodedFrames, index: int, decoded: DecodedMasks) -> FrameMasks:
    """Return the final masks and presence; all objects of one frame are one group.

    The memory is told the presence that training supervises, not SAM2's part of it.
    """
    finished = model.finish_masks(encoded, decoded, _zeros(encoded, len(decoded.presence_N)))
    (group,) = finished.groups
    return FrameMasks(index, group.logits_GHW, replace(decoded, presence_N=finished.presence_N), None)


def _of_each_object(encoded: EncodedFrames, num_objects: int) -> FrameFeatures:
    return encoded.features.select(_zeros(encoded, num_objects))


def _zeros(encoded: EncodedFrames, num_objects: int) -> Tensor:
    return torch.zeros(num_objects, dtype=torch.long, device=encoded.features.coarse_FCHW.device)


def _checked(model: Sa2VAModel, num_frames: int, key_frames: Sequence[int] | None) -> list[int]:
    """Return the key frames in the order of time, each once."""
    if key_frames is None:
        return choose_key_frames(num_frames, model.config.key_frames, model.config.num_key_frames)
    outside = [index for index in key_frames if not 0 <= index < num_frames]
    if outside or not key_frames:
        raise ModelError(
            f"key frames {list(key_frames)} of a run of {num_frames} frames",
            where="key_frames",
            remedy="give at least one, each from 0 to the number of frames less one",
        )
    return sorted(set(key_frames))
