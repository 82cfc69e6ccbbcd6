"""The language model's layers with LoRA and frozen encoders in fewer passes over memory; the same functions.

PEFT's layer reads and writes its output three times and keeps a copy of its input for each of seven updates; SwiGLU
keeps its product beside both factors. Here an update is added by the matrix product itself, and what is cheap to
compute again is not kept. In float64 the results are those of the plain layers (a test compares them); in bfloat16 they
round less often.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from transformers.models.qwen2.modeling_qwen2 import Qwen2MLP, Qwen2RMSNorm

from angiova.model.modeling import Sa2VAModel

ADAPTER: Final = "default"


def fuse_layers(model: Sa2VAModel) -> int:
    """Give the language model's LoRA layers, feed-forward parts and norms their faster forms; return how many."""
    fused = 0
    for module in model.vlm.model.language_model.modules():
        forward = _fused_form(module)
        if forward is not None:
            module.forward = forward
            fused += 1
    return fused


def run_frozen_encoders_plainly(model: Sa2VAModel) -> None:
    """Run encoders that are wholly frozen and stored in bfloat16 without autocast, which makes float32 copies.

    Their norms compute in float32 inside either way; what autocast adds is rounded off by the next product.
    """
    for encoder in (model.vlm.model.vision_tower, model.segmenter.vision_encoder):
        kinds = {(parameter.dtype, parameter.requires_grad) for parameter in encoder.parameters()}
        if kinds == {(torch.bfloat16, False)}:
            encoder.forward = partial(_without_autocast, encoder.forward)


def _without_autocast(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    def lower(value: Any) -> Any:  # noqa: ANN401
        """Return real numbers in bfloat16, everything else as it is."""
        is_real = isinstance(value, Tensor) and value.is_floating_point()
        return value.bfloat16() if is_real else value

    device = next(value.device for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        return forward(*map(lower, args), **{name: lower(value) for name, value in kwargs.items()})


def has_lora(model: Sa2VAModel) -> bool:
    """Say whether the language model has LoRA layers."""
    return any(isinstance(module, LoraLayer) for module in model.vlm.model.language_model.modules())


def _fused_form(module: nn.Module) -> Callable[..., Tensor] | None:
    if isinstance(module, Qwen2RMSNorm):
        return partial(_normalise, module, module.forward)
    if isinstance(module, Qwen2MLP) and module.config.hidden_act == "silu" and _is_plain(module.down_proj):
        return partial(_feed_forward, module)
    if _is_plain(module):
        return partial(_linear, module)
    return None


def _is_plain(module: nn.Module) -> bool:
    """Say whether a module is LoRA as it was published, on an ordinary linear layer."""
    if not isinstance(module, LoraLinear) or type(module.base_layer) is not nn.Linear:
        return False
    names: dict[str, bool] = module.lora_bias
    return list(names) == [ADAPTER] and not names[ADAPTER] and not module.lora_variant


def _normalise(norm: Qwen2RMSNorm, plain: Callable[[Tensor], Tensor], states: Tensor) -> Tensor:
    if states.dtype != norm.weight.dtype:
        return plain(states)
    return F.rms_norm(states, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _linear(layer: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    y: Tensor = _apply(x, None, *_operands(layer))
    return y


def _feed_forward(mlp: Qwen2MLP, x: Tensor) -> Tensor:
    if not isinstance(mlp.down_proj, LoraLinear):  # merged since
        merged: Tensor = Qwen2MLP.forward(mlp, x)
        return merged
    y: Tensor = _apply(mlp.gate_proj(x), mlp.up_proj(x), *_operands(mlp.down_proj))
    return y


def _operands(layer: Any) -> tuple[Tensor, Tensor | None, Tensor, Tensor, float, float]:  # noqa: ANN401
    """Return weight and bias of the base, both halves of the update as they are used, its factor and its dropout."""
    weight, dropout = layer.base_layer.weight, layer.lora_dropout[ADAPTER]
    rate = dropout.p if isinstance(dropout, nn.Dropout) and layer.training else 0.0
    down, up = (half[ADAPTER].weight.to(weight.dtype) for half in (layer.lora_A, layer.lora_B))
    return weight, layer.base_layer.bias, down, up, float(layer.scaling[ADAPTER]), rate


class _LoraLinear(Function):
    """A frozen linear layer and its update, on `x`, or on silu(x) * `factor` where there is one.

    y = W z + bias + scale * B A dropout(z). W and its bias get no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        factor: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scale: float,
        rate: float,
    ) -> Tensor:
        shape = x.shape[:-1]
        x = x.flatten(0, -2).to(weight.dtype)
        factor = None if factor is None else factor.flatten(0, -2).to(weight.dtype)
        z = x if factor is None else F.silu(x).mul_(factor)
        y = F.linear(z, weight, bias)
        keep = None
        if rate:
            z, keep = torch.native_dropout(z, rate, True)
        hidden = z @ down.T
        y.addmm_(hidden, up.T, alpha=scale)
        ctx.save_for_backward(x, factor, weight, down, up, hidden, keep)
        ctx.scale, ctx.rate = scale, rate
        return y.view(*shape, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, factor, weight, down, up, hidden, keep = ctx.saved_tensors
        shape, gradient = gradient.shape[:-1], gradient.flatten(0, -2)
        z = x if factor is None else F.silu(x).mul_(factor)
        g_hidden = (gradient @ up).mul_(ctx.scale)
        g_up = (gradient.T @ hidden).mul_(ctx.scale)
        g_down = g_hidden.T @ (z if keep is None else _dropped(z, keep, ctx.rate))
        g_z = gradient @ weight
        if keep is None:
            g_z.addmm_(g_hidden, down)
        else:
            g_z.add_(_dropped(g_hidden @ down, keep, ctx.rate))
        g_x, g_factor = (g_z, None) if factor is None else _swiglu_backward(g_z, x, factor)
        g_x = g_x.view(*shape, -1)
        g_factor = None if g_factor is None else g_factor.view(*shape, -1)
        return g_x, g_factor, None, None, g_down, g_up, None, None


def _dropped(z: Tensor, keep: Tensor, rate: float) -> Tensor:
    gradient: Tensor = torch.ops.aten.native_dropout_backward(z, keep, 1 / (1 - rate))
    return gradient


def _swiglu_backward(g_z: Tensor, x: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    g_factor = F.silu(x).mul_(g_z)
    return torch.ops.aten.silu_backward(g_z.mul_(factor), x), g_factor


_apply: Final[Callable[..., Tensor]] = _LoraLinear.apply
