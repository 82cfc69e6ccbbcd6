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
        embeddings_FCHW: features at 1/16 of the input, with SAM2's "no memory" embedding added.
        high_resolution: features at 1/4 and 1/8, already projected by the mask decoder.
    """

    embeddings_FCHW: Tensor
    high_resolution: tuple[Tensor, Tensor]

    def select(self, frame_of_object_N: Tensor) -> FrameFeatures:
        """Return the features with one entry an object."""
        fine, middle = (level.index_select(0, frame_of_object_N) for level in self.high_resolution)
        return FrameFeatures(self.embeddings_FCHW.index_select(0, frame_of_object_N), (fine, middle))


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


def encode_frames(sam: Sam2VideoModel, pixels_F3SS: Tensor) -> FrameFeatures:
    """Run SAM2's image encoder on F square frames of shape (F, 3, S, S)."""
    levels = sam.get_image_features(pixels_F3SS, return_dict=True).fpn_hidden_states
    sizes = sam.backbone_feature_sizes
    fine, middle, coarse = (
        level.permute(1, 2, 0).unflatten(2, tuple(size)) for level, size in zip(levels, sizes, strict=True)
    )
    no_memory = sam.no_memory_embedding.view(1, -1, 1, 1)
    return FrameFeatures(coarse + no_memory, (fine, middle))


def decode_objects(
    sam: Sam2VideoModel, features: FrameFeatures, prompts_NP: Tensor, selection: MaskSelection
) -> DecodedMasks:
    """Decode one mask an object from language prompts.

    Args:
        sam: the segmenter.
        features: frame features with one entry an object (see `FrameFeatures.select`).
        prompts_NP: language prompts of shape (N, P).
        selection: which of SAM2's mask tokens to use.
    """
    num_objects = prompts_NP.shape[0]
    padding = sam.prompt_encoder.not_a_point_embed.weight.expand(num_objects, NUM_PADDING_PROMPTS, -1)
    sparse_N1KP = torch.cat([padding, prompts_NP.unsqueeze(1)], dim=1).unsqueeze(1)
    dense = sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand_as(features.embeddings_FCHW)
    masks_N1Mhw, iou_N1M, tokens_N1MC, presence_N11 = sam.mask_decoder(
        image_embeddings=features.embeddings_FCHW,
        image_positional_embeddings=sam.get_image_wide_positional_embeddings().expand(num_objects, -1, -1, -1),
        sparse_prompt_embeddings=sparse_N1KP,
        dense_prompt_embeddings=dense,
        multimask_output=selection == "best_iou",
        high_resolution_features=list(features.high_resolution),
    )
    masks_NMhw, iou_NM, tokens_NMC = masks_N1Mhw[:, 0], iou_N1M[:, 0], tokens_N1MC[:, 0]
    best_N, objects_N = iou_NM.argmax(dim=1), torch.arange(num_objects, device=iou_NM.device)
    return DecodedMasks(
        logits_N1hw=masks_NMhw[objects_N, best_N].unsqueeze(1),
        tokens_NC=tokens_NMC[objects_N, best_N],
        predicted_iou_N=iou_NM[objects_N, best_N],
        presence_N=presence_N11.flatten(),
    )
