"""The reference's mask losses, for parity and for comparing recipes with it; ours are in `losses`.

The reference (bytedance/Sa2VA, 9832e1a) decodes exactly five objects a frame, brings the targets to the logits' grid by
nearest neighbour and measures both losses at points drawn as in PointRend (Kirillov et al., CVPR 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

OBJECTS_PER_FRAME: Final = 5
MASK_WEIGHT: Final = 2.0
DICE_WEIGHT: Final = 0.5
# Added to the number of terms of a mean over points, so that no points are no division by zero.
POINT_DIVISOR_OFFSET: Final = 1e-4


@dataclass(frozen=True, slots=True)
class PointSampling:
    """How many points to draw in each mask.

    Attributes:
        num_points: points that the losses see.
        oversampling: candidates drawn for each point.
        importance: share of points taken from the candidates by uncertainty; the rest is uniform.
    """

    num_points: int = 12544
    oversampling: float = 3.0
    importance: float = 0.75

    @property
    def num_uncertain(self) -> int:
        """Number of points that are the most uncertain candidates."""
        return int(self.importance * self.num_points)


@dataclass(frozen=True, slots=True)
class ReferenceLosses:
    """The two mask losses, each with its weight.

    Attributes:
        mask: binary cross-entropy in nats.
        dice: one minus the soft Dice coefficient.
    """

    mask: Tensor
    dice: Tensor


def repeat_cyclically(num_objects: int, wanted: int = OBJECTS_PER_FRAME) -> list[int]:
    """Return which objects stand in the `wanted` places of a frame: 0, 1, 0, 1, 0 for two objects."""
    return [place % num_objects for place in range(wanted)]


def targets_at_logit_size(targets_NHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Return targets sampled at (h, w) by nearest neighbour, shape (N, h, w); a thin vessel may vanish."""
    return F.interpolate(targets_NHW.float().unsqueeze(1), size=size, mode="nearest").squeeze(1)


def grid_losses(logits_Nhw: Tensor, targets_Nhw: Tensor) -> ReferenceLosses:
    """Return the losses over the whole grid."""
    return _losses(logits_Nhw.flatten(1), targets_Nhw.flatten(1), offset=0.0)


def point_losses(logits_NK: Tensor, targets_NK: Tensor) -> ReferenceLosses:
    """Return the losses over K points of each of N masks."""
    return _losses(logits_NK, targets_NK, offset=POINT_DIVISOR_OFFSET)


def sampled_losses(
    logits_Nhw: Tensor,
    targets_Nhw: Tensor,
    sampling: PointSampling,
    generator: torch.Generator | None = None,
) -> ReferenceLosses:
    """Return the losses at freshly drawn points; the reference's training loss."""
    num_masks, device = logits_Nhw.shape[0], logits_Nhw.device
    num_candidates = int(sampling.num_points * sampling.oversampling)
    num_uniform = sampling.num_points - sampling.num_uncertain
    candidates_NK2 = torch.rand(num_masks, num_candidates, 2, generator=generator, device=device)
    uniform_NK2 = torch.rand(num_masks, num_uniform, 2, generator=generator, device=device)
    points_NK2 = choose_points(logits_Nhw, candidates_NK2, uniform_NK2, sampling.num_uncertain)
    return point_losses(values_at(logits_Nhw, points_NK2), values_at(targets_Nhw, points_NK2))


@torch.no_grad()
def choose_points(logits_Nhw: Tensor, candidates_NK2: Tensor, uniform_NK2: Tensor, num_uncertain: int) -> Tensor:
    """Return the candidates with logits closest to 0, then the uniform points; (x, y) between 0 and 1."""
    uncertainty_NK = -values_at(logits_Nhw, candidates_NK2).abs()
    chosen_NK = uncertainty_NK.topk(num_uncertain, dim=1).indices
    uncertain_NK2 = candidates_NK2.gather(1, chosen_NK.unsqueeze(-1).expand(-1, -1, 2))
    return torch.cat([uncertain_NK2, uniform_NK2], dim=1)


def values_at(maps_Nhw: Tensor, points_NK2: Tensor) -> Tensor:
    """Return the bilinear values of maps at points (x, y) between 0 and 1, outside counting as 0; shape (N, K)."""
    sampled_N11K = F.grid_sample(maps_Nhw.unsqueeze(1), 2 * points_NK2.unsqueeze(1) - 1, align_corners=False)
    return sampled_N11K.flatten(1)


def _losses(logits_NK: Tensor, targets_NK: Tensor, offset: float) -> ReferenceLosses:
    cross_entropy = F.binary_cross_entropy_with_logits(logits_NK, targets_NK, reduction="sum")
    probabilities_NK = logits_NK.sigmoid()
    overlap_N = (probabilities_NK * targets_NK).sum(dim=1)
    total_N = probabilities_NK.sum(dim=1) + targets_NK.sum(dim=1)
    dice_N = 1 - (2 * overlap_N + 1) / (total_N + 1)
    return ReferenceLosses(
        MASK_WEIGHT * cross_entropy / (logits_NK.numel() + offset),
        DICE_WEIGHT * dice_N.sum() / (len(dice_N) + offset),
    )
