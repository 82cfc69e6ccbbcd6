"""Tracking: order of frames, bounded memory, gradients through time, and refusals; numbers are in tests/parity."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import pytest
import torch

from angiova.errors import ModelError
from angiova.model import tracking
from angiova.model.configuration import Sa2VAConfig
from angiova.model.memory import MemoryBank
from angiova.model.modeling import Sa2VAModel
from angiova.model.processing import Sa2VAProcessor, standardise
from angiova.model.tracking import RunFrame, TrackOrder, choose_key_frames, track
from models import SIDE_PX, draw_frame, small_model

NUM_FRAMES = 5


@cache
def tracking_model(version: str = "2.1") -> tuple[Sa2VAModel, list[RunFrame], torch.Tensor]:
    """Return the small model with the memory of a SAM2 version, a run, and prompts of two objects."""
    _, processor = small_model()
    config = Sa2VAConfig(**processor.config.to_dict())
    config.segmenter_config.enable_occlusion_spatial_embedding = version == "2.1"
    config.segmenter_config.enable_temporal_pos_encoding_for_object_pointers = version == "2.1"
    torch.manual_seed(0)
    model = Sa2VAModel(config).eval()
    return model, _run(Sa2VAProcessor(processor.tokenizer, config)), torch.randn(2, config.prompt_hidden_size)


def _run(processor: Sa2VAProcessor) -> list[RunFrame]:
    images = [draw_frame(seed)[0] for seed in range(NUM_FRAMES)]
    return [RunFrame(processor.segmenter_pixels(image), standardise(image)) for image in images]


@pytest.mark.parametrize("version", ["2.0", "2.1"])
@pytest.mark.parametrize("order", TrackOrder)
def test_every_frame_comes_once_in_order_at_its_own_size(order: TrackOrder, version: str) -> None:
    model, frames, prompts = tracking_model(version)
    with torch.no_grad():
        masks = list(track(model, frames, prompts, order, key_frames=[1, 3]))
    assert [frame.frame for frame in masks] == list(range(NUM_FRAMES))
    assert all(frame.logits_NHW.shape == (2, SIDE_PX, SIDE_PX) for frame in masks)
    assert all(frame.logits_NHW.isfinite().all() for frame in masks)
    assert all((frame.memory is None) == (order is TrackOrder.INDEPENDENT) for frame in masks)


@pytest.mark.parametrize("order", TrackOrder)
def test_key_frames_are_decoded_as_in_training(order: TrackOrder) -> None:
    model, frames, prompts = tracking_model()
    with torch.no_grad():
        masks = list(track(model, frames, prompts, order, key_frames=[2]))
        encoded = model.encode_frames(frames[2].pixels_3SS[None], [frames[2].image_1HW])
        features = encoded.features.select(torch.zeros(2, dtype=torch.long))
        alone = next(iter(track(model, frames[2:3], prompts, TrackOrder.INDEPENDENT)))
    assert features.coarse_FCHW.shape[0] == 2
    torch.testing.assert_close(masks[2].logits_NHW, alone.logits_NHW)


def test_objects_do_not_disturb_each_other() -> None:
    model, frames, prompts = tracking_model()
    with torch.no_grad():
        together = list(track(model, frames, prompts, TrackOrder.REFERENCE, key_frames=[0]))
        alone = list(track(model, frames, prompts[1:], TrackOrder.REFERENCE, key_frames=[0]))
    for both, one in zip(together, alone, strict=True):
        torch.testing.assert_close(both.logits_NHW[1:], one.logits_NHW, rtol=1e-3, atol=1e-3)


def test_what_came_before_changes_a_tracked_frame() -> None:
    model, frames, prompts = tracking_model()
    for order in (TrackOrder.REFERENCE, TrackOrder.KEY_FRAMES):
        with torch.no_grad():
            straight = list(track(model, frames, prompts, order, key_frames=[0]))
            swapped = list(track(model, [frames[1], frames[0], *frames[2:]], prompts, order, key_frames=[0]))
        assert not torch.allclose(straight[3].logits_NHW, swapped[3].logits_NHW, atol=1e-4)


def test_prompted_frames_ask_again_and_judge_presence_alone() -> None:
    model, frames, prompts = tracking_model()
    with torch.no_grad():
        asked = list(track(model, frames, prompts, TrackOrder.PROMPTED, key_frames=[0]))
        unasked = list(track(model, frames, prompts, TrackOrder.KEY_FRAMES, key_frames=[0]))
        alone = list(track(model, frames, prompts, TrackOrder.INDEPENDENT))
    assert torch.equal(asked[0].logits_NHW, unasked[0].logits_NHW)
    for of_asked, of_unasked, of_alone in zip(asked[1:], unasked[1:], alone[1:], strict=True):
        torch.testing.assert_close(of_asked.decoded.presence_N, of_alone.decoded.presence_N, rtol=1e-3, atol=1e-3)
        assert not torch.allclose(of_asked.logits_NHW, of_unasked.logits_NHW, atol=1e-4)
        assert not torch.allclose(of_asked.logits_NHW, of_alone.logits_NHW, atol=1e-4)
        assert of_asked.decoded.logits_N1hw.shape == of_alone.decoded.logits_N1hw.shape


@pytest.mark.parametrize("order", TrackOrder)
def test_frames_encoded_together_give_the_same_masks(order: TrackOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    model, frames, prompts = tracking_model()
    with torch.no_grad():
        single = list(track(model, frames, prompts, order, key_frames=[0, 3]))
        monkeypatch.setattr(tracking, "_frames_together", lambda device: 2)
        together = list(track(model, frames, prompts, order, key_frames=[0, 3]))
    assert [frame.frame for frame in together] == list(range(NUM_FRAMES))
    for one, other in zip(single, together, strict=True):
        torch.testing.assert_close(one.logits_NHW, other.logits_NHW, rtol=1e-3, atol=1e-3)


def test_gradients_flow_through_time_to_the_prompt() -> None:
    model, frames, prompts = tracking_model()
    model, prompts = deepcopy(model).train(), prompts.clone().requires_grad_(True)
    *_, last = track(model, frames[:3], prompts, TrackOrder.REFERENCE, key_frames=[0])
    last.logits_NHW.sum().backward()
    assert prompts.grad is not None
    assert prompts.grad.abs().sum() > 0
    assert model.segmenter.memory_encoder.projection.weight.grad.abs().sum() > 0


def test_a_foreign_tracker_draws_the_tracked_frames_only() -> None:
    model, frames, prompts = tracking_model()
    other = deepcopy(model.segmenter)
    with torch.no_grad():
        for parameter in other.memory_attention.parameters():
            parameter.mul_(1.5)
        own = list(track(model, frames, prompts, TrackOrder.KEY_FRAMES, key_frames=[0, 4]))
        foreign = list(track(model, frames, prompts, TrackOrder.KEY_FRAMES, [0, 4], tracker=other))
    assert torch.equal(own[0].logits_NHW, foreign[0].logits_NHW)
    assert not torch.allclose(own[2].logits_NHW, foreign[2].logits_NHW)


def test_the_bank_forgets_what_is_never_used_again() -> None:
    model, frames, prompts = tracking_model()
    with torch.no_grad():
        memory = next(iter(track(model, frames, prompts, TrackOrder.REFERENCE, key_frames=[0]))).memory
    bank = MemoryBank.empty(model.segmenter, num_frames=1000).with_conditioning(0, memory)
    for frame in range(1, 100):
        bank = bank.with_tracked(frame, memory)
    assert list(bank.recent) == list(range(94, 100))
    assert list(bank.pointers) == list(range(85, 100))
    assert list(bank.conditioning) == [0]


def test_key_frames_are_the_first_or_spread() -> None:
    assert choose_key_frames(60, "first", 5) == [0, 1, 2, 3, 4]
    assert choose_key_frames(60, "spread", 5) == [6, 18, 30, 42, 54]
    assert choose_key_frames(3, "spread", 5) == [0, 1, 2]


@pytest.mark.parametrize("key_frames", [[], [NUM_FRAMES], [-1]])
def test_impossible_key_frames_are_refused(key_frames: list[int]) -> None:
    model, frames, prompts = tracking_model()
    with pytest.raises(ModelError, match="key frames"):
        next(iter(track(model, frames, prompts, TrackOrder.REFERENCE, key_frames)))


def test_a_memory_that_the_attention_cannot_take_is_refused() -> None:
    _, processor = small_model()
    config = Sa2VAConfig(**processor.config.to_dict())
    config.segmenter_config.memory_encoder_output_channels = 32
    with torch.no_grad(), pytest.raises(ModelError, match="channels"):
        list(track(Sa2VAModel(config).eval(), _run(processor), torch.zeros(1, config.prompt_hidden_size)))
