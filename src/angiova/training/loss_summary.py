"""Each loss in two numbers, computed from the log alone; needs no torch, so that an audit can compute them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from angiova.run_record import LossFacts

NUM_AVERAGED: Final = 5


def loss_facts(lines: Sequence[Mapping[str, Any]], weights: Mapping[str, float]) -> dict[str, LossFacts]:
    """Return each loss's mean over the first and over the last few log lines."""
    logged = [line["losses"] for line in lines if "losses" in line]
    if not logged:
        return {}
    return {
        name: LossFacts(
            weight=weight,
            first=_mean([values[name] for values in logged[:NUM_AVERAGED]]),
            last=_mean([values[name] for values in logged[-NUM_AVERAGED:]]),
        )
        for name, weight in weights.items()
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
