"""The losses of Sa2VA, each on its own; the trainer weighs and adds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from angiova.errors import ModelError
from angiova.model.outputs import MaskOutput

MASK_LOSSES = ("mask", "dice", "iou", "presence", "absence", "coarse")
# The label of tokens that nothing is learnt from.
IGNORED_LABEL = -100


def num_terms(batch: Mapping[str, Any]) -> dict[str, int]:
    """Return how many terms each loss of a training batch is the mean of: tokens, masks, or masks that are not empty.

    A step of several micro-batches, on several devices, weighs each by its share of the terms of all; so it learns the
    same however its examples are laid out.

    Args:
        batch: `labels` of shape (B, L), where there are words, and `masks`, (H, W) each.
    """
    masks = batch["masks"]
    counts = dict.fromkeys(("mask", "presence", "absence", "coarse"), len(masks))
    counts["dice"] = counts["iou"] = sum(bool(mask.any()) for mask in masks)
    if "labels" in batch:
        counts["language"] = int((batch["labels"][:, 1:] != IGNORED_LABEL).sum())
    return counts


def language_loss(logits_KV: Tensor, labels_K: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of K supervised tokens over a vocabulary of V."""
    return F.cross_entropy(logits_KV.float(), labels_K)


def mask_loss(logits_NHW: Tensor, targets_NHW: Tensor) -> Tensor:
    """Return the binary cross-entropy in nats of each of N masks, averaged over its pixels; shape (N,)."""
    return F.binary_cross_entropy_with_logits(logits_NHW.float(), targets_NHW.float(), reduction="none").mean(
        dim=(-2, -1)
    )


def dice_loss(logits_NHW: Tensor, targets_NHW: Tensor) -> Tensor:
    """Return one minus the soft Dice coefficient of each of N masks; shape (N,).

    Milletari et al., "V-Net" (3DV 2016), with 1 added above and below the fraction, without squares, as the
    reference does. An empty target costs nearly 1 until nothing is predicted, so callers leave empty targets to the
    cross-entropy.
    """
    probabilities, targets = logits_NHW.float().sigmoid(), targets_NHW.float()
    overlap = (probabilities * targets).sum(dim=(-2, -1))
    total = probabilities.sum(dim=(-2, -1)) + targets.sum(dim=(-2, -1))
    return 1 - (2 * overlap + 1) / (total + 1)


@torch.no_grad()
def measured_iou(logits_NHW: Tensor, targets_NHW: Tensor) -> Tensor:
    """Return the intersection over the union of N masks at probability 0.5 and their targets, shape (N,)."""
    masks_NHW, targets = logits_NHW > 0, targets_NHW.bool()
    shared_N = (masks_NHW & targets).sum(dim=(-2, -1))
    return shared_N / (masks_NHW | targets).sum(dim=(-2, -1)).clamp(min=1)


def mask_losses(output: MaskOutput | None, targets: list[Tensor], anchor: Tensor) -> dict[str, Tensor]:
    """Return the losses of N masks by name: `mask`, `dice`, `iou`, `presence`, `absence`, `coarse`.

    `iou` is how far SAM2's estimate of a mask's IoU is from the truth, absolutely, as SAM 2 is trained (Ravi et al.,
    arXiv 2408.00714, appendix D.2.2); empty targets have none.

    Args:
        output: the decoded masks; None when there are none.
        targets: the target of each mask, shape (H, W) each.
        anchor: any tensor of the graph, for batches without masks.

    Raises:
        ModelError: there are not as many targets as masks.
    """
    num_objects = 0 if output is None else len(output.presence_N)
    if num_objects != len(targets):
        raise ModelError(
            f"{num_objects} [SEG] tokens, but {len(targets)} target masks",
            remedy="a truncated sequence loses masks; raise the maximal length",
        )
    if output is None:
        return {name: zero_loss(anchor) for name in MASK_LOSSES}
    present_N = torch.stack([target.any() for target in targets])
    mask_N, dice_N, iou_N, coarse_N = (anchor.new_zeros(num_objects, dtype=torch.float32) for _ in range(4))
    for group in output.groups:
        members = (group.objects_G,)
        targets_GHW = torch.stack([targets[index] for index in group.objects_G.tolist()])
        coarse_Ghw = output.coarse_N1hw[group.objects_G, 0]
        small_Ghw = coarse_targets(targets_GHW, (coarse_Ghw.shape[-2], coarse_Ghw.shape[-1]))
        coarse_dice_G = dice_loss(coarse_Ghw, small_Ghw) * present_N[group.objects_G]
        mask_N = mask_N.index_put(members, mask_loss(group.logits_GHW, targets_GHW))
        dice_N = dice_N.index_put(members, dice_loss(group.logits_GHW, targets_GHW))
        iou_N = iou_N.index_put(members, measured_iou(group.logits_GHW, targets_GHW).float())
        coarse_N = coarse_N.index_put(members, mask_loss(coarse_Ghw, small_Ghw) + coarse_dice_G)
    presence, absence = presence_losses(output.presence_N, present_N)
    return {
        "mask": mask_N.mean(),
        "dice": mean_where(dice_N, present_N),
        "iou": mean_where((output.predicted_iou_N.float() - iou_N).abs(), present_N),
        "presence": presence,
        "absence": absence,
        "coarse": coarse_N.mean(),
    }


def presence_losses(presence_N: Tensor, present_N: Tensor) -> tuple[Tensor, Tensor]:
    """Return the binary cross-entropy in nats of "the object is in this frame": of objects that are, and that are not.

    Both are sums over their objects divided by all N, so that with equal weights they add up to the plain mean. Frames
    without contrast are rare, and an answer to them is always wrong; their part can be given more weight.
    """
    loss_N = F.binary_cross_entropy_with_logits(presence_N.float(), present_N.float(), reduction="none")
    return (loss_N * present_N).mean(), (loss_N * ~present_N).mean()


def coarse_targets(targets_NHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the share of foreground in each cell of the low-resolution grid, shape (N, h, w), between 0 and 1.

    Averaging keeps a vessel thinner than a cell as a fraction; nearest-neighbour sampling would drop it.
    """
    return F.adaptive_avg_pool2d(targets_NHW.float().unsqueeze(1), size).squeeze(1)


def mean_where(values_N: Tensor, chosen_N: Tensor) -> Tensor:
    """Return the mean of the chosen values, or 0 (still part of the graph) when none is chosen."""
    weights_N = chosen_N.to(values_N.dtype)
    return (values_N * weights_N).sum() / weights_N.sum().clamp(min=1)


def zero_loss(anchor: Tensor) -> Tensor:
    """Return 0 as part of the graph of `anchor`, for batches in which a loss has nothing to measure."""
    return torch.zeros_like(anchor.sum()) * anchor.sum()
