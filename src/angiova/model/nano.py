"""The preset `nano`: every part of the large models, small enough to train on a CPU."""

from __future__ import annotations

from typing import Final

from transformers.models.internvl.configuration_internvl import InternVLConfig
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoConfig, Sam2VideoMaskDecoderConfig

from angiova.model.configuration import Sa2VAConfig

NANO_TILE_PX: Final = 256
NANO_SEGMENTER_PX: Final = 512
NANO_PROMPT_SIZE: Final = 128
# Widths of 128 to 256 want a larger spread than the 0.02 of models ten times as wide: about 1 / sqrt(width).
NANO_INITIALIZER_RANGE: Final = 0.06


def nano_config(
    vocabulary: int,
    image_token_id: int,
    seg_token_id: int,
    tile_px: int = NANO_TILE_PX,
    segmenter_px: int = NANO_SEGMENTER_PX,
    refiner_width: int | None = 24,
    refiner_levels: int = 4,
) -> Sa2VAConfig:
    """Return the configuration of `nano`.

    Args:
        vocabulary: number of tokens.
        image_token_id: id of `<IMG_CONTEXT>`.
        seg_token_id: id of `[SEG]`.
        tile_px: side of the image that the vision-language model sees, a multiple of 32.
        segmenter_px: side of the square that SAM2 sees, a multiple of 32.
        refiner_width: channels of the refiner's first level; None leaves the refiner out.
        refiner_levels: resolutions that the refiner looks at.
    """
    return Sa2VAConfig(
        vlm_config=_nano_vlm(vocabulary, image_token_id, tile_px).to_dict(),
        segmenter_config=_nano_segmenter(segmenter_px).to_dict(),
        seg_token_id=seg_token_id,
        tile_px=tile_px,
        refiner_width=refiner_width,
        refiner_levels=refiner_levels,
        mask_selection="single",
    )


def _nano_vlm(vocabulary: int, image_token_id: int, tile_px: int) -> InternVLConfig:
    vision = {
        "hidden_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "intermediate_size": 768,
        "image_size": tile_px,
        "patch_size": 16,
        "layer_scale_init_value": 1.0,
        "initializer_range": NANO_INITIALIZER_RANGE,
    }
    text = {
        "model_type": "qwen2",
        "vocab_size": vocabulary,
        "hidden_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 704,
        "max_position_embeddings": 2048,
        "initializer_range": NANO_INITIALIZER_RANGE,
        "tie_word_embeddings": False,
    }
    tokens_per_tile = (tile_px // 16 // 2) ** 2
    return InternVLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=image_token_id,
        image_seq_length=tokens_per_tile,
        tie_word_embeddings=False,
    )


def _nano_segmenter(side: int) -> Sam2VideoConfig:
    size = NANO_PROMPT_SIZE
    stages = [32, 64, 128, 256]
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": stages[0],
        "image_size": [side, side],
        "blocks_per_stage": [1, 2, 3, 1],
        "embed_dim_per_stage": stages,
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 16, 8],
        "global_attention_blocks": [5],
        "initializer_range": NANO_INITIALIZER_RANGE,
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": stages[::-1],
        "backbone_feature_sizes": [[side // 4] * 2, [side // 8] * 2, [side // 16] * 2],
        "fpn_hidden_size": size,
        "initializer_range": NANO_INITIALIZER_RANGE,
    }
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": size, "image_size": side},
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=size,
            mlp_dim=4 * size,
            num_attention_heads=4,
            iou_head_hidden_dim=size,
            dynamic_multimask_via_stability=False,
        ),
        image_size=side,
        initializer_range=NANO_INITIALIZER_RANGE,
        memory_attention_hidden_size=size,
        memory_attention_num_layers=2,
        memory_attention_dropout=0.0,
        memory_attention_rope_dropout=0.0,
        memory_attention_feed_forward_hidden_size=4 * size,
        memory_attention_rope_feat_sizes=[side // 16] * 2,
        memory_encoder_hidden_size=size,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=size,
        memory_fuser_embed_dim=size,
        memory_fuser_intermediate_dim=4 * size,
    )
