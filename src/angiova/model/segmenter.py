"""SAM2 as Sa2VA uses it: one encoder pass a frame, one decoder pass an object, prompts made from language."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoModel

from angiova.model.configuration import MaskSelection

# The reference passes one padding point and SAM2's prompt encoder adds another; both equal `not_a_point_embed`.
NUM_PADDING_PROMPTS = 2


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """What SAM2's image encoder says of F frames.

    Attributes:
        coarse_FCHW: features at 1/16 of the input; `without_memory` or `recall` makes them ready for the decoder.
        positions_FCHW: their position encoding.
        high_resolution: features at 1/4 and 1/8, already projected by the mask decoder.
    """

    coarse_FCHW: Tensor
    positions_FCHW: Tensor
    high_resolution: tuple[Tensor, Tensor]

    def select(self, frame_of_object_N: Tensor) -> FrameFeatures:
        """Return the features with one entry an object."""
        if len(self.coarse_FCHW) == 1:  # no copy, and nothing that the device is waited for
            return self.repeated(len(frame_of_object_N))
        fine, middle = (level.index_select(0, frame_of_object_N) for level in self.high_resolution)
        coarse, positions = (x.index_select(0, frame_of_object_N) for x in (self.coarse_FCHW, self.positions_FCHW))
        return FrameFeatures(coarse, positions, (fine, middle))

    def frame(self, index: int) -> FrameFeatures:
        """Return one frame alone, as a view."""
        one = slice(index, index + 1)
        fine, middle = (level[one] for level in self.high_resolution)
        return FrameFeatures(self.coarse_FCHW[one], self.positions_FCHW[one], (fine, middle))

    def repeated(self, num_objects: int) -> FrameFeatures:
        """Return the features of the only frame with one entry an object, as a view."""
        fine, middle = (level.expand(num_objects, -1, -1, -1) for level in self.high_resolution)
        coarse, positions = (x.expand(num_objects, -1, -1, -1) for x in (self.coarse_FCHW, self.positions_FCHW))
        return FrameFeatures(coarse, positions, (fine, middle))


@dataclass(frozen=True, slots=True)
class CandidateMasks:
    """The M masks that SAM2's mask decoder offers for each of N objects.

    Attributes:
        logits_NMhw: low-resolution mask logits, a quarter of SAM2's input size.
        tokens_NMC: the output token that made each mask.
        predicted_iou_NM: SAM2's own estimate of the IoU of each mask.
        presence_N: logit that the object is in the frame.
    """

    logits_NMhw: Tensor
    tokens_NMC: Tensor
    predicted_iou_NM: Tensor
    presence_N: Tensor

    def best(self) -> DecodedMasks:
        """Return the mask of each object with the highest predicted IoU."""
        best_N = self.predicted_iou_NM.argmax(dim=1)
        objects_N = torch.arange(len(best_N), device=best_N.device)
        return DecodedMasks(
            logits_N1hw=self.logits_NMhw[objects_N, best_N].unsqueeze(1),
            tokens_NC=self.tokens_NMC[objects_N, best_N],
            predicted_iou_N=self.predicted_iou_NM[objects_N, best_N],
            presence_N=self.presence_N,
        )


@dataclass(frozen=True, slots=True)
class DecodedMasks:
    """What SAM2's mask decoder says of N objects.

    Attributes:
        logits_N1hw: low-resolution mask logits, a quarter of SAM2's input size.
        tokens_NC: the output token that made each mask.
        predicted_iou_N: SAM2's own estimate of the IoU of each mask.
        presence_N: logit that the object is in the frame.
    """

    logits_N1hw: Tensor
    tokens_NC: Tensor
    predicted_iou_N: Tensor
    presence_N: Tensor

    def part(self, objects: slice) -> DecodedMasks:
        """Return some of the objects."""
        return DecodedMasks(
            self.logits_N1hw[objects], self.tokens_NC[objects], self.predicted_iou_N[objects], self.presence_N[objects]
        )


def encode_frames(sam: Sam2VideoModel, pixels_F3SS: Tensor) -> FrameFeatures:
    """Run SAM2's image encoder on F square frames of shape (F, 3, S, S)."""
    encoded = sam.get_image_features(pixels_F3SS, return_dict=True)
    sizes = [tuple(size) for size in sam.backbone_feature_sizes]
    fine, middle, coarse = (
        level.permute(1, 2, 0).unflatten(2, size) for level, size in zip(encoded.fpn_hidden_states, sizes, strict=True)
    )
    positions = encoded.fpn_position_encoding[-1].permute(1, 2, 0).unflatten(2, sizes[-1])
    return FrameFeatures(coarse, positions.expand_as(coarse), (fine, middle))


def without_memory(sam: Sam2VideoModel, features: FrameFeatures) -> Tensor:
    """Return coarse features marked as having no memory: images, and the conditioning frames of a run."""
    marked_FCHW: Tensor = features.coarse_FCHW + sam.no_memory_embedding.view(1, -1, 1, 1)
    return marked_FCHW


def decode_objects(
    sam: Sam2VideoModel, features: FrameFeatures, prompts_NP: Tensor, selection: MaskSelection
) -> DecodedMasks:
    """Decode one mask an object from language prompts, without memory.

    Args:
        sam: the segmenter.
        features: frame features with one entry an object (see `FrameFeatures.select`).
        prompts_NP: language prompts of shape (N, P).
        selection: which of SAM2's mask tokens to use.
    """
    embeddings_NCHW = without_memory(sam, features)
    return decode_candidates(sam, embeddings_NCHW, features, prompts_NP, selection == "best_iou").best()


def decode_candidates(
    sam: Sam2VideoModel,
    embeddings_NCHW: Tensor,
    features: FrameFeatures,
    prompts_NP: Tensor | None,
    several: bool,
    mask_embedding_NCHW: Tensor | None = None,
) -> CandidateMasks:
    """Run SAM2's mask decoder on N objects.

    Args:
        sam: the segmenter.
        embeddings_NCHW: coarse features of each object's frame, with memory or marked as having none.
        features: frame features with one entry an object; only the high-resolution levels are used.
        prompts_NP: language prompts; None while tracking, where the memory says what to look for.
        several: whether to offer SAM2's three multi-mask tokens instead of its single-mask token.
        mask_embedding_NCHW: an encoded mask prompt; SAM2's "no mask" embedding by default.
    """
    num_objects = embeddings_NCHW.shape[0]
    sparse = [sam.prompt_encoder.not_a_point_embed.weight.expand(num_objects, NUM_PADDING_PROMPTS, -1)]
    if prompts_NP is not None:
        sparse.append(prompts_NP.unsqueeze(1))
    if mask_embedding_NCHW is None:
        mask_embedding_NCHW = sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand_as(embeddings_NCHW)
    masks_N1Mhw, iou_N1M, tokens_N1MC, presence_N11 = sam.mask_decoder(
        image_embeddings=embeddings_NCHW,
        image_positional_embeddings=sam.get_image_wide_positional_embeddings().expand(num_objects, -1, -1, -1),
        sparse_prompt_embeddings=torch.cat(sparse, dim=1).unsqueeze(1),
        dense_prompt_embeddings=mask_embedding_NCHW,
        multimask_output=several,
        high_resolution_features=list(features.high_resolution),
    )
    return CandidateMasks(masks_N1Mhw[:, 0], tokens_N1MC[:, 0], iou_N1M[:, 0], presence_N11.flatten())
