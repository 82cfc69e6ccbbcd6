"""Stage: the reference's mask losses, on the grid, at fixed points and through its sampler's own draws."""

from __future__ import annotations

import pytest
import torch

from angiova.model import reference_losses as reference
from angiova.model.reference_losses import PointSampling, ReferenceLosses
from recorded import Comparison, facts, tensors


def compare(losses: ReferenceLosses, wanted: dict[str, float]) -> None:
    assert losses.mask.item() == pytest.approx(wanted["loss_mask"], rel=1e-5)
    assert losses.dice.item() == pytest.approx(wanted["loss_dice"], rel=1e-5)


@pytest.fixture
def grids() -> tuple[torch.Tensor, torch.Tensor]:
    logits = tensors("inputs/inputs")["loss_pred_logits"]
    targets = reference.targets_at_logit_size(tensors("inputs/inputs")["loss_gt"], logits.shape[-2:])
    return logits, targets


def test_targets_on_the_grid_of_the_logits(grids: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert torch.equal(grids[1], tensors("losses")["gt_at_logit_size"].float())
    assert grids[1].sum(dim=(1, 2)).tolist() == facts("losses")["gt_positive_pixels_small"]


def test_full_grid(grids: tuple[torch.Tensor, torch.Tensor]) -> None:
    wanted = facts("losses")["full_grid"]
    compare(reference.grid_losses(*grids), wanted)
    for i in range(len(grids[0])):
        each = {name: wanted[f"{name}_each"][i] for name in ("loss_mask", "loss_dice")}
        compare(reference.grid_losses(grids[0][i : i + 1], grids[1][i : i + 1]), each)


def test_fixed_points(grids: tuple[torch.Tensor, torch.Tensor]) -> None:
    points = tensors("inputs/inputs")["loss_points"]
    ours = [reference.values_at(maps, points) for maps in grids]
    near = Comparison("losses", 1e-5)
    near.near("fixed points of the logits", ours[0], tensors("losses")["fixed_points_pred"])
    near.near("fixed points of the targets", ours[1], tensors("losses")["fixed_points_gt"])
    compare(reference.point_losses(*ours), facts("losses")["fixed_points"])


def test_sampler_with_the_recorded_draws(grids: tuple[torch.Tensor, torch.Tensor]) -> None:
    wanted, drawn = facts("losses")["sampler"], tensors("losses")
    sampling = PointSampling(wanted["num_points"], wanted["oversample_ratio"], wanted["importance_sample_ratio"])
    assert sampling.num_uncertain == wanted["uncertain_points"]
    points = reference.choose_points(
        grids[0], drawn["sampler_candidate_coords"], drawn["sampler_random_coords"], sampling.num_uncertain
    )
    ours = [reference.values_at(maps, points) for maps in grids]
    near = Comparison("losses", 1e-5)
    near.near("sampled logits", ours[0], drawn["sampler_pred"])
    near.near("sampled targets", ours[1], drawn["sampler_gt"])
    compare(reference.point_losses(*ours), wanted)


def test_labels_above_1_as_overlapping_polygons_made_them(grids: tuple[torch.Tensor, torch.Tensor]) -> None:
    doubled = reference.grid_losses(grids[0], 2 * grids[1])
    assert doubled.mask.item() == pytest.approx(facts("losses")["label_value_2_full_grid_loss_mask"], rel=1e-5)
