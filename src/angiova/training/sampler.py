"""The order in which examples are trained on: the data set's own, with examples of like length beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

BUCKET_STREAM = 1_000_211


class BucketedOrder(Sampler[int]):
    """Sorts the examples of several optimizer steps together by their length, so that little is padding.

    Which examples make a step depends on the lengths, the seed and the size of a step alone, not on how the step is
    laid out over micro-steps and devices; inside a step they come sorted, so that micro-batches are even.

    Args:
        lengths: of every example, in the data set's order, in any unit.
        per_step: examples of an optimizer step.
        steps_together: optimizer steps whose examples are sorted together.
        seed: of the order of the steps.
    """

    def __init__(self, lengths: Sequence[int], per_step: int, steps_together: int, seed: int) -> None:
        self._order = _bucketed(np.asarray(lengths), per_step, steps_together, seed)

    def __iter__(self) -> Iterator[int]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)


def _bucketed(lengths: np.ndarray, per_step: int, steps_together: int, seed: int) -> list[int]:
    order: list[int] = []
    window = per_step * steps_together
    for number, start in enumerate(range(0, len(lengths), window)):
        indices = np.arange(start, min(start + window, len(lengths)))
        by_length = indices[np.argsort(lengths[indices], kind="stable")]
        whole = len(by_length) // per_step * per_step
        steps = by_length[:whole].reshape(-1, per_step)
        shuffled = np.random.default_rng([seed, BUCKET_STREAM, number]).permutation(len(steps))
        order += [int(index) for step in shuffled for index in steps[step]]
        order += [int(index) for index in by_length[whole:]]
    return order
