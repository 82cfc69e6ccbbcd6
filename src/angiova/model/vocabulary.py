"""Training the rows of a few new tokens while the rest of a vocabulary stays as it is.

The reference trains the whole embedding and head, 1.09 billion parameters of an 8B model, for five new tokens. Here the
new rows are parameters of their own beside the frozen matrices; forward gives what the patched matrices would give, and
the gradient never touches a whole matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from angiova.model.modeling import Sa2VAModel


class NewRowEmbedding(nn.Module):
    """A frozen embedding with trained rows for a few consecutive tokens.

    Args:
        base: the frozen embedding.
        rows: trained rows, shape (R, H).
        first: id of the token of the first row.
    """

    def __init__(self, base: nn.Embedding, rows: nn.Parameter, first: int) -> None:
        super().__init__()
        self.base, self.rows, self.first = base, rows, first

    @property
    def weight(self) -> Tensor:
        """The frozen matrix, for code that asks for its dtype, device or size."""
        return self.base.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Return embeddings of shape (*ids.shape, H)."""
        embeds: Tensor = self.base(ids)
        index = ids - self.first
        is_new = (index >= 0) & (index < len(self.rows))
        chosen = nn.functional.embedding(index.clamp(0, len(self.rows) - 1), self.rows)
        return torch.where(is_new.unsqueeze(-1), chosen.to(embeds.dtype), embeds)


class NewRowHead(nn.Module):
    """A frozen output head with trained rows for a few consecutive tokens; arguments as of `NewRowEmbedding`."""

    def __init__(self, base: nn.Linear, rows: nn.Parameter, first: int) -> None:
        super().__init__()
        self.base, self.rows, self.first = base, rows, first

    @property
    def weight(self) -> Tensor:
        """The frozen matrix, for code that asks for its dtype, device or size."""
        return self.base.weight

    def forward(self, states: Tensor) -> Tensor:
        """Return logits of shape (*, V)."""
        logits: Tensor = self.base(states)
        new = nn.functional.linear(states, self.rows.to(states.dtype)).to(logits.dtype)
        return torch.cat([logits[..., : self.first], new, logits[..., self.first + len(self.rows) :]], dim=-1)


def train_new_rows(model: Sa2VAModel, count: int) -> None:
    """Freeze the vocabulary and train the rows of `count` tokens from `[SEG]` on, starting from their values.

    A tied head shares its rows with the embedding, as it shares the matrix.
    """
    first = int(model.config.seg_token_id)
    embedding, head = model.vlm.get_input_embeddings(), model.vlm.lm_head
    embedding.weight.requires_grad_(False)
    head.weight.requires_grad_(False)
    rows = nn.Parameter(embedding.weight[first : first + count].detach().clone())
    is_tied = head.weight is embedding.weight
    head_rows = rows if is_tied else nn.Parameter(head.weight[first : first + count].detach().clone())
    model.vlm.set_input_embeddings(NewRowEmbedding(embedding, rows, first))
    model.vlm.lm_head = NewRowHead(head, head_rows, first)


def merge_new_rows(model: Sa2VAModel) -> None:
    """Write trained rows into the matrices and put the plain modules back; does nothing where there are none."""
    embedding, head = model.vlm.get_input_embeddings(), model.vlm.lm_head
    if isinstance(embedding, NewRowEmbedding):
        model.vlm.set_input_embeddings(_patched(embedding))
    if isinstance(head, NewRowHead):
        model.vlm.lm_head = _patched(head)


def _patched(module: NewRowEmbedding | NewRowHead) -> nn.Module:
    with torch.no_grad():
        target = module.base.weight[module.first : module.first + len(module.rows)]
        target.copy_(module.rows.to(target.dtype))
    return module.base
