"""Batches arrive as they were packed, whatever they hold."""

from __future__ import annotations

import torch
from accelerate.utils import send_to_device
from torch.utils.data import DataLoader

from angiova.training.packing import Packed, packed, unpacked


def test_lists_of_tensors_travel_as_one_and_come_back() -> None:
    masks = [torch.rand(4, 6) > 0.5, torch.rand(3, 2) > 0.5, torch.zeros(0, 5, dtype=torch.bool)]
    batch = {"masks": masks, "input_ids": torch.arange(6), "tile_counts": [1, 2], "none": []}

    travelling = packed(batch)
    arrived = unpacked(travelling)

    assert isinstance(travelling["masks"], Packed)
    assert all(torch.equal(mask, got) for mask, got in zip(masks, arrived["masks"], strict=True))
    assert arrived["input_ids"] is batch["input_ids"]
    assert (arrived["tile_counts"], arrived["none"]) == ([1, 2], [])


def test_tensors_of_several_types_are_left_alone() -> None:
    mixed = [torch.zeros(2), torch.zeros(2, dtype=torch.bool)]

    assert packed({"mixed": mixed})["mixed"] is mixed


def test_a_loader_and_accelerate_keep_what_is_packed() -> None:
    images = [torch.rand(1, 5, 4), torch.rand(1, 3, 2)]
    loader = DataLoader([0, 1], batch_size=2, collate_fn=lambda _: packed({"images": images}), num_workers=1)

    arrived = unpacked(send_to_device(next(iter(loader)), torch.device("cpu")))

    assert [image.shape for image in arrived["images"]] == [(1, 5, 4), (1, 3, 2)]
    assert all(torch.equal(image, got) for image, got in zip(images, arrived["images"], strict=True))
