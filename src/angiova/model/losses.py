"""The losses of Sa2VA, each on its own; the trainer weighs and adds them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from angiova.errors import ModelError
from angiova.model.outputs import MaskOutput

FOCAL_GAMMA = 2
# Erosions of the soft skeleton; must reach the middle of the widest vessel, here of 20 pixels.
SKELETON_STEPS = 10
# Losses of what is in the frame; an empty target is left to the cross-entropy.
REGION_LOSSES = ("dice", "cldice", "iou")
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
    counts = dict.fromkeys((*MASK_LOSSES, *OPTIONAL_LOSSES), len(masks))
    counts["prompts"] = len(masks)
    counts |= dict.fromkeys(REGION_LOSSES, sum(bool(mask.any()) for mask in masks))
    if "labels" in batch:
        counts["language"] = int((batch["labels"][:, 1:] != IGNORED_LABEL).sum())
    return counts


def language_loss(logits_KV: Tensor, labels_K: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of K supervised tokens over a vocabulary of V."""
    return F.cross_entropy(logits_KV.float(), labels_K)


def prompt_loss(prompts_NP: Tensor, kept_NP: Tensor) -> Tensor:
    """Return how far N prompts of masks, (N, P), are from those to be kept: squared distance over squared length, mean.

    Learning a new task beside answers that are to stay as they are: Li and Hoiem, "Learning without Forgetting",
    ECCV 2016, with the prompts for outputs.
    """
    prompts_NP, kept_NP = prompts_NP.float(), kept_NP.float()
    squared_N = (prompts_NP - kept_NP).square().sum(dim=1) / kept_NP.square().sum(dim=1).clamp(min=1e-12)
    return squared_N.mean() if len(squared_N) else zero_loss(prompts_NP)


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


def focal_loss(logits_NHW: Tensor, targets_NHW: Tensor) -> Tensor:
    """Return the focal loss in nats of each of N masks, averaged over its pixels; shape (N,).

    The cross-entropy of a pixel times the squared probability of the wrong answer, so that the many easy pixels of the
    background weigh little (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, gamma 2, no alpha).
    """
    targets = targets_NHW.float()
    nats_NHW = F.binary_cross_entropy_with_logits(logits_NHW.float(), targets, reduction="none")
    wrong_NHW = (logits_NHW.float().sigmoid() - targets).abs()
    return (wrong_NHW**FOCAL_GAMMA * nats_NHW).mean(dim=(-2, -1))


def cldice_loss(logits_NHW: Tensor, targets_NHW: Tensor) -> Tensor:
    """Return one minus the soft centreline Dice of each of N masks; shape (N,).

    A vessel cut in two costs as much as a long piece of its centreline, where Dice hardly moves. Shit et al., "clDice",
    CVPR 2021, algorithm 2, with 1 added above and below the fractions.
    """
    probabilities, targets = logits_NHW.float().sigmoid(), targets_NHW.float()
    precision_N = _share_inside(soft_skeleton(probabilities), targets)
    sensitivity_N = _share_inside(soft_skeleton(targets), probabilities)
    return 1 - 2 * precision_N * sensitivity_N / (precision_N + sensitivity_N)


def soft_skeleton(masks_NHW: Tensor) -> Tensor:
    """Return what is left where masks between 0 and 1 are eroded away, shape (N, H, W); algorithm 1 of clDice."""
    x_N1HW = masks_NHW.unsqueeze(1)
    skeleton_N1HW = torch.zeros_like(x_N1HW)
    for _ in range(SKELETON_STEPS):
        eroded_N1HW = _erode(x_N1HW)
        ridge_N1HW = F.relu(x_N1HW - F.max_pool2d(eroded_N1HW, 3, stride=1, padding=1))
        skeleton_N1HW = skeleton_N1HW + F.relu(ridge_N1HW - skeleton_N1HW * ridge_N1HW)
        x_N1HW = eroded_N1HW
    return skeleton_N1HW.squeeze(1)


def mask_losses(
    output: MaskOutput | None, targets: list[Tensor], anchor: Tensor, optional: Collection[str] = ()
) -> dict[str, Tensor]:
    """Return the losses of N masks by name: those of MASK_LOSSES, and the optional ones that are asked for.

    `iou` is how far SAM2's estimate of a mask's IoU is from the truth, absolutely, as SAM 2 is trained (Ravi et al.,
    arXiv 2408.00714, appendix D.2.2).

    Args:
        output: the decoded masks; None when there are none.
        targets: the target of each mask, shape (H, W) each.
        anchor: any tensor of the graph, for batches without masks.
        optional: names of OPTIONAL_LOSSES.

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
        return {name: zero_loss(anchor) for name in (*MASK_LOSSES, *optional)}
    present_N = torch.stack([target.any() for target in targets])
    measures: dict[str, Callable[[Tensor, Tensor], Tensor]]
    measures = {"mask": mask_loss, "dice": dice_loss, "iou": measured_iou}
    measures |= {name: OPTIONAL_LOSSES[name] for name in optional}
    values = {name: anchor.new_zeros(num_objects, dtype=torch.float32) for name in (*measures, "coarse")}
    for group in output.groups:
        members = (group.objects_G,)
        targets_GHW = torch.stack([targets[index] for index in group.objects_G.tolist()])
        for name, measure in measures.items():
            values[name] = values[name].index_put(members, measure(group.logits_GHW, targets_GHW))
        coarse_Ghw = output.coarse_N1hw[group.objects_G, 0]
        small_Ghw = coarse_targets(targets_GHW, (coarse_Ghw.shape[-2], coarse_Ghw.shape[-1]))
        coarse_dice_G = dice_loss(coarse_Ghw, small_Ghw) * present_N[group.objects_G]
        values["coarse"] = values["coarse"].index_put(members, mask_loss(coarse_Ghw, small_Ghw) + coarse_dice_G)
    values["iou"] = (output.predicted_iou_N.float() - values["iou"]).abs()
    means = {name: mean_where(v, present_N) if name in REGION_LOSSES else v.mean() for name, v in values.items()}
    presence, absence = presence_losses(output.presence_N, present_N)
    return means | {"presence": presence, "absence": absence}


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


def _erode(x_N1HW: Tensor) -> Tensor:
    """Return the minimum over each pixel and its four neighbours."""
    return torch.minimum(
        -F.max_pool2d(-x_N1HW, (3, 1), stride=1, padding=(1, 0)),
        -F.max_pool2d(-x_N1HW, (1, 3), stride=1, padding=(0, 1)),
    )


def _share_inside(skeletons_NHW: Tensor, masks_NHW: Tensor) -> Tensor:
    inside_N = (skeletons_NHW * masks_NHW).sum(dim=(-2, -1))
    return (inside_N + 1) / (skeletons_NHW.sum(dim=(-2, -1)) + 1)


# Measured only where a recipe gives them weight.
OPTIONAL_LOSSES: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {"focal": focal_loss, "cldice": cldice_loss}
