"""Training batches on their way from the processes that make them: many small tensors travel as one.

Each tensor that a worker hands over is opened again through a socket of its own, pinned and copied to the device by
itself, and a step of 16 frames has some ninety of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Packed(NamedTuple):
    """Tensors of one type behind each other; a named tuple, which data loaders and accelerate look into.

    Attributes:
        values_K: all their values.
        shapes: the shape of each.
    """

    values_K: Tensor
    shapes: list[tuple[int, ...]]


def packed(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch in which every list of tensors of one type is packed."""
    return {name: _pack(value) if _is_packable(value) else value for name, value in batch.items()}


def unpacked(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the batch as it was before `packed`; the tensors are views of what travelled."""
    return {name: _unpack(value) if isinstance(value, Packed) else value for name, value in batch.items()}


def _is_packable(value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(tensor, Tensor) for tensor in value):
        return False
    return len({tensor.dtype for tensor in value}) == 1


def _pack(tensors: list[Tensor]) -> Packed:
    return Packed(torch.cat([tensor.reshape(-1) for tensor in tensors]), [tuple(tensor.shape) for tensor in tensors])


def _unpack(value: Packed) -> list[Tensor]:
    parts = torch.split(value.values_K, [prod(shape) for shape in value.shapes])
    return [part.view(tuple(shape)) for part, shape in zip(parts, value.shapes, strict=True)]
