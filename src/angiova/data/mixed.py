"""Examples of several data sets in one run, such as real angiograms mixed with simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from angiova.data.clips import Clip
from angiova.data.dataset import Example, ExampleDataset
from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord

MIXING_STREAM: Final = 1_000_081


def num_samples(first: int, shares: Sequence[float]) -> list[int]:
    """Return how many samples each data set gives when `first` are of the first, and the others have these shares."""
    return [first, *(round(first * share / (1 - sum(shares))) for share in shares)]


class MixedExamples:
    """All examples of a run that draws from several data sets, in training order.

    Each data set keeps its own order; whose turn it is is drawn once for the whole run, from the seed alone.

    Args:
        datasets: each with as many examples as it has to give, or more.
        counts: how many of each are taken.
        seed: source of the order of turns.
    """

    def __init__(self, datasets: Sequence[ExampleDataset], counts: Sequence[int], seed: int) -> None:
        self._datasets = tuple(datasets)
        turns = np.repeat(np.arange(len(counts)), counts)
        self._whose = np.random.default_rng([seed, MIXING_STREAM]).permutation(turns)
        self._position = np.empty(len(turns), dtype=np.int64)
        for number, count in enumerate(counts):
            self._position[self._whose == number] = np.arange(count)

    @property
    def manifest(self) -> Manifest:
        """The first data set, which is the one validated on."""
        return self._datasets[0].manifest

    @property
    def records(self) -> list[FrameRecord]:
        """The frames trained on, of all data sets."""
        return [record for dataset in self._datasets for record in dataset.records]

    def __len__(self) -> int:
        return len(self._whose)

    def __getitem__(self, index: int) -> Example | Clip:
        dataset, position = self._find(index)
        return dataset[position]

    def size_of(self, index: int) -> tuple[int, int]:
        """Return the number of masks and of letters that an example asks about; see `ExampleDataset.size_of`."""
        dataset, position = self._find(index)
        return dataset.size_of(position)

    def _find(self, index: int) -> tuple[ExampleDataset, int]:
        if not 0 <= index < len(self._whose):
            raise IndexError(index)
        return self._datasets[self._whose[index]], int(self._position[index])
