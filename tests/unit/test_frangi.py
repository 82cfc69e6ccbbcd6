"""The filter is Frangi's, collimators are not vessels, and the search finds what was planted."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import frangi as skimage_frangi

from angiova.baselines import frangi
from angiova.baselines.field_of_view import field_of_view
from angiova.baselines.frangi import FrangiParameters, frangi_mask
from angiova.baselines.tuning import LabelledImage, SearchSpace, mean_scores, tune

PARAMETERS = FrangiParameters(
    window_px=32, sigmas_px=(2, 4), beta=0.5, gamma=1, border_px=4, threshold=0.1, min_component_px=60
)


def bar(width_px: int, side_px: int = 96, seed: int = 0, specks: int = 0) -> LabelledImage:
    """Return a noisy frame with one dark bar of a width, and dark specks that are no vessels."""
    rng = np.random.default_rng(seed)
    target = np.zeros((side_px, side_px), dtype=bool)
    start = int(rng.integers(20, side_px - 20 - width_px))
    target[start : start + width_px, 6:-6] = True
    dark = target.copy()
    for row, column in rng.integers(4, side_px - 8, size=(specks, 2)):
        dark[row : row + 4, column : column + 4] = True
    image = np.where(dark, 90, 170) + rng.normal(0, 3, target.shape)
    return LabelledImage(image.clip(0, 255).astype(np.uint8), target)


@pytest.mark.parametrize("sigma", [1.5, 3.0])
def test_one_scale_equals_scikit_image(sigma: float) -> None:
    """scikit-image's own filter leaves out sigma squared, so its c is smaller by that."""
    image = bar(5).image_HW.astype(np.float32)
    ours = frangi.vesselness(*frangi.hessian_eigenvalues(image, sigma), beta=0.5, gamma=20)
    theirs = skimage_frangi(image, sigmas=[sigma], beta=0.5, gamma=20 / sigma**2, mode="nearest", black_ridges=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert ours.max() > 0.1


def test_exposure_does_not_matter() -> None:
    """The log turns a factor into a constant, which the local mean takes away."""
    image = bar(5).image_HW.astype(np.float32)
    view = field_of_view(image.astype(np.uint8))
    bright = frangi.even_out(image, view, 32)  # type: ignore[arg-type]
    dim = frangi.even_out((image + 1) / 2 - 1, view, 32)  # type: ignore[arg-type]
    np.testing.assert_allclose(bright, dim, atol=1e-3)


def test_bright_bars_are_no_vessels() -> None:
    frame = bar(5)
    found = frangi_mask(frame.image_HW, PARAMETERS)
    assert (found & frame.target_HW).sum() > 0.8 * frame.target_HW.sum()
    inverted = frangi_mask(255 - frame.image_HW, PARAMETERS)
    assert (inverted & frame.target_HW).sum() < 0.1 * frame.target_HW.sum()


def test_small_pieces_are_dropped_and_diagonals_hold_together() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    mask[0, 0] = mask[1, 1] = mask[2, 2] = True
    mask[8, 8] = True
    assert frangi.drop_small(mask, 3).sum() == 3
    assert frangi.drop_small(mask, 4).sum() == 0
    np.testing.assert_array_equal(frangi.drop_small(mask, 0), mask)


def test_a_lower_cut_adds_pixels_and_never_takes_one_away() -> None:
    image, parameters = bar(5).image_HW, PARAMETERS.model_copy(update={"min_component_px": 0})
    masks = [frangi_mask(image, parameters, cut) for cut in (0.2, 0.5, 0.9)]
    assert masks[0].sum() > masks[1].sum() > masks[2].sum()
    assert not (masks[1] & ~masks[0]).any()
    vesselness = frangi.frangi(image, parameters)
    np.testing.assert_array_equal(masks[1], vesselness > parameters.threshold)


def test_shutters_are_outside_and_vessels_that_leave_the_frame_are_not() -> None:
    image = np.full((128, 128), 150, dtype=np.uint8)
    image[:, :3] = image[120:] = 0  # a sliver and a broad shutter
    image[:60, 60:70] = 30  # a catheter that comes in from above
    inside = field_of_view(image).inside_HW
    assert not inside[:, 0].any()
    assert not inside[124:].any()
    assert inside[:100, 20:].all()


def test_the_edge_of_a_shutter_is_no_vessel() -> None:
    image = np.full((128, 128), 150, dtype=np.uint8)
    image[:, :20] = 0
    assert not frangi_mask(image, PARAMETERS.model_copy(update={"min_component_px": 0})).any()


@pytest.mark.parametrize("grey", [0, 255])
def test_an_empty_frame_is_inside_as_a_whole(grey: int) -> None:
    view = field_of_view(np.full((40, 50), grey, dtype=np.uint8))
    assert view.inside_HW.all()
    assert np.isinf(view.depth_HW).all()


SPACE = SearchSpace(windows_px=(32,), scales_px=((1,), (2,), (4,)), gammas=(1,), min_components_px=(0, 50, 800))


@pytest.mark.parametrize(("width_px", "scale_px"), [(3, 1.0), (12, 4.0)])
def test_the_search_finds_the_planted_width(width_px: int, scale_px: float) -> None:
    tuned = tune([bar(width_px, seed=seed) for seed in range(3)], SPACE)
    assert tuned.parameters.sigmas_px == (scale_px,)
    assert tuned.dice > 0.85


def test_the_search_drops_specks_when_there_are_any() -> None:
    tuned = tune([bar(6, seed=seed, specks=12) for seed in range(3)], SPACE)
    assert tuned.parameters.min_component_px == 50
    assert tune([bar(6, seed=seed) for seed in range(3)], SPACE).dice >= tuned.dice


def test_the_search_states_the_dice_that_its_parameters_reach() -> None:
    frames = [bar(5, seed=seed, specks=4) for seed in range(3)]
    tuned = tune(frames, SPACE)
    masks = [(frangi_mask(frame.image_HW, tuned.parameters), frame.target_HW) for frame in frames]
    dice = [2 * (found & target).sum() / (found.sum() + target.sum()) for found, target in masks]
    assert tuned.dice == pytest.approx(np.mean(dice), abs=1e-9)
    assert tune(frames, SPACE) == tuned


def test_frames_with_nothing_to_find_and_nothing_found_are_in_no_mean() -> None:
    np.testing.assert_allclose(mean_scores([np.array([0.5, np.nan]), np.array([np.nan, np.nan])]), [0.5, 0.0])
    with pytest.raises(ValueError, match="no frame"):
        tune([])
