"""Losses against answers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from angiova.model import losses


def test_mask_loss_of_an_undecided_mask_is_ln_2_a_pixel() -> None:
    targets = torch.zeros(2, 4, 4, dtype=torch.bool)
    targets[1, :2] = True
    torch.testing.assert_close(losses.mask_loss(torch.zeros(2, 4, 4), targets), torch.full((2,), math.log(2)))


def test_dice_loss_of_an_undecided_mask() -> None:
    target = torch.zeros(1, 4, 4, dtype=torch.bool)
    target[0, 0] = True  # 4 of 16 pixels: overlap 0.5 * 4, total 0.5 * 16 + 4
    expected = 1 - (2 * 2 + 1) / (12 + 1)
    assert losses.dice_loss(torch.zeros(1, 4, 4), target).item() == pytest.approx(expected)


def test_dice_loss_of_a_right_and_of_a_wrong_mask() -> None:
    target = torch.zeros(1, 4, 4, dtype=torch.bool)
    target[0, :2] = True
    sure = torch.where(target, 50.0, -50.0)
    assert losses.dice_loss(sure, target).item() == pytest.approx(0, abs=1e-6)
    assert losses.dice_loss(-sure, target).item() == pytest.approx(1 - 1 / 17)


def test_coarse_targets_keep_a_thin_vessel_as_a_fraction() -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.bool)
    target[0, 3] = True  # one row of eight; nearest-neighbour sampling at rows 0, 4 would lose it
    torch.testing.assert_close(losses.coarse_targets(target, (2, 2)), torch.tensor([[[0.25, 0.25], [0.0, 0.0]]]))


def test_presence_losses_of_an_undecided_head_share_ln_2() -> None:
    presence, absence = losses.presence_losses(torch.zeros(3), torch.tensor([True, False, True]))
    assert presence.item() == pytest.approx(2 / 3 * math.log(2))
    assert absence.item() == pytest.approx(1 / 3 * math.log(2))


def test_mean_where_ignores_the_others_and_is_zero_when_none_is_chosen() -> None:
    values = torch.tensor([1.0, 5.0, 9.0], requires_grad=True)
    assert losses.mean_where(values, torch.tensor([True, False, True])).item() == 5.0
    nothing = losses.mean_where(values, torch.zeros(3, dtype=torch.bool))
    nothing.backward()
    assert nothing.item() == 0
    torch.testing.assert_close(values.grad, torch.zeros(3))


def test_language_loss_of_even_guessing_is_ln_of_the_vocabulary() -> None:
    assert losses.language_loss(torch.zeros(3, 7), torch.tensor([0, 3, 6])).item() == pytest.approx(math.log(7))
