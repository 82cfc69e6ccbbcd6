"""Arithmetic a sample: counted once, as the products that are made, and set against what the device can do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from angiova.run_record import Throughput, read_run
from angiova.training.flops import (
    FlopsCount,
    attention_backward_flops,
    attention_flops,
    peak_flops,
    peak_of,
    with_flops,
)
from angiova.training.trainer import train
from models import quick_recipe, write_start

SPEED = Throughput(steps=10, samples_per_second=4.0, device_seconds_per_sample=0.5, data_wait_share=0.0)


def test_a_linear_layer_takes_three_products() -> None:
    layer, x = nn.Linear(5, 7, bias=False), torch.ones(3, 5, requires_grad=True)
    count = FlopsCount()
    with count.counted(num_samples=3):
        layer(x).sum().backward()
    one_product = 2 * 5 * 7  # a multiplication and an addition for each weight, a sample
    assert count.per_sample == 3 * one_product  # the output, the gradient of x and that of the weights


def test_more_samples_take_as_much_each() -> None:
    layer, counts = nn.Linear(5, 7, bias=False), []
    for num_samples in (1, 4):
        count = FlopsCount()
        with count.counted(num_samples):
            layer(torch.ones(num_samples, 5))
        counts.append(count.per_sample)
    assert counts == [2 * 5 * 7] * 2


def test_attention_with_fewer_heads_of_keys_is_counted() -> None:
    query, key, value = (2, 8, 5, 16), (2, 2, 7, 16), (2, 2, 7, 16)
    scores = used = 2 * (2 * 8) * 5 * 7 * 16  # of 16 heads 5 x 7 numbers, each of 16 multiplications and additions
    assert attention_flops(query, key, value) == scores + used
    assert attention_backward_flops(query, query, key, value) == (scores + used) * 5 // 2


def test_utilisation_is_the_share_of_the_peak() -> None:
    speed = with_flops(SPEED, per_sample=1e12, peak=8e12)
    assert speed is not None
    assert speed.flops_per_sample == 1e12
    assert speed.flop_utilisation == pytest.approx(0.25)  # 1 TFLOP in half a second, of 8 TFLOP/s


def test_without_a_known_peak_there_is_no_utilisation() -> None:
    speed = with_flops(SPEED, per_sample=1e12, peak=None)
    assert speed is not None
    assert speed.flop_utilisation is None
    assert with_flops(None, per_sample=1e12, peak=8e12) is None
    assert with_flops(SPEED, per_sample=None, peak=8e12) == SPEED


def test_peaks_are_known_by_name() -> None:
    assert peak_of("NVIDIA H100 80GB HBM3") == pytest.approx(989.4e12)
    assert peak_of("NVIDIA H100 PCIe") == pytest.approx(756e12)
    assert peak_of("NVIDIA GeForce RTX 4090") == pytest.approx(165.2e12)
    assert peak_of("NVIDIA L40S") != peak_of("NVIDIA L4")
    assert peak_of("some other card") is None
    assert peak_flops(torch.device("cpu"), bf16=True) is None


def test_a_run_records_its_arithmetic(tmp_path: Path) -> None:
    write_start(tmp_path)
    counted = []
    for micro in (1, 4):
        train(quick_recipe(tmp_path, f"micro{micro}", batch={"micro": micro}))
        speed = read_run(tmp_path / f"micro{micro}").resources.throughput
        assert speed is not None
        assert speed.flop_utilisation is None
        assert speed.flops_per_sample is not None
        counted.append(speed.flops_per_sample)
    # Encoders and language model are most of it and take the same for each sample; padding and questions differ.
    assert counted[1] == pytest.approx(counted[0], rel=0.3)
