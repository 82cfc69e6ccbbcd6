"""Stage: tiles of the vision-language model and the square of SAM2, bit by bit."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from angiova.model.configuration import Sa2VAConfig, reference_settings
from angiova.model.processing import Sa2VAProcessor
from recorded import Comparison, facts, frames_of, pixels, plan, tensors

IMAGES = plan()["images"] or ["no-folder"]


def processor(tokenizer: PreTrainedTokenizerFast, side_px: int = 1024, **changes: object) -> Sa2VAProcessor:
    config = Sa2VAConfig(segmenter_config={"image_size": side_px}, **reference_settings() | changes)
    return Sa2VAProcessor(tokenizer, config)


@pytest.mark.parametrize("name", IMAGES)
def test_tiles(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    wanted = facts("preprocess")[name]
    tiles = processor(tokenizer).tiles(pixels(name))
    assert list(tiles.shape) == wanted["pixel_values_shape"]
    assert tiles.double().sum().item() == pytest.approx(wanted["sum"], rel=1e-9)
    assert tiles.mean(dim=(1, 2, 3)).tolist() == pytest.approx(wanted["per_tile_mean"], abs=1e-6)
    assert torch.equal(tiles[..., ::16, ::16], tensors("preprocess")[f"{name}_pixel_values_sub16"])
    assert hashlib.sha256(tiles.numpy().tobytes()).hexdigest() == wanted["sha256_float32"]


def test_frames_of_a_run_are_one_tile_each(tokenizer: PreTrainedTokenizerFast) -> None:
    run = next(name for name in plan()["video"] if name in facts("preprocess"))
    wanted = facts("preprocess")[run]
    names = frames_of(run, range(wanted["shape"][0]))
    batch = processor(tokenizer).run_prompts([pixels(name) for name in names], ["?"])
    assert hashlib.sha256(batch["tiles"].numpy().tobytes()).hexdigest() == wanted["sha256_float32"]


@pytest.mark.parametrize("side_px", [512, 1024])
@pytest.mark.parametrize("name", IMAGES)
def test_square_of_the_segmenter(name: str, side_px: int, tokenizer: PreTrainedTokenizerFast) -> None:
    square = processor(tokenizer, side_px).segmenter_pixels(pixels(name))
    stride = 16 * side_px // 512
    assert square.double().sum().item() == pytest.approx(facts("preprocess")[name][f"sam{side_px}"]["sum"], rel=1e-7)
    recorded = tensors("preprocess")[f"{name}_sam{side_px}_sub{stride}"]
    Comparison("preprocess", 1e-6).near(name, square[:, ::stride, ::stride], recorded)


def test_our_own_statistics_are_exact_and_theirs_are_rounded(tokenizer: PreTrainedTokenizerFast) -> None:
    image = np.random.default_rng(0).integers(0, 256, size=(512, 512, 3), dtype=np.uint8)
    ours = processor(tokenizer, 512, pixel_statistics="exact").segmenter_pixels(image)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = ((torch.from_numpy(image).float() / 255 - mean) / std).permute(2, 0, 1)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)
    theirs = processor(tokenizer, 512).segmenter_pixels(image)
    used = facts("preprocess")
    mean, std = torch.tensor(used["sam_mean_used"]), torch.tensor(used["sam_std_used"])
    expected = ((torch.from_numpy(image).float() / 255 - mean) / std).permute(2, 0, 1)
    torch.testing.assert_close(theirs, expected, rtol=0, atol=1e-6)
