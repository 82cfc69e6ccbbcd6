"""How the parts that neither InternVL nor SAM2 brings along start."""

from __future__ import annotations

from torch import nn
from transformers import initialization as init


def initialise(module: nn.Module) -> None:
    """Set the weights of one layer of the bridge or the refiner (He et al., arXiv 1502.01852), biases to zero."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            init.zeros_(module.bias)
    elif isinstance(module, nn.GroupNorm):
        init.ones_(module.weight)
        init.zeros_(module.bias)
