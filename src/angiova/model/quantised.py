"""A frozen language model in four bits, for adapters on small cards (Dettmers et al., "QLoRA", NeurIPS 2023)."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import nn

from angiova.errors import ConfigError
from angiova.model.modeling import Sa2VAModel

# NF4 with doubly quantised scales: four bits a weight, one byte for 64 of them, and a float32 for 256 such bytes.
BYTES_A_WEIGHT: Final = 0.5 + 1 / 64 + 4 / (64 * 256)


def quantise_language_model(model: Sa2VAModel, device: torch.device, compute_dtype: torch.dtype) -> None:
    """Store the linear layers of the language model as NF4 on `device`; embeddings, head and norms stay as they are.

    Weights are moved layer by layer, so that the device never holds them at full width.

    Args:
        model: the model, on the CPU.
        device: where it will be trained.
        compute_dtype: type in which products are made of them.

    Raises:
        ConfigError: bitsandbytes is not installed.
    """
    for layer in model.vlm.model.language_model.layers:
        for parent in list(layer.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, _quantised(child, device, compute_dtype))


def is_quantised(parameter: nn.Parameter) -> bool:
    """Say whether a parameter holds packed weights of four bits."""
    return getattr(parameter, "quant_state", None) is not None


def num_weights(parameter: nn.Parameter) -> int:
    """Return how many weights a quantised parameter stands for; it holds two in a byte."""
    state: Any = parameter.quant_state  # type: ignore[attr-defined]
    return int(torch.Size(state.shape).numel())


def num_stored_bytes(parameter: nn.Parameter) -> int:
    """Return what a quantised parameter and its scales take."""
    return round(num_weights(parameter) * BYTES_A_WEIGHT)


def _quantised(linear: nn.Linear, device: torch.device, compute_dtype: torch.dtype) -> nn.Module:
    try:
        from bitsandbytes.nn import Linear4bit, Params4bit
    except ImportError:
        raise ConfigError(
            "bitsandbytes is not installed", where="trainable.load_in_4bit", remedy="pip install 'angiova[qlora]'"
        ) from None
    made = Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=linear.bias is not None,
        compute_dtype=compute_dtype,
        quant_type="nf4",
        device="meta",
    )
    made.weight = Params4bit(linear.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True)
    if linear.bias is not None:
        made.bias = nn.Parameter(linear.bias.data, requires_grad=False)
    quantised: nn.Module = made.to(device)
    return quantised
