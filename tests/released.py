"""A small model in the released layout, its weights by the rule of ../shared/parity."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from angiova.data.prompts import tokenizer_corpus
from angiova.model.convert.names import meta_state, to_released
from angiova.model.convert.reference_config import config_from_released
from angiova.model.tokenizer import build_nano_tokenizer

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


def write_released_folder(
    folder: Path, entry: dict[str, Any], shard_bytes: int | None = None, *, empty: bool = False
) -> Path:
    """Write a released folder of this configuration, with nano's tokenizer, and return it.

    Args:
        folder: folder to write.
        entry: content of its config.json; the vocabulary must hold nano's tokenizer.
        shard_bytes: size of the shards; None writes one file.
        empty: write zeros, which is quick.
    """
    tokenizer = build_nano_tokenizer(tokenizer_corpus())
    entry["llm_config"]["vocab_size"] = len(tokenizer)
    config = config_from_released(entry, image_token_id=5)
    specs = to_released(meta_state(config), config)
    make = (lambda name: torch.zeros(specs[name].shape)) if empty else (lambda name: fill(name, specs[name].shape))
    folder.mkdir(parents=True)
    shards: list[list[str]] = [[]]
    for name, spec in specs.items():
        if shard_bytes and sum(specs[other].nbytes for other in shards[-1]) + spec.nbytes > shard_bytes:
            shards.append([])
        shards[-1].append(name)
    file_of = {}
    for number, names in enumerate(shards, start=1):
        file_name = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file({name: make(name).contiguous() for name in names}, folder / file_name, metadata={"format": "pt"})
        file_of |= dict.fromkeys(names, file_name)
    if len(shards) > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": file_of}))
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "sa2va_chat", "template": "qwen_chat", **entry}))
    return folder


def read_folder(folder: Path) -> Tensors:
    """Return all tensors of a folder's safetensors."""
    tensors: Tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(path)
    return tensors


def trained_file(
    path: Path,
    rank: int,
    meta: dict[str, Any] | None = None,
    change: Callable[[Tensors], object] = lambda _: None,
) -> Path:
    """Write a training file of the reference for the tiny model: LoRA, whole modules, decoder and bridge."""
    entry = tiny_entry()
    entry["llm_config"]["vocab_size"] = len(build_nano_tokenizer(tokenizer_corpus()))
    config = config_from_released(entry, image_token_id=5)
    shapes = {name: tensor.shape for name, tensor in to_released(meta_state(config), config).items()}
    tensors: Tensors = {}
    peft = "mllm.model.language_model.base_model.model."
    for name, shape in shapes.items():
        if name.startswith("mlp1."):
            tensors[f"mllm.model.{name}"] = fill(name, shape, "trained")
        elif name.startswith(("text_hidden_fcs.", "grounding_encoder.sam2_model.sam_mask_decoder.")):
            tensors[name] = fill(name, shape, "trained")
        elif name.endswith(("embed_tokens.weight", "lm_head.weight")):
            inner = name.removeprefix("language_model.").removesuffix(".weight")
            tensors[f"{peft}{inner}.modules_to_save.default.weight"] = fill(name, shape, "trained")
        elif name.endswith(("q_proj.weight", "v_proj.weight")) and name.startswith("language_model."):
            inner = name.removeprefix("language_model.").removesuffix(".weight")
            tensors[f"{peft}{inner}.lora_A.default.weight"] = fill(name, (rank, shape[1]), "A")
            tensors[f"{peft}{inner}.lora_B.default.weight"] = fill(name, (shape[0], rank), "B")
    change(tensors)
    torch.save({"state_dict": tensors, "meta": meta or {"iter": 8}}, path)
    return path
