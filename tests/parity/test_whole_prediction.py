"""Stage: the complete prediction of the reference for an image and for a run, its forced answer included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from angiova.model.modeling import Sa2VAModel
from angiova.model.processing import Batch, Sa2VAProcessor, standardise
from angiova.model.tracking import RunFrame, choose_key_frames, track
from recorded import Comparison, byte_tokenizer, facts, frames_of, network, pixels, plan, tensors


@pytest.fixture
def model() -> Sa2VAModel:
    return network("tiny")


@pytest.fixture
def processor(model: Sa2VAModel) -> Sa2VAProcessor:
    return Sa2VAProcessor(byte_tokenizer(), model.config)


def answered(processor: Sa2VAProcessor, batch: Batch, answer: str) -> Batch:
    """Put the recorded answer after the prompt; keep what the language model needs."""
    kept = ("input_ids", "attention_mask", "tiles", "tile_counts", "frame_of_sequence")
    batch = {name: batch[name] for name in kept}
    answer_ids = processor.tokenizer(answer, add_special_tokens=False, return_tensors="pt").input_ids
    ids = torch.cat([batch["input_ids"], answer_ids], dim=1)
    return batch | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def near_states(kind: str, model: Sa2VAModel, states: Tensor) -> Comparison:
    near = Comparison(f"predict_tiny/{kind}", 1e-4)
    near.near("prompt", model.bridge(states), tensors("predict_tiny")[f"{kind}_seg_embed"])
    return near


@torch.no_grad()
def test_image(model: Sa2VAModel, processor: Sa2VAProcessor) -> None:
    wanted, recorded = facts("predict_tiny")["image"], tensors("predict_tiny")
    batch = processor.prompts([pixels(plan()["ab"][0])], [plan()["question"]], [0])
    assert batch["input_ids"][0].tolist() == recorded["image_prompt_ids"].tolist()
    states = model.seg_states(**answered(processor, batch, wanted["prediction"]))
    near = near_states("image", model, states)
    near.near("[SEG] state", states, recorded["image_seg_hidden_in"])
    frames = model.encode_frames(batch["segmenter_pixels"], batch["images"])
    masks = model.decode_masks(frames, states, torch.tensor([0]))
    near.near("masks", masks.coarse_N1hw[:, 0, ::2, ::2], recorded["image_low_res_masks_stride2"])
    near.mask("final mask", torch.stack(masks.logits_of()).view(wanted["mask_shape"]), recorded["image_mask_packbits"])


@torch.no_grad()
def test_run(model: Sa2VAModel, processor: Sa2VAProcessor) -> None:
    wanted, recorded = facts("predict_tiny")["video"], tensors("predict_tiny")
    images = [pixels(name) for name in frames_of(next(iter(plan()["video"])))]
    keys = choose_key_frames(len(images), model.config.key_frames, model.config.num_key_frames)
    batch = processor.run_prompts([images[index] for index in keys], [plan()["question"]])
    assert batch["input_ids"][0].tolist() == recorded["video_prompt_ids"].tolist()
    states = model.seg_states(**answered(processor, batch, wanted["prediction"]))
    near = near_states("video", model, states)
    frames = [RunFrame(processor.segmenter_pixels(image), standardise(image)) for image in images]
    masks = list(track(model, frames, model.bridge(states)))
    coarse = torch.cat([frame.decoded.logits_N1hw[0] for frame in masks])
    near.near("masks", coarse[:, ::2, ::2], recorded["video_low_res_masks_stride2"])
    logits = torch.stack([frame.logits_NHW for frame in masks], dim=1)
    near.mask("final masks", logits.view(wanted["mask_shape"]), recorded["video_mask_packbits"])
