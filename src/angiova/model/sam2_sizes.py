"""The published sizes of SAM2 as configurations of transformers' video model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoConfig, Sam2VideoMaskDecoderConfig

Sam2Version = Literal["2.0", "2.1"]
SAM2_PX: Final = 1024
PATCH_PX: Final = 16


@dataclass(frozen=True, slots=True)
class Hiera:
    """SAM2's image encoder (Ryali et al., "Hiera", arXiv 2306.00989), in four stages that double width and heads.

    Attributes:
        embed_dim: width of the first stage.
        num_heads: attention heads of the first stage.
        blocks: blocks of each stage.
        global_blocks: blocks that attend to the whole image, counted over all stages.
        windows: side of the attention window of each stage.
        background: side of the coarse position table.
    """

    embed_dim: int
    num_heads: int
    blocks: tuple[int, int, int, int]
    global_blocks: tuple[int, ...]
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    background: int = 7

    @property
    def widths(self) -> list[int]:
        """Width of each stage."""
        return [self.embed_dim << stage for stage in range(4)]


HIERA_SIZES: Final = {
    "tiny": Hiera(96, 1, (1, 2, 7, 2), (5, 7, 9)),
    "small": Hiera(96, 1, (1, 2, 11, 2), (7, 10, 13)),
    "base-plus": Hiera(112, 2, (2, 3, 16, 3), (12, 16, 20), background=14),
    "large": Hiera(144, 2, (2, 6, 36, 4), (23, 33, 43), windows=(8, 4, 16, 8)),
}


def sam2_config(
    hiera: Hiera, image_px: int = SAM2_PX, version: Sam2Version = "2.0", memory_layers: int = 4
) -> Sam2VideoConfig:
    """Return the configuration of SAM2 with this image encoder.

    Masks are never replaced by SAM2's stability rule: which mask counts is the model's own setting.

    Args:
        hiera: the image encoder; `HIERA_SIZES` has the published ones.
        image_px: side of the square that SAM2 sees, a multiple of 32.
        version: 2.1 marks absent objects in the memory and dates object pointers, 2.0 does neither.
        memory_layers: layers of the memory attention.
    """
    is_dated = version == "2.1"
    return Sam2VideoConfig(
        vision_config=_vision_config(hiera, image_px),
        prompt_encoder_config={"image_size": image_px},
        mask_decoder_config=Sam2VideoMaskDecoderConfig(dynamic_multimask_via_stability=False),
        image_size=image_px,
        enable_occlusion_spatial_embedding=is_dated,
        enable_temporal_pos_encoding_for_object_pointers=is_dated,
        memory_attention_num_layers=memory_layers,
        memory_attention_rope_feat_sizes=[image_px // PATCH_PX] * 2,
    )


def _vision_config(hiera: Hiera, image_px: int) -> dict[str, object]:
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": hiera.embed_dim,
        "num_attention_heads": hiera.num_heads,
        "image_size": [image_px, image_px],
        "blocks_per_stage": list(hiera.blocks),
        "embed_dim_per_stage": hiera.widths,
        "num_attention_heads_per_stage": [hiera.num_heads << stage for stage in range(4)],
        "window_size_per_stage": list(hiera.windows),
        "global_attention_blocks": list(hiera.global_blocks),
        "window_positional_embedding_background_size": [hiera.background] * 2,
    }
    return {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": hiera.widths[::-1],
        "backbone_feature_sizes": [[image_px // stride] * 2 for stride in (4, 8, 16)],
    }
