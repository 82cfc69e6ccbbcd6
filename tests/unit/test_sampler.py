"""Examples of like length stand together; steps stay the same however they are laid out."""

from __future__ import annotations

import numpy as np

from angiova.training.sampler import BucketedOrder

LENGTHS = [int(n) for n in np.random.default_rng(0).integers(1, 100, size=70)]


def padding(order: list[int], micro: int) -> int:
    batches = [[LENGTHS[i] for i in order[start : start + micro]] for start in range(0, len(order), micro)]
    return sum(max(batch) * len(batch) - sum(batch) for batch in batches)


def test_every_example_comes_once_and_in_the_same_window() -> None:
    order = list(BucketedOrder(LENGTHS, per_step=8, steps_together=4, seed=3))
    assert sorted(order) == list(range(70))
    assert [index // 32 for index in order] == [position // 32 for position in range(70)]


def test_padding_shrinks_with_the_steps_sorted_together() -> None:
    plain, inside, together = (
        padding(list(BucketedOrder(LENGTHS, 8, steps, 0)) if steps else list(range(70)), micro=4) for steps in (0, 1, 4)
    )
    assert together < 0.5 * inside < 0.5 * plain


def test_steps_of_a_window_do_not_come_sorted() -> None:
    order = list(BucketedOrder(sorted(LENGTHS), per_step=4, steps_together=16, seed=1))
    first = [order[start] for start in range(0, 64, 4)]
    assert first != sorted(first)
    assert order != list(BucketedOrder(sorted(LENGTHS), per_step=4, steps_together=16, seed=2))


def test_one_step_alone_keeps_its_examples() -> None:
    order = list(BucketedOrder(LENGTHS, per_step=10, steps_together=1, seed=0))
    assert all(sorted(order[start : start + 10]) == list(range(start, start + 10)) for start in range(0, 70, 10))
