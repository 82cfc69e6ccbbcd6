"""Stage: the reference's training forward and backward: losses, masks and gradients, on the grid and at its points.

The recording does not say which pictures it used; those below are the ones that give its loss to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from angiova.model import reference_losses as reference
from angiova.model.convert.names import links_of
from angiova.model.modeling import Sa2VAModel
from angiova.model.processing import Sa2VAProcessor, standardise
from angiova.model.reference_losses import ReferenceLosses
from recorded import Comparison, byte_tokenizer, facts, frames_of, network, pixels, plan, tensors

CASES = ("image2obj", "video3f")
GRADIENT_TOLERANCE = 2e-4


@dataclass
class Step:
    """One training step: what the model said, and the gradients it left, by their released names."""

    language: Tensor
    logits_Nhw: Tensor
    losses: ReferenceLosses
    gradients: dict[str, Tensor | None]


@pytest.fixture(scope="module")
def model() -> Iterator[Sa2VAModel]:
    ours = network("tiny")
    before, ours.config.pixel_statistics = ours.config.pixel_statistics, "exact"
    yield ours
    ours.config.pixel_statistics = before


def names_of(case: str) -> list[str]:
    """Return the first picture, or the first, middle and last frame of the first run."""
    if case == "image2obj":
        return [plan()["ab"][0]]
    run, num_frames = next(iter(plan()["video"].items()))
    return frames_of(run, np.linspace(0, num_frames - 1, 3).astype(int).tolist())


def targets_of(case: str) -> Tensor:
    """Return the targets (F, O, H, W); the second object of the image is the right half of the first."""
    masks_FHW = torch.from_numpy(np.stack([pixels(f"{name}_mask") > 0 for name in names_of(case)]))
    if case != "image2obj":
        return masks_FHW.unsqueeze(1)
    right_FHW = masks_FHW.clone()
    right_FHW[..., : right_FHW.shape[-1] // 2] = False
    return torch.stack([masks_FHW, right_FHW], dim=1)


def forward(model: Sa2VAModel, case: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return the language loss, and logits and targets of five objects a frame on the logits' grid."""
    processor = Sa2VAProcessor(byte_tokenizer(), model.config)
    images, ids = [pixels(name) for name in names_of(case)], tensors("train_step_tiny")[f"{case}_input_ids"]
    tiles = torch.cat([processor.tiles(image, max_tiles=1) for image in images])
    states_BLH = model._language_states(ids, torch.ones_like(ids), tiles, [len(tiles)], torch.tensor([0]))
    language = model._language_loss(states_BLH, tensors("train_step_tiny")[f"{case}_labels"])
    targets_FOHW = targets_of(case)
    places = reference.repeat_cyclically(targets_FOHW.shape[1])
    squares = torch.stack([processor.segmenter_pixels(image) for image in images])
    frames = model.encode_frames(squares, [standardise(image) for image in images])
    states_NH = states_BLH[ids == model.config.seg_token_id][places].repeat(len(images), 1)
    frame_of_object_N = torch.arange(len(images)).repeat_interleave(len(places))
    logits_Nhw = model.decode_masks(frames, states_NH, frame_of_object_N).coarse_N1hw[:, 0]
    size = (logits_Nhw.shape[-2], logits_Nhw.shape[-1])
    return language, logits_Nhw, reference.targets_at_logit_size(targets_FOHW[:, places].flatten(0, 1), size)


def losses_of(case: str, way: str, logits_Nhw: Tensor, targets_Nhw: Tensor) -> ReferenceLosses:
    if way == "full_grid":
        return reference.grid_losses(logits_Nhw, targets_Nhw)
    drawn = tensors("train_step_tiny")
    candidates_NK2, uniform_NK2 = drawn[f"{case}_candidate_coords"], drawn[f"{case}_random_coords"]
    num_uncertain = facts("losses")["sampler"]["uncertain_points"]
    points_NK2 = reference.choose_points(logits_Nhw, candidates_NK2, uniform_NK2, num_uncertain)
    sampled = (reference.values_at(maps, points_NK2) for maps in (logits_Nhw, targets_Nhw))
    return reference.point_losses(*sampled)


def released_gradients(model: Sa2VAModel) -> dict[str, Tensor | None]:
    ours = {name: parameter.grad for name, parameter in model.named_parameters()}
    gradients: dict[str, Tensor | None] = {}
    for link in links_of(model.config):
        parts = [ours[name] for name in link.ours if name in ours]
        known = [part for part in parts if part is not None]
        folded = link.way.fold(known) if len(known) == len(link.ours) else [None] * len(link.released)
        gradients |= zip(link.released, folded, strict=True)
    return gradients


def step(model: Sa2VAModel, case: str, way: str) -> Step:
    language, logits_Nhw, targets_Nhw = forward(model, case)
    losses = losses_of(case, way, logits_Nhw, targets_Nhw)
    (language + losses.mask + losses.dice).backward()
    gradients = released_gradients(model)
    model.zero_grad(set_to_none=True)
    return Step(language.detach(), logits_Nhw.detach(), losses, gradients)


@pytest.mark.parametrize("way", ["full_grid", "sampled_points"])
@pytest.mark.parametrize("case", CASES)
def test_step(case: str, way: str, model: Sa2VAModel) -> None:
    wanted, recorded = facts("train_step_tiny")[case][way], tensors("train_step_tiny")
    ours = step(model, case, way)
    near = Comparison(f"train_step_tiny/{case}", 1e-4)
    assert ours.language.item() == pytest.approx(wanted["llm_loss"], rel=1e-5)
    assert ours.losses.mask.item() == pytest.approx(wanted["loss_mask"], rel=1e-5)
    assert ours.losses.dice.item() == pytest.approx(wanted["loss_dice"], rel=1e-5)
    logits = ours.logits_Nhw.view(wanted["pred_shape"])
    near.near("masks", logits[..., ::4, ::4], recorded[f"{case}_pred_masks_stride4"])
    for name, norm in wanted["grad_norms"].items():
        gradient = ours.gradients[name]
        ours_norm = 0.0 if gradient is None else gradient.norm().item()
        print(f"{case:<12}{way:<16}{name:<90}{ours_norm:.6f} {norm}")
        assert ours_norm == pytest.approx(norm or 0.0, rel=GRADIENT_TOLERANCE), name
    alive = [name for name, gradient in ours.gradients.items() if gradient is not None and gradient.any()]
    assert len(alive) == wanted["params_with_nonzero_grad"]
    for name in (name for name in recorded if name.startswith(f"{case}_grad:") and way == "full_grid"):
        _, released, rows = name.split(":")
        first = ours.gradients[released][: int(rows.removeprefix("first_rows"))]
        near.near(released, first[:, : recorded[name].shape[1]], recorded[name])
