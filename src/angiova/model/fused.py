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
    """Give the language model's LoRA layers, feed-forward parts and norms their faster forms; return how many.

    They change their class, not their method, so that torch.compile finds the same code in every layer.
    """
    fused = 0
    for module in model.vlm.model.language_model.modules():
        faster = _faster_class(module)
        if faster is not None:
            module.__class__ = faster
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


def _faster_class(module: Any) -> type[nn.Module] | None:  # noqa: ANN401
    if type(module) is Qwen2RMSNorm:
        return FusedNorm
    if type(module) is Qwen2MLP and module.config.hidden_act == "silu" and _is_plain(module.down_proj):
        return FusedFeedForward
    return FusedLinear if _is_plain(module) else None


def _is_plain(module: nn.Module) -> bool:
    """Say whether a module is LoRA as it was published, on an ordinary linear layer."""
    if not isinstance(module, LoraLinear) or type(module.base_layer) is not nn.Linear:
        return False
    names: dict[str, bool] = module.lora_bias
    return list(names) == [ADAPTER] and not names[ADAPTER] and not module.lora_variant


class FusedNorm(Qwen2RMSNorm):  # type: ignore[misc]
    """A norm in one pass where its input has the type of its weights."""

    def forward(self, states: Tensor) -> Tensor:
        """Return the normalised states, of the same shape."""
        if states.dtype != self.weight.dtype:
            plain: Tensor = super().forward(states)
            return plain
        return F.rms_norm(states, self.weight.shape, self.weight, self.variance_epsilon)


class FusedLinear(LoraLinear):  # type: ignore[misc]
    """A LoRA layer that adds its update in the matrix product itself."""

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + bias + the update of x."""
        y: Tensor = _apply(x, None, *_operands(self))
        return y


class FusedFeedForward(Qwen2MLP):  # type: ignore[misc]
    """SwiGLU with LoRA that keeps its two factors and computes their product again."""

    def forward(self, x: Tensor) -> Tensor:
        """Return down(silu(gate(x)) * up(x))."""
        if not isinstance(self.down_proj, LoraLinear):  # merged since
            merged: Tensor = super().forward(x)
            return merged
        y: Tensor = _apply(self.gate_proj(x), self.up_proj(x), *_operands(self.down_proj))
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
        g_hidden = _scaled_product(gradient, up, ctx.scale)
        g_up = _scaled_product(gradient.T, hidden, ctx.scale)
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


def _scaled_product(left: Tensor, right: Tensor, scale: float) -> Tensor:
    """Return scale * left @ right in one operation; the compiler, which fuses the factor, is left to do so."""
    if torch.compiler.is_compiling():
        return (left @ right).mul_(scale)
    return torch.addmm(left.new_empty(()), left, right, beta=0, alpha=scale)  # with beta 0 the first is not read


def _dropped(z: Tensor, keep: Tensor, rate: float) -> Tensor:
    gradient: Tensor = torch.ops.aten.native_dropout_backward(z, keep, 1 / (1 - rate))
    return gradient


def _swiglu_backward(g_z: Tensor, x: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    g_factor = F.silu(x).mul_(g_z)
    return torch.ops.aten.silu_backward(g_z.mul_(factor), x), g_factor


_apply: Final[Callable[..., Tensor]] = _LoraLinear.apply
