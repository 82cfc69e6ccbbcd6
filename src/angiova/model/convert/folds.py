"""How tensors of one layout are cut and joined to become tensors of another; each fold is undone without rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from angiova.errors import ModelError


class Fold(Protocol):
    """A way between the released tensors of one `Link` and ours."""

    def unfold(self, released: Sequence[Tensor]) -> list[Tensor]:
        """Return our tensors."""

    def fold(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """Return the released tensors."""


@dataclass(frozen=True, slots=True)
class Same:
    """One tensor under two names."""

    def unfold(self, released: Sequence[Tensor]) -> list[Tensor]:
        """Return our tensor."""
        return list(released)

    def fold(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """Return the released tensor."""
        return list(ours)


@dataclass(frozen=True, slots=True)
class Thirds:
    """InternViT's fused projection, whose first, second and third block of rows are queries, keys and values."""

    def unfold(self, released: Sequence[Tensor]) -> list[Tensor]:
        """Return three blocks of H rows of a tensor of 3 H rows."""
        (fused,) = released
        return [part.contiguous() for part in fused.chunk(3)]

    def fold(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """Join three blocks of rows."""
        return [torch.cat(list(ours))]


@dataclass(frozen=True, slots=True)
class Stack:
    """Several one-row tables that are one table in our layout."""

    def unfold(self, released: Sequence[Tensor]) -> list[Tensor]:
        """Join N tables of shape (1, C) to one of shape (N, C)."""
        return [torch.cat(list(released))]

    def fold(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """Cut a table into its rows."""
        (table_NC,) = ours
        return [row.clone() for row in table_NC.chunk(table_NC.shape[0])]


@dataclass(frozen=True, slots=True)
class Copies:
    """One tensor that our layout holds twice.

    Args:
        names: our names, for the error message.
    """

    names: tuple[str, ...]

    def unfold(self, released: Sequence[Tensor]) -> list[Tensor]:
        """Return a copy for each of our names."""
        (tensor,) = released
        return [tensor, *(tensor.clone() for _ in self.names[1:])]

    def fold(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """Return the one tensor.

        Raises:
            ModelError: the copies differ.
        """
        first, *others = ours
        if first.device.type != "meta" and not all(torch.equal(first, other) for other in others):
            raise ModelError(
                f"{' and '.join(self.names)} differ, but the released layout has one place for both",
                remedy="the checkpoint was edited; make them equal",
            )
        return [first]


@dataclass(frozen=True, slots=True)
class Grouped:
    """InternLM2's fused `wqkv`: for each key-value head, the rows of its query heads, then its key, then its value.

    Args:
        queries_per_key: query heads that share a key-value head.
        head_size: rows of one head.
    """

    queries_per_key: int
    head_size: int

    def unfold(self, released: Sequence[Tensor]) -> list[Tensor]:
        """Return queries, keys and values, heads in order."""
        (fused,) = released
        heads_GKD = fused.view(-1, self.queries_per_key + 2, self.head_size, *fused.shape[1:])
        parts = torch.tensor_split(heads_GKD, [self.queries_per_key, self.queries_per_key + 1], dim=1)
        return [part.flatten(0, 2).contiguous() for part in parts]

    def fold(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """Interleave queries, keys and values again."""
        counts = (self.queries_per_key, 1, 1)
        parts = [t.view(-1, count, self.head_size, *t.shape[1:]) for t, count in zip(ours, counts, strict=True)]
        return [torch.cat(parts, dim=1).flatten(0, 2)]
