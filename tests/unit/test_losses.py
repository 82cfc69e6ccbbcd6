"""Losses against answers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from angiova.model import losses
from angiova.model.outputs import MaskGroup, MaskOutput


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


def test_focal_loss_of_an_undecided_mask_is_a_quarter_of_the_cross_entropy() -> None:
    target = torch.eye(4, dtype=torch.bool).unsqueeze(0)
    assert losses.focal_loss(torch.zeros(1, 4, 4), target).item() == pytest.approx(0.25 * math.log(2))


def bar(width: int, gap: int = 0) -> torch.Tensor:
    """Return a vessel across a square of 32 pixels, cut in two by a gap, as a mask."""
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[0, 16 - width // 2 : 16 - width // 2 + width] = True
    mask[0, :, 16 - gap // 2 : 16 - gap // 2 + gap] = False
    return mask


def sure(mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, 50.0, -50.0)


def test_cldice_loss_of_a_right_mask_is_zero_and_of_a_gap_its_share_of_the_centreline() -> None:
    target = bar(5)
    assert losses.cldice_loss(sure(target), target).item() == pytest.approx(0, abs=1e-6)
    skeleton = losses.soft_skeleton(target.float())
    assert 0 < skeleton.sum() <= 32 and skeleton[~target].sum() == 0
    lost = (skeleton * ~bar(5, gap=4)).sum() / skeleton.sum()
    sensitivity = 1 - lost.item() * 32 / 33  # 1 added above and below
    found = losses.cldice_loss(sure(bar(5, gap=4)), target).item()
    assert found == pytest.approx(1 - 2 * sensitivity / (1 + sensitivity), abs=0.02)


def test_cldice_sees_gaps_where_dice_sees_width() -> None:
    target = bar(5)
    gap, narrow = sure(bar(5, gap=4)), sure(bar(3))
    assert losses.cldice_loss(gap, target) > losses.cldice_loss(narrow, target)
    assert losses.dice_loss(gap, target) < losses.dice_loss(narrow, target)


def test_optional_losses_are_measured_when_asked_for_and_have_gradients() -> None:
    logits = torch.zeros(2, 32, 32, requires_grad=True)
    output = MaskOutput(
        [MaskGroup(torch.arange(2), logits)], torch.zeros(2, 1, 8, 8), torch.zeros(2), torch.full((2,), 0.5)
    )
    targets = [bar(5)[0], torch.zeros(32, 32, dtype=torch.bool)]
    plain = losses.mask_losses(output, targets, logits)
    assert set(plain) == set(losses.MASK_LOSSES)
    assert plain["iou"].item() == pytest.approx(0.5)  # the true IoU of an empty answer to a vessel is 0
    found = losses.mask_losses(output, targets, logits, optional=("focal", "cldice"))
    assert found["dice"].item() == plain["dice"].item()
    for name in ("focal", "cldice"):
        (gradient,) = torch.autograd.grad(found[name], logits, retain_graph=True)
        assert gradient[0].any() and gradient.isfinite().all()
        assert gradient[1].any() == (name == "focal")
