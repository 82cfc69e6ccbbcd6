"""The configuration of a released Sa2VA checkpoint, read and written as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from transformers.models.internvl.configuration_internvl import InternVLConfig
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoConfig

from angiova.errors import ModelError
from angiova.model.configuration import Sa2VAConfig, reference_settings
from angiova.model.sam2_sizes import HIERA_SIZES, Hiera, sam2_config

# The language models of the released sizes, by the name that their configuration gives, and transformers' own type.
LANGUAGE_TYPES: Final = {"Qwen2ForCausalLM": "qwen2", "InternLM2ForCausalLM": "llama"}
# Both are ChatML, which is the only chat form that our tokenizers write.
TEMPLATES: Final = ("qwen_chat", "internlm2_chat")
_TEXT_FIELDS: Final = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "hidden_act"),
)
_VISION_FIELDS: Final = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size"),
    *("hidden_act", "layer_norm_eps", "norm_type"),
)
DEFAULT_TILE_PX: Final = 448
DEFAULT_MAX_TILES: Final = 12


def config_from_released(
    released: Mapping[str, Any], image_token_id: int, seg_token_id: int | None = None
) -> Sa2VAConfig:
    """Return our configuration of a released model, with the settings that make its answers the released code's.

    Released files say nothing of SAM2, which is 2.0 hiera-large at 1024 pixels in all of them; an entry `sam2` (fields
    `image_size`, `hiera` and `memory_attention_layers`) describes another.

    Args:
        released: content of a `sa2va_chat` `config.json`; `vision_config` and `llm_config` must be there.
        image_token_id: id of `<IMG_CONTEXT>` in the checkpoint's tokenizer.
        seg_token_id: id of `[SEG]`.

    Raises:
        ModelError: a field is missing or names a kind of model that is not supported.
    """
    if released.get("template", TEMPLATES[0]) not in TEMPLATES:
        raise ModelError(
            f"chat template {released['template']!r} is not supported",
            where="config.json: template",
            remedy=f"a model trained on one of: {', '.join(TEMPLATES)}",
        )
    vision = _vision_config(_entry(released, "vision_config"))
    text = _text_config(_entry(released, "llm_config"))
    tile_px = int(released.get("force_image_size") or vision["image_size"])
    ratio = float(released.get("downsample_ratio", 0.5))
    vlm = InternVLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=image_token_id,
        image_seq_length=int(tile_px // vision["patch_size"] * ratio) ** 2,
        downsample_ratio=ratio,
        vision_feature_layer=int(released.get("select_layer", -1)),
        tie_word_embeddings=text["tie_word_embeddings"],
    )
    tiles = int(released.get("max_dynamic_patch", DEFAULT_MAX_TILES)) if released.get("dynamic_image_size", True) else 1
    return Sa2VAConfig(
        vlm_config=vlm.to_dict(),
        segmenter_config=_segmenter_config(released.get("sam2")).to_dict(),
        seg_token_id=seg_token_id,
        tile_px=tile_px,
        **reference_settings() | {"max_tiles": tiles},
    )


def _entry(fields: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401
    if name not in fields:
        raise ModelError(f"field {name!r} is missing", where="config.json", remedy="use the released file unchanged")
    return fields[name]


def _vision_config(released: Mapping[str, Any]) -> dict[str, Any]:
    """InternViT without its final norm, which Sa2VA never had."""
    fields: dict[str, Any] = {name: _entry(released, name) for name in _VISION_FIELDS}
    return fields | {
        "attention_bias": bool(_entry(released, "qkv_bias")),
        "use_qk_norm": bool(released.get("qk_normalization", False)),
        "use_mean_pooling": True,
    }


def _text_config(released: Mapping[str, Any]) -> dict[str, Any]:
    architecture = (_entry(released, "architectures") or [None])[0]
    if architecture not in LANGUAGE_TYPES:
        raise ModelError(
            f"language model {architecture!r} is not supported",
            where="llm_config.architectures",
            remedy=f"one of: {', '.join(LANGUAGE_TYPES)}",
        )
    fields = {name: released[name] for name in _TEXT_FIELDS if name in released}
    return fields | {
        "model_type": LANGUAGE_TYPES[architecture],
        "attention_bias": bool(released.get("bias", False)),
        "rope_parameters": _rope_parameters(released),
        "tie_word_embeddings": bool(released.get("tie_word_embeddings", False)),
    }


def _rope_parameters(released: Mapping[str, Any]) -> dict[str, Any]:
    scaling = released.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    return {**scaling, "rope_type": kind, "rope_theta": float(released.get("rope_theta", 10000.0))}


def _segmenter_config(sam2: Mapping[str, Any] | None) -> Sam2VideoConfig:
    if sam2 is None:
        return sam2_config(HIERA_SIZES["large"])
    hiera = _entry(sam2, "hiera")
    return sam2_config(
        Hiera(
            embed_dim=hiera["embed_dim"],
            num_heads=hiera["num_heads"],
            blocks=tuple(hiera["stages"]),
            global_blocks=tuple(hiera["global_att_blocks"]),
            windows=tuple(hiera["window_spec"]),
            background=hiera["window_pos_embed_bkg_spatial_size"][0],
        ),
        image_px=sam2["image_size"],
        version=sam2.get("version", "2.0"),
        memory_layers=sam2["memory_attention_layers"],
    )


def released_from_config(config: Sa2VAConfig, dtype: str) -> dict[str, Any]:
    """Return the fields of a released `config.json`; the inverse of `config_from_released`.

    Args:
        config: our configuration.
        dtype: kind of the weights, e.g. `bfloat16`.
    """
    vlm: Any = config.vlm_config
    vision, text = vlm.vision_config, vlm.text_config
    entries = {
        "model_type": "sa2va_chat",
        "architectures": ["Sa2VAChatModel"],
        "auto_map": {
            "AutoConfig": "configuration_sa2va_chat.Sa2VAChatConfig",
            "AutoModel": "modeling_sa2va_chat.Sa2VAChatModel",
            "AutoModelForCausalLM": "modeling_sa2va_chat.Sa2VAChatModel",
        },
        "vision_config": _released_vision(vision, dtype),
        "llm_config": _released_text(text, bool(vlm.tie_word_embeddings), dtype),
        "hidden_size": text.hidden_size,
        "force_image_size": config.tile_px,
        "downsample_ratio": vlm.downsample_ratio,
        "select_layer": vlm.vision_feature_layer,
        "ps_version": "v2",
        "template": "internlm2_chat" if text.model_type == "llama" else "qwen_chat",
        "dynamic_image_size": True,
        "use_thumbnail": True,
        "min_dynamic_patch": 1,
        "max_dynamic_patch": config.max_tiles,
        "pad2square": False,
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "tie_word_embeddings": False,
        "torch_dtype": dtype,
    }
    sam2 = _released_segmenter(config.segmenter_config)
    return entries if sam2 is None else entries | {"sam2": sam2}


def _released_vision(vision: Any, dtype: str) -> dict[str, Any]:  # noqa: ANN401
    sides = {"image_size": vision.image_size[0], "patch_size": vision.patch_size[0]}
    return {
        "model_type": "intern_vit_6b",
        "architectures": ["InternVisionModel"],
        **{name: getattr(vision, name) for name in _VISION_FIELDS},
        **sides,
        "qkv_bias": vision.attention_bias,
        "qk_normalization": vision.use_qk_norm,
        "torch_dtype": dtype,
    }


def _released_text(text: Any, is_tied: bool, dtype: str) -> dict[str, Any]:  # noqa: ANN401
    architecture = {kind: name for name, kind in LANGUAGE_TYPES.items()}[text.model_type]
    rope = dict(text.rope_parameters)
    theta, kind = rope.pop("rope_theta"), rope.pop("rope_type")
    fields = {
        "model_type": architecture.removesuffix("ForCausalLM").lower(),
        "architectures": [architecture],
        **{name: getattr(text, name) for name in _TEXT_FIELDS},
        "rope_theta": theta,
        "rope_scaling": None if kind == "default" else {"type": kind, **rope},
        "tie_word_embeddings": is_tied,
        "torch_dtype": dtype,
    }
    return fields | ({"bias": bool(text.attention_bias)} if architecture == "InternLM2ForCausalLM" else {})


def _released_segmenter(sam: Any) -> dict[str, Any] | None:  # noqa: ANN401
    """Describe SAM2 only when it is not the one that every released checkpoint means."""
    backbone = sam.vision_config.backbone_config
    hiera = {
        "embed_dim": backbone.hidden_size,
        "num_heads": backbone.num_attention_heads_per_stage[0],
        "stages": list(backbone.blocks_per_stage),
        "global_att_blocks": list(backbone.global_attention_blocks),
        "window_spec": list(backbone.window_size_per_stage),
        "window_pos_embed_bkg_spatial_size": list(backbone.window_positional_embedding_background_size),
    }
    described = {
        "image_size": sam.image_size,
        "version": "2.1" if sam.enable_occlusion_spatial_embedding else "2.0",
        "memory_attention_layers": sam.memory_attention_num_layers,
        "hiera": hiera,
    }
    if _segmenter_config(described).to_dict() == _segmenter_config(None).to_dict():
        return None
    return described
