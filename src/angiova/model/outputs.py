"""What the model hands out, as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from angiova.model.refiner import FrameDetail
from angiova.model.segmenter import FrameFeatures


@dataclass(frozen=True, slots=True)
class MaskGroup:
    """Masks of objects whose images have the same size.

    Attributes:
        objects_G: which of the N objects these are.
        logits_GHW: their mask logits at image resolution.
    """

    objects_G: Tensor
    logits_GHW: Tensor


@dataclass(frozen=True, slots=True)
class MaskOutput:
    """Everything the segmenter says of N objects.

    Attributes:
        groups: final masks, grouped by image size; every object is in exactly one group.
        coarse_N1hw: SAM2's low-resolution logits.
        presence_N: logit that the object is in the frame.
        predicted_iou_N: SAM2's own estimate of the IoU.
    """

    groups: list[MaskGroup]
    coarse_N1hw: Tensor
    presence_N: Tensor
    predicted_iou_N: Tensor

    @classmethod
    def joined(cls, parts: Iterable[MaskOutput]) -> MaskOutput:
        """Return the objects of several outputs as one, in order."""
        outputs = list(parts)
        groups, start = [], 0
        for output in outputs:
            groups += [MaskGroup(group.objects_G + start, group.logits_GHW) for group in output.groups]
            start += len(output.presence_N)
        return cls(
            groups,
            torch.cat([output.coarse_N1hw for output in outputs]),
            torch.cat([output.presence_N for output in outputs]),
            torch.cat([output.predicted_iou_N for output in outputs]),
        )

    def logits_of(self) -> list[Tensor]:
        """Return the final logits, (H, W) each, in the order of the objects."""
        by_object = {
            int(index): logits
            for group in self.groups
            for index, logits in zip(group.objects_G.tolist(), group.logits_GHW, strict=True)
        }
        return [by_object[index] for index in range(len(by_object))]


@dataclass(frozen=True, slots=True)
class EncodedFrames:
    """What the segmenter's two encoders say of F frames, computed once and shared by all questions.

    Attributes:
        features: SAM2's features.
        detail: what the refiner's encoder says, one entry a frame; empty without a refiner.
        sizes: (H, W) of each frame.
    """

    features: FrameFeatures
    detail: list[FrameDetail]
    sizes: list[tuple[int, int]]

    def frame(self, index: int) -> EncodedFrames:
        """Return one frame alone, as a view."""
        return EncodedFrames(self.features.frame(index), self.detail[index : index + 1], [self.sizes[index]])


@dataclass(frozen=True)  # without slots, as `FrameDetail`
class Sa2VAOutput:
    """Result of a forward pass.

    Attributes:
        losses: each loss by name, unweighted; empty without labels and masks.
        masks: the decoded masks; None when no `[SEG]` is in the batch.
    """

    losses: dict[str, Tensor]
    masks: MaskOutput | None


@dataclass(frozen=True, slots=True)
class SpokenAnswers:
    """Answers to B prompts in words, with what the masks are drawn from.

    Attributes:
        answer_ids: the generated tokens of each prompt, without padding.
        states_NH: last hidden states of all `[SEG]` tokens, prompt by prompt.
        num_masks_B: how many `[SEG]` tokens each answer has.
        probabilities: the probability of each generated token of each answer, where asked for.
    """

    answer_ids: list[list[int]]
    states_NH: Tensor
    num_masks_B: list[int]
    probabilities: list[list[float]] | None = None


@dataclass(frozen=True, slots=True)
class Sa2VAGeneration:
    """Answers to B prompts.

    Attributes:
        answer_ids: the generated tokens of each prompt, without padding.
        masks: masks of all `[SEG]` tokens, prompt by prompt; None when there is none.
        num_masks_B: how many `[SEG]` tokens each answer has.
    """

    answer_ids: list[list[int]]
    masks: MaskOutput | None
    num_masks_B: list[int]
