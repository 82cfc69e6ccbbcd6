"""What of a model's state lies on one of several devices under each strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from angiova.training.plan import PartPlan
from angiova.training.strategies import BUCKET, SHARDS_WEIGHTS

BYTES_FP32: Final = 4
# Parts that are gathered a layer at a time; two layers at once, since the next one is fetched ahead.
LAYERED: Final = ("vision_tower", "language_model", "segmenter_encoder")
LAYERS_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class StateBytes:
    """What one device holds for as long as training lasts.

    Attributes:
        weights: its share of the weights, and what is gathered of the others' shares.
        gradients: its share of the gradients.
        optimizer: its share of the moments, and of the copy of trained weights that DeepSpeed updates.
    """

    weights: int
    gradients: int
    optimizer: int


def state_on_one(rows: Sequence[PartPlan], strategy: str, devices: int, num_layers: int) -> StateBytes:
    """Return the state on one device.

    Args:
        rows: every part of the model, and their sum last.
        strategy: one of the engine's strategies.
        devices: that train together.
        num_layers: of the language model, whose layers are the largest.
    """
    *parts, total = rows
    if strategy == "ddp":
        return StateBytes(total.weight_bytes, total.gradient_bytes, total.optimizer_bytes)
    weights = total.weight_bytes
    if strategy in SHARDS_WEIGHTS:
        layer = max(part.weight_bytes for part in parts if part.name == "language_model") // num_layers
        gathered = sum(part.weight_bytes for part in parts if part.name not in LAYERED) + LAYERS_AT_ONCE * layer
        weights = min(total.weight_bytes // devices + gathered, total.weight_bytes)
    optimizer = total.optimizer_bytes
    bucket = 0
    if strategy != "fsdp2":
        optimizer += BYTES_FP32 * total.trainable
        bucket = BYTES_FP32 * min(BUCKET, total.trainable)
    return StateBytes(weights, total.gradient_bytes // devices + bucket, optimizer // devices)
