"""Putting the recipe's choices between time and memory into effect on a model."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from angiova.errors import ConfigError
from angiova.model.fused import fuse_layers, has_lora, run_frozen_encoders_plainly
from angiova.model.modeling import Sa2VAModel
from angiova.training.engine_settings import EngineSettings

MOST_GRAPHS: Final = 64


def prepare_engine(model: Sa2VAModel, settings: EngineSettings) -> None:
    """Choose attention kernels and compile what is run most; what a step computes stays the same.

    Raises:
        ConfigError: the attention kernels are not installed.
    """
    prefer_flash_attention()
    if settings.attn_implementation != model.config._attn_implementation:
        _choose_attention(model, settings.attn_implementation)
    if settings.fused and has_lora(model):
        fuse_layers(model)
        run_frozen_encoders_plainly(model)
    if settings.gradient_checkpointing:
        _checkpoint_layers(model)
    if settings.torch_compile:
        _compile_layers(model)


def _compile_layers(model: Sa2VAModel) -> None:
    """Compile the layers of the language model and of both encoders; equal ones share one graph."""
    # Blocks of SAM2's encoder differ in width, window and pooling, more often than torch compiles one function anew.
    torch._dynamo.config.recompile_limit = MOST_GRAPHS
    vlm = model.vlm.model
    for layers in (
        vlm.language_model.layers,
        vlm.vision_tower.encoder.layer,
        model.segmenter.vision_encoder.backbone.blocks,
    ):
        for layer in layers:
            layer.compile()


def prefer_flash_attention() -> None:
    """Keep PyTorch from cuDNN's attention, which it prefers on Hopper: it plans anew for every length of a batch.

    The plans took 0.43 s of a step of 0.96 s (InternVL3-8B, micro-batch 8, H100, torch 2.11).
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def uncompiled(settings: EngineSettings) -> AbstractContextManager[Any]:
    """Run what is compiled as it was written: answers grow word by word, and each length would be compiled anew."""
    return torch.compiler.set_stance("force_eager") if settings.torch_compile else nullcontext()


def _checkpoint_layers(model: Sa2VAModel) -> None:
    """Keep only the inputs of the language model's layers, and of encoders' layers that are trained.

    What is frozen and has nothing trained before it keeps no activations anyway.
    """
    language = set(model.vlm.model.language_model.layers)
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer) and (module in language or _is_trained(module)):
            module.gradient_checkpointing = True
            module._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


def _is_trained(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _choose_attention(model: Sa2VAModel, name: str) -> None:
    try:
        model.set_attn_implementation(name)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"{name} cannot be used ({error})",
            where="engine.attn_implementation",
            remedy="install it (pip install flash-attn), or take sdpa",
        ) from None
