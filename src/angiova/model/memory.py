"""SAM2's memory of a run as plain functions on tensors: remember a frame's masks, and recall them in another frame.

Nothing is written in place and nothing is detached, so that gradients flow through time where a caller wants them.
transformers' own video session differs from the reference: it empties the masks of absent objects and hardens the
remembered masks of prompted frames (4.57 to 5.23), so only its layers are used here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoModel, get_1d_sine_pe

from angiova.errors import ModelError
from angiova.model.configuration import MemoryPrecision
from angiova.model.segmenter import DecodedMasks, FrameFeatures, decode_candidates


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept of N objects in one frame.

    Attributes:
        features_NCHW: features of the frame fused with the masks, at 1/16 of SAM2's input.
        positions_NCHW: their position encoding.
        pointers_NP: one vector an object, made from its answer token.
    """

    features_NCHW: Tensor
    positions_NCHW: Tensor
    pointers_NP: Tensor


@dataclass(frozen=True, slots=True)
class MemoryBank:
    """The memory of a run up to a frame; adding to it makes a new bank.

    Attributes:
        conditioning: memories of the conditioning frames by frame index; kept to the end of the run.
        recent: memories of the last tracked frames by frame index, oldest first.
        pointers: pointers of the last tracked frames by frame index, oldest first.
        num_recent: how many frames back features are used.
        num_pointers: how many frames back pointers are used.
    """

    conditioning: dict[int, Memory]
    recent: dict[int, Memory]
    pointers: dict[int, Tensor]
    num_recent: int
    num_pointers: int

    @classmethod
    def empty(cls, sam: Sam2VideoModel, num_frames: int) -> MemoryBank:
        """Return the bank of a run of `num_frames` before anything is remembered."""
        num_pointers = min(num_frames, sam.config.max_object_pointers_in_encoder) - 1
        return cls({}, {}, {}, sam.num_maskmem - 1, num_pointers)

    def with_conditioning(self, frame: int, memory: Memory) -> MemoryBank:
        """Return a bank that also holds a conditioning frame."""
        return replace(self, conditioning=dict(sorted({**self.conditioning, frame: memory}.items())))

    def with_tracked(self, frame: int, memory: Memory) -> MemoryBank:
        """Return a bank that also holds a tracked frame, without what lies too far back to be used again."""
        recent = {i: m for i, m in self.recent.items() if i > frame - self.num_recent} | {frame: memory}
        pointers = {i: p for i, p in self.pointers.items() if i > frame - self.num_pointers}
        return replace(self, recent=recent, pointers=pointers | {frame: memory.pointers_NP})


def check_memory(sam: Sam2VideoModel) -> None:
    """Refuse a segmenter that cannot track.

    Raises:
        ModelError: its memory has a width that transformers' memory attention does not take.
    """
    # Sam2VideoMemoryAttentionLayer builds its keys for 64 channels whatever the configuration says (5.17 to 5.23).
    needed = sam.memory_attention.layers[0].cross_attn_image.kv_in_dim
    if sam.mem_dim != needed:
        raise ModelError(
            f"the memory has {sam.mem_dim} channels, its attention takes {needed}",
            where="segmenter_config.memory_encoder_output_channels",
            remedy=f"make the model with {needed}",
        )


def pointers_of(sam: Sam2VideoModel, decoded: DecodedMasks) -> Tensor:
    """Return the pointers (N, P) of decoded objects; one judged absent has SAM2's "no object" pointer instead."""
    present_N1 = decoded.presence_N.unsqueeze(1) > 0
    return torch.where(present_N1, sam.object_pointer_proj(decoded.tokens_NC), sam.no_object_pointer)


def remember(
    sam: Sam2VideoModel, features: FrameFeatures, decoded: DecodedMasks, precision: MemoryPrecision = "as_computed"
) -> Memory:
    """Return the memory of masks as they were decoded: probabilities, not hardened.

    Args:
        sam: the segmenter.
        features: features of the frame with one entry an object.
        decoded: its masks.
        precision: `"bf16"` rounds the features as the reference does, to about three digits.
    """
    logits_N1SS = F.interpolate(decoded.logits_N1hw, size=(sam.image_size,) * 2, mode="bilinear", align_corners=False)
    memory = _encode(sam, features, logits_N1SS.sigmoid(), pointers_of(sam, decoded), decoded.presence_N > 0)
    if precision == "as_computed":
        return memory
    rounded_NCHW = memory.features_NCHW.bfloat16().to(memory.features_NCHW.dtype)
    return replace(memory, features_NCHW=rounded_NCHW)


def remember_mask(sam: Sam2VideoModel, features: FrameFeatures, masks_NHW: Tensor) -> Memory:
    """Return the memory of given masks, as SAM2 takes a mask prompt (`_use_mask_as_output` of its code).

    Args:
        sam: the segmenter.
        features: features of the frame with one entry an object.
        masks_NHW: masks of any size, True inside.
    """
    size = (sam.image_size,) * 2
    area_N1SS = F.interpolate(masks_NHW.unsqueeze(1).float(), size=size, mode="bilinear", antialias=True)
    hard_N1SS = (area_N1SS >= 0.5).to(features.coarse_FCHW.dtype)
    present_N = hard_N1SS.flatten(1).any(dim=1)
    dense_NCHW = sam.prompt_encoder.mask_embed(sam.mask_downsample(hard_N1SS))
    candidates = decode_candidates(sam, features.coarse_FCHW, features, None, False, dense_NCHW)
    # A given mask says itself whether there is an object; SAM2 asks its score too, which the refiner's models train in
    # sum with the refiner's evidence only.
    decoded = replace(candidates.best(), presence_N=torch.where(present_N, 1.0, -1.0))
    return _encode(sam, features, hard_N1SS, pointers_of(sam, decoded), present_N)


