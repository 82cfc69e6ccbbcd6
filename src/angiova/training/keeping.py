"""Learning words without unlearning masks: the prompts of the model that training started from, as something to keep.

Where the segmenter is frozen, masks stay as they are if their prompts do. Keeping those costs one more pass of the
language model and none of the segmenter, and needs no mask to learn from.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from angiova.errors import ConfigError
from angiova.model.modeling import Sa2VAModel
from angiova.model.trainable import TrainableSettings

TRAINED_PARTS = ("segmenter_encoder", "segmenter_decoder", "segmenter_memory", "refiner")


class FirstModel:
    """What a model said of masks before it was trained.

    Args:
        model: the model as training finds it; it is copied.
    """

    def __init__(self, model: Sa2VAModel) -> None:
        self._model: Sa2VAModel = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def with_prompts(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return a training batch with the prompts (N, P) that its masks had then."""
        model = self._model.to(batch["input_ids"].device)
        asks_B = (batch["input_ids"] == model.config.seg_token_id).any(dim=1)
        count = int(asks_B.nonzero().max()) + 1 if asks_B.any() else 1  # those that ask for masks come first
        tile_counts = batch["tile_counts"][:count]
        states_NH = model.seg_states(
            batch["input_ids"][:count],
            batch["attention_mask"][:count],
            batch["tiles"][: sum(tile_counts)],
            tile_counts,
            batch["frame_of_sequence"][:count],
        )
        return dict(batch) | {"kept_prompts": model.bridge(states_NH)}


def check_kept(trainable: TrainableSettings) -> None:
    """Check that masks depend on their prompts alone.

    Raises:
        ConfigError: something that draws masks is trained too.
    """
    trained = [part for part in TRAINED_PARTS if getattr(trainable, part)]
    if trained or trainable.is_adapter:
        what = ", ".join(trained) or "an adapter"
        raise ConfigError(
            f"prompts can be kept only where what draws is frozen, but {what} is trained",
            where="losses.prompts",
            remedy="set language_model: full, and segmenter_decoder and refiner: false, under trainable",
        )
