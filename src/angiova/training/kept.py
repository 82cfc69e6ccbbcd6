"""What a step keeps for its backward pass, counted without computing it: layers run on the meta device.

Attention and norms are counted as their GPU kernels keep them, which is less than what the same functions keep when
they are composed of single operations, as on the meta device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd import Function
from transformers import AttentionInterface
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm, repeat_kv

from angiova.model import losses
from angiova.model.modeling import Sa2VAModel
from angiova.model.refiner import resample, working_size
from angiova.model.segmenter import FrameFeatures, decode_objects

COUNTED: Final = "counted"


def language_bytes(model: Sa2VAModel, examples: int, tokens: int, dtype: torch.dtype, checkpointing: bool) -> int:
    """Return what the language model's layers keep, in bytes.

    Args:
        model: on the meta device, as it is trained.
        examples: of a micro-batch.
        tokens: of the longest.
        dtype: in which it computes.
        checkpointing: whether only the input of each layer is kept, and one layer is computed again at a time.
    """
    language = model.vlm.model.language_model
    states = torch.empty(
        examples, tokens, model.config.text_hidden_size, dtype=dtype, device="meta", requires_grad=True
    )
    positions = torch.arange(tokens, device="meta").expand(examples, -1)
    rotation = language.rotary_emb(states, positions)
    layer = language.layers[0]
    _count_as_kernels(model, layer)
    layer_bytes = _kept_bytes(
        model, lambda: layer(states, attention_mask=None, position_ids=positions, position_embeddings=rotation)
    )
    num_layers = len(language.layers)
    kept: int = num_layers * states.nbytes + layer_bytes if checkpointing else num_layers * layer_bytes
    return kept


def mask_bytes(model: Sa2VAModel, frames: int, masks: int, side_px: int, dtype: torch.dtype) -> int:
    """Return what decoder, refiner and losses keep for masks of square frames, in bytes."""
    with torch.device("meta"):
        return _kept_bytes(model, lambda: _decode(model, frames, masks, side_px, dtype))


def logits_bytes(model: Sa2VAModel, words: int, dtype: torch.dtype) -> int:
    """Return what the cross-entropy of so many words over the vocabulary takes at its highest, in bytes.

    Logits twice, since rows of new tokens are put in, and in float32 with their logarithms and their gradients.
    """
    vocabulary = int(model.vlm.lm_head.weight.shape[0])
    return words * vocabulary * (2 * dtype.itemsize + 3 * torch.float32.itemsize)


def _decode(model: Sa2VAModel, frames: int, masks: int, side_px: int, dtype: torch.dtype) -> Tensor:
    """Run everything between prompts and losses on tensors without content."""
    sam, grid = model.segmenter, model.config.segmenter_px // 16
    width = model.config.prompt_hidden_size
    coarse = torch.empty(masks, width, grid, grid, dtype=dtype)
    fine, middle = (torch.empty(masks, width // 8 * n, grid * s, grid * s, dtype=dtype) for n, s in ((1, 4), (2, 2)))
    prompts = torch.empty(masks, width, dtype=dtype, requires_grad=True)
    sam.to(dtype)
    decoded = decode_objects(sam, FrameFeatures(coarse, coarse, (fine, middle)), prompts, "single")
    logits = decoded.logits_N1hw[:, 0]
    if model.refiner is not None:
        refiner = model.refiner.to(dtype)
        seen_px = working_size((side_px, side_px), model.config.refiner_px)
        detail = refiner.detail(torch.empty(frames, 1, *seen_px, dtype=dtype))
        maps = torch.cat([refiner.mix([detail], [1], decoded.tokens_NC[:1]) for _ in range(masks)])
        logits = resample(refiner.fuse(maps, decoded.logits_N1hw), (side_px, side_px))
    else:
        logits = nn.functional.interpolate(decoded.logits_N1hw, size=(side_px, side_px), mode="bilinear")[:, 0]
    targets = torch.empty(masks, side_px, side_px, dtype=torch.bool)
    small = losses.coarse_targets(targets, (4 * grid, 4 * grid))
    measured = [losses.mask_loss(logits, targets), losses.dice_loss(logits, targets)]
    low = decoded.logits_N1hw[:, 0]
    return torch.stack([*measured, losses.mask_loss(low, small), losses.dice_loss(low, small)]).sum()


def _kept_bytes(model: Sa2VAModel, compute: Callable[[], object]) -> int:
    """Return the bytes of every storage that is kept for the backward pass, weights left out."""
    storages: dict[int, Any] = {}

    def note(tensor: Tensor) -> Tensor:
        """Remember whose bytes are kept."""
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = compute()
    del result
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    return sum(storage.nbytes() for key, storage in storages.items() if key not in weights)


def _count_as_kernels(model: Sa2VAModel, layer: nn.Module) -> None:
    AttentionInterface.register(COUNTED, _attention)
    model.vlm.config.text_config._attn_implementation = COUNTED
    for module in layer.modules():
        if isinstance(module, Qwen2RMSNorm):
            module.forward = _KernelNorm.apply


class _KernelNorm(Function):
    """A norm that keeps its input and one number a token."""

    @staticmethod
    def forward(ctx: Any, states: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(states, states[..., :1].float().clone())
        return torch.empty_like(states)


class _KernelAttention(Function):
    """Attention that keeps its inputs, its output and one number a head and token."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # noqa: ANN401
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output, query[..., 0].float().clone())
        return output


def _attention(
    module: Any,  # noqa: ANN401
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **_: object,
) -> tuple[Tensor, None]:
    groups = module.num_key_value_groups
    output = _attend(query, repeat_kv(key, groups), repeat_kv(value, groups))
    return output.transpose(1, 2).contiguous(), None


_attend: Final[Callable[[Tensor, Tensor, Tensor], Tensor]] = _KernelAttention.apply
