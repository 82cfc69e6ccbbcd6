"""A small model in the released layout, its weights by the rule of ../shared/parity."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
EMBEDDINGS = re.compile(
    r"(embed_tokens|tok_embeddings|_tokens?|point_embeddings\.\d+|not_a_point_embed|no_mask_embed)\.weight$"
)


def fill(name: str, shape: Sequence[int], salt: str = "") -> Tensor:
    """Return the weights that the rule of ../shared/parity gives to a tensor of this name and shape."""
    generator = torch.Generator().manual_seed(zlib.crc32((salt + name).encode()))
    values = torch.randn(tuple(shape), generator=generator)
    last = name.rsplit(".", 1)[-1]
    if last == "positional_encoding_gaussian_matrix":
        return values
    if last == "bias":
        return 0.02 * values
    if last in ("ls1", "ls2", "g_weight"):
        return 0.3 + 0.03 * values
    if EMBEDDINGS.search(name):
        return 0.5 * values
    if last == "weight":
        return 1 + 0.1 * values if len(shape) == 1 else values / math.sqrt(math.prod(shape[1:]))
    return 0.1 * values


def tiny_entry() -> dict[str, Any]:
    """Return the configuration of the reference's `tiny` model, as a released `config.json` has it."""
    return {
        "vision_config": {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 448,
            "patch_size": 14,
            "qkv_bias": True,
            "norm_type": "layer_norm",
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-6,
        },
        "llm_config": {
            "architectures": ["Qwen2ForCausalLM"],
            "hidden_size": 64,
            "intermediate_size": 160,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 320,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1e6,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
        },
        "sam2": {
            "image_size": 512,
            "hiera": {
                "embed_dim": 16,
                "num_heads": 1,
                "stages": [1, 1, 2, 1],
                "global_att_blocks": [3],
                "window_spec": [8, 4, 16, 8],
                "window_pos_embed_bkg_spatial_size": [7, 7],
            },
            "memory_attention_layers": 2,
        },
    }


def internlm2_entry(hidden: int, heads: int, kv_heads: int) -> dict[str, Any]:
    """Return a configuration like `tiny` whose language model is InternLM2."""
    entry = tiny_entry()
    entry["llm_config"] |= {
        "architectures": ["InternLM2ForCausalLM"],
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "bias": False,
    }
    return entry
