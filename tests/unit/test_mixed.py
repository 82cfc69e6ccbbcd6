"""Examples of several data sets in one run: shares, order, and what is written down about them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from angiova.data.augment import NO_AUGMENTATION
from angiova.data.dataset import Example, ExampleDataset, ExampleSettings
from angiova.data.manifest import Manifest
from angiova.data.mixed import MixedExamples, num_samples
from angiova.data.records import Split
from angiova.training.config import DataSettings
from models import write_frames


def examples_of(folder: Path, repeats: int) -> ExampleDataset:
    manifest = Manifest(folder) if folder.exists() else write_frames(folder)
    return ExampleDataset(manifest, Split.TRAIN, repeats, 0, ExampleSettings(), NO_AUGMENTATION)


def mixed(folder: Path, seed: int = 0) -> MixedExamples:
    """Sixteen examples of one data set and eight of another."""
    return MixedExamples([examples_of(folder / "a", 4), examples_of(folder / "b", 3)], (16, 8), seed)


@pytest.mark.parametrize(
    ("first", "shares", "expected"),
    [(700, [], [700]), (700, [0.3], [700, 300]), (500, [0.25, 0.25], [500, 250, 250])],
)
def test_shares_are_of_all_samples(first: int, shares: list[float], expected: list[int]) -> None:
    assert num_samples(first, shares) == expected


def test_every_data_set_keeps_its_order_and_gives_its_count(tmp_path: Path) -> None:
    both = mixed(tmp_path)
    assert len(both) == 24
    assert [record.frame_id for record in both.records] == ["f0", "f1", "f4", "f5"] * 2
    whose = [both._find(index)[0].manifest.folder.name for index in range(len(both))]
    assert Counter(whose) == {"a": 16, "b": 8}
    assert whose != sorted(whose)
    for name, alone in (("a", examples_of(tmp_path / "a", 4)), ("b", examples_of(tmp_path / "b", 3))):
        indices = [index for index in range(len(both)) if whose[index] == name]
        for position, index in enumerate(indices):
            here, there = both[index], alone[position]
            assert isinstance(here, Example)
            assert isinstance(there, Example)
            assert here.turns == there.turns
            np.testing.assert_array_equal(here.image_HW, there.image_HW)
            assert both.size_of(index) == alone.size_of(position)


def test_the_order_depends_on_the_seed_alone(tmp_path: Path) -> None:
    def turns(seed: int) -> list[int]:
        return [int(number) for number in mixed(tmp_path / "sets", seed)._whose]

    assert turns(3) == turns(3)
    assert turns(3) != turns(4)


def test_there_is_nothing_behind_the_end(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        mixed(tmp_path)[24]


def test_validation_stays_with_the_first(tmp_path: Path) -> None:
    assert mixed(tmp_path).manifest.folder == tmp_path / "a"


def test_shares_leave_something_for_the_first() -> None:
    also = [{"folder": "b", "share": 0.5}, {"folder": "c", "share": 0.5}]
    with pytest.raises(ValidationError, match="must stay below 1"):
        DataSettings.model_validate({"folder": "a", "also": also})
