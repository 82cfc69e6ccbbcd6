"""Clips in the training forward: the very tracking of inference, with gradients through time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor

from angiova.model.outputs import MaskGroup, MaskOutput
from angiova.model.tracking import FrameMasks, OneFrame, RunFrame, track

if TYPE_CHECKING:
    from angiova.model.modeling import Sa2VAModel


class ClipBatch(TypedDict):
    """The frames of C clips, one after the other.

    Attributes:
        pixels: all frames for SAM2, shape (sum of lengths, 3, S, S).
        images: all frames at their own resolution, standardised grey, shape (1, H, W) each.
        lengths: number of frames of each clip.
        key_frames: which frames of each clip are decoded with the language prompt.
        labelled: for each clip and each of its frames, the objects that have a target, in order.
        recompute: whether a frame's activations are computed again in the backward pass instead of kept.
    """

    pixels: Tensor
    images: list[Tensor]
    lengths: list[int]
    key_frames: list[list[int]]
    labelled: list[list[list[int]]]
    recompute: bool


def track_clips(
    model: Sa2VAModel, clips: ClipBatch, states_NH: Tensor, clip_of_object_N: Tensor
) -> Iterator[MaskOutput]:
    """Yield the masks of the labelled objects of every frame, clip by clip in the order of time.

    Frames without label are tracked like the others, so that the memory is what it will be at inference.

    Args:
        model: the model.
        clips: the frames.
        states_NH: last hidden state at each `[SEG]`, one an object of a clip, shape (N, H).
        clip_of_object_N: which clip each object belongs to.
    """
    start = 0
    for index, length in enumerate(clips["lengths"]):
        part = slice(start, start + length)
        frames = _frames(model, clips["pixels"][part], clips["images"][part], clips["recompute"])
        prompts_NP = model.bridge(states_NH[clip_of_object_N == index])
        masks = track(model, frames, prompts_NP, key_frames=clips["key_frames"][index], recompute=clips["recompute"])
        for frame, objects in zip(masks, clips["labelled"][index], strict=True):
            if objects:
                yield _chosen(frame, objects)
        start += length


def touch_weights(model: Sa2VAModel) -> Tensor:
    """Return 0 as a function of every trained weight.

    Processes that average their gradients wait for each weight's: those of the memory in a batch of single frames, or
    of the bridge in a clip whose labels lie on tracked frames alone.
    """
    return torch.stack([p.sum().float() for p in model.parameters() if p.requires_grad]).sum() * 0


def _frames(model: Sa2VAModel, pixels_T3SS: Tensor, images: Sequence[Tensor], one_by_one: bool) -> Sequence[OneFrame]:
    """Return frames for `track`, encoded together unless their activations must not be held together."""
    if one_by_one:
        return [RunFrame(pixels, image) for pixels, image in zip(pixels_T3SS, images, strict=True)]
    encoded = model.encode_frames(pixels_T3SS, list(images))
    return [encoded.frame(index) for index in range(len(images))]


def _chosen(frame: FrameMasks, objects: Sequence[int]) -> MaskOutput:
    chosen = torch.tensor(objects, device=frame.logits_NHW.device)
    places = torch.arange(len(objects), device=chosen.device)
    return MaskOutput(
        [MaskGroup(places, frame.logits_NHW[chosen])],
        frame.decoded.logits_N1hw[chosen],
        frame.decoded.presence_N[chosen],
        frame.decoded.predicted_iou_N[chosen],
    )