def recall(sam: Sam2VideoModel, features: FrameFeatures, bank: MemoryBank, frame: int, ahead: bool) -> Tensor:
    """Return the coarse features of a frame after they have looked at the memory, shape (N, C, H, W).

    Args:
        sam: the segmenter.
        features: features of the frame with one entry an object.
        bank: what is remembered of the run; at least one conditioning frame.
        frame: index of the frame.
        ahead: whether pointers of conditioning frames that lie ahead are used too; their features always are.
    """
    seen = list(_features_of(sam, bank, frame))
    pointers_MNC, pointer_positions_MNC = _pointers_of(sam, bank, frame, ahead)
    attended_1NKC = sam.memory_attention(
        _as_sequence(features.coarse_FCHW),
        torch.cat([*(_as_sequence(values) for values, _ in seen), pointers_MNC]),
        _as_sequence(features.positions_FCHW),
        torch.cat([*(_as_sequence(positions) for _, positions in seen), pointer_positions_MNC]),
        len(pointers_MNC),
    )
    attended_NCK = attended_1NKC.squeeze(0).transpose(1, 2)
    recalled_NCHW: Tensor = attended_NCK.unflatten(2, features.coarse_FCHW.shape[-2:])
    return recalled_NCHW


def _encode(
    sam: Sam2VideoModel, features: FrameFeatures, masks_N1SS: Tensor, pointers_NP: Tensor, present_N: Tensor
) -> Memory:
    scaled_N1SS = masks_N1SS * sam.config.sigmoid_scale_for_mem_enc + sam.config.sigmoid_bias_for_mem_enc
    fused_NCHW, positions_NCHW = sam.memory_encoder(features.coarse_FCHW, scaled_N1SS)
    if sam.occlusion_spatial_embedding_parameter is not None:  # SAM 2.1
        absent_N111 = (~present_N).to(fused_NCHW.dtype).view(-1, 1, 1, 1)
        fused_NCHW = fused_NCHW + absent_N111 * sam.occlusion_spatial_embedding_parameter.view(1, -1, 1, 1)
    return Memory(fused_NCHW, positions_NCHW, pointers_NP)


def _features_of(sam: Sam2VideoModel, bank: MemoryBank, frame: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield features and positions: all conditioning frames at the last place in time, then the recent ones."""
    places = [(memory, -1) for memory in bank.conditioning.values()]
    places += [(memory, frame - i - 1) for i, memory in bank.recent.items() if frame - i <= bank.num_recent]
    for memory, place in places:
        time_1C11 = sam.memory_temporal_positional_encoding[place].view(1, -1, 1, 1)
        yield memory.features_NCHW, memory.positions_NCHW + time_1C11


def _pointers_of(sam: Sam2VideoModel, bank: MemoryBank, frame: int, ahead: bool) -> tuple[Tensor, Tensor]:
    """Return pointers cut into tokens of the memory's width, and their positions, shape (M, N, C) each."""
    chosen = [(frame - i, m.pointers_NP) for i, m in bank.conditioning.items() if ahead or i <= frame]
    chosen += [(frame - i, p) for i, p in reversed(bank.pointers.items()) if frame - i <= bank.num_pointers]
    if not chosen:
        nothing_0NC = next(iter(bank.conditioning.values())).features_NCHW.flatten(2).permute(2, 0, 1)[:0]
        return nothing_0NC, nothing_0NC
    pointers_KNP = torch.stack([pointer for _, pointer in chosen])
    distances_K = torch.tensor([float(distance) for distance, _ in chosen])
    distances_K = distances_K.to(pointers_KNP.device, non_blocking=True)
    positions_KNC = pointers_KNP.new_zeros(*pointers_KNP.shape[:2], sam.mem_dim)
    if sam.config.enable_temporal_pos_encoding_for_object_pointers:  # SAM 2.1
        sine_KP = get_1d_sine_pe(distances_K / max(bank.num_pointers, 1), dim=pointers_KNP.shape[2])
        positions_KNC = positions_KNC + sam.temporal_positional_encoding_projection_layer(sine_KP).unsqueeze(1)
    num_parts = pointers_KNP.shape[2] // sam.mem_dim
    num_frames, num_objects = pointers_KNP.shape[:2]
    parts_KNSC = pointers_KNP.view(num_frames, num_objects, num_parts, sam.mem_dim)
    tokens_MNC = parts_KNSC.transpose(1, 2).flatten(0, 1)
    return tokens_MNC, positions_KNC.repeat_interleave(num_parts, dim=0)


def _as_sequence(maps_NCHW: Tensor) -> Tensor:
    """Return maps as tokens, shape (H x W, N, C)."""
    return maps_NCHW.flatten(2).permute(2, 0, 1)
