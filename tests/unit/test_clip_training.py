"""Clips in the training forward: the masks of `track`, gradients into the memory, and no loss without a label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from angiova.data.clips import Clip
from angiova.data.dataset import Example
from angiova.data.prompts import make_turn
from angiova.data.records import Origin, Target, TargetKind
from angiova.data.rle import BoolMask, encode
from angiova.data.syntax import TREE_PHRASE
from angiova.model.adapters import select_trainable
from angiova.model.losses import num_terms
from angiova.model.modeling import Sa2VAModel
from angiova.model.outputs import Sa2VAOutput
from angiova.model.processing import Batch, Sa2VAProcessor, standardise
from angiova.model.tracking import RunFrame, TrackOrder, track
from angiova.model.trainable import TrainableSettings
from models import draw_run_frame, small_model

TRAINED = TrainableSettings.everything().model_copy(update={"segmenter_memory": True})
MEMORY = ("memory_attention", "memory_encoder", "object_pointer_proj", "memory_temporal_positional_encoding")


def drawn_clip(frames: tuple[int, ...] = (0, 1, 2), key_frames: tuple[int, ...] = (1,), num_objects: int = 1) -> Clip:
    """Return a clip of drawn frames in which every object is the bar."""
    drawn = [draw_run_frame(1, frame) for frame in frames]
    bar = Target(TREE_PHRASE, TargetKind.VESSEL_TREE, encode(drawn[-1][1]), Origin.SIMULATED)
    turn = make_turn([bar] * num_objects, np.random.default_rng(0))
    return Clip(
        frame_ids=tuple(map(str, frames)),
        images=tuple(image for image, _ in drawn),
        turns=(turn,),
        masks=tuple((mask,) * num_objects for _, mask in drawn),
        key_frames=key_frames,
    )


def only_labelled(clip: Clip, frames: tuple[int, ...]) -> Clip:
    masks: tuple[tuple[BoolMask | None, ...], ...] = tuple(
        of_frame if index in frames else (None,) * len(of_frame) for index, of_frame in enumerate(clip.masks)
    )
    return replace(clip, masks=masks)


def frame_of(clip: Clip, index: int) -> Example:
    masks = tuple(mask for mask in clip.masks[index] if mask is not None)
    return Example(clip.frame_ids[index], clip.images[index], clip.turns, masks)


def trained_model(order: TrackOrder = TrackOrder.KEY_FRAMES) -> tuple[Sa2VAModel, Sa2VAProcessor]:
    model, processor = small_model()
    model.config.track_order = order.value
    select_trainable(model, TRAINED)
    return model.train(), processor


def total(output: Sa2VAOutput) -> torch.Tensor:
    return torch.stack(list(output.losses.values())).sum()


def tracked(model: Sa2VAModel, processor: Sa2VAProcessor, clip: Clip, batch: Batch) -> list[torch.Tensor]:
    """Return the masks (N, H, W) of every frame as inference makes them, one frame at a time."""
    names = ("input_ids", "attention_mask", "tiles", "tile_counts", "frame_of_sequence")
    states = model.seg_states(**{name: batch[name] for name in names})
    frames = [RunFrame(processor.segmenter_pixels(image), standardise(image)) for image in clip.images]
    return [masks.logits_NHW for masks in track(model, frames, model.bridge(states), key_frames=clip.key_frames)]


@pytest.mark.parametrize("order", TrackOrder)
@pytest.mark.parametrize("recompute", [False, True])
def test_training_gives_the_masks_of_track(order: TrackOrder, recompute: bool) -> None:
    model, processor = trained_model(order)
    clip = drawn_clip((0, 1, 2, 3), key_frames=(1, 3), num_objects=2)
    batch = processor.collate([clip], recompute=recompute)
    output = model(**batch)
    with torch.no_grad():
        expected = torch.cat(tracked(model, processor, clip, batch))
    assert output.masks is not None
    torch.testing.assert_close(torch.stack(output.masks.logits_of()), expected, rtol=1e-4, atol=1e-4)


def test_a_clip_of_one_frame_is_the_frame() -> None:
    model, processor = trained_model()
    clip = drawn_clip((2,), key_frames=(0,))
    as_clip, as_frame = (model(**processor.collate([example])) for example in (clip, frame_of(clip, 0)))
    assert as_clip.masks is not None and as_frame.masks is not None
    torch.testing.assert_close(as_clip.masks.logits_of(), as_frame.masks.logits_of())
    torch.testing.assert_close(as_clip.masks.presence_N, as_frame.masks.presence_N)
    for name, value in as_frame.losses.items():
        torch.testing.assert_close(as_clip.losses[name], value)


@pytest.mark.parametrize("order", [TrackOrder.KEY_FRAMES, TrackOrder.REFERENCE])
def test_gradients_reach_every_part_of_the_memory(order: TrackOrder) -> None:
    model, processor = trained_model(order)
    with torch.no_grad():  # what is judged absent has another pointer
        model.segmenter.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(9.0)
    clip = only_labelled(drawn_clip((1, 2, 3), key_frames=(0,)), (2,))
    total(model(**processor.collate([clip]))).backward()
    for part in MEMORY:
        gradients = [p.grad for name, p in model.segmenter.named_parameters() if name.startswith(part)]
        assert any(gradient is not None and gradient.any() for gradient in gradients), part
    bridge = model.bridge.output.weight.grad
    # A hardened mask hides the prompt from later frames; the reference's soft one does not.
    assert (bridge is not None and bool(bridge.any())) == (order is TrackOrder.REFERENCE)


def test_recomputed_frames_have_the_same_gradients() -> None:
    gradients = []
    for recompute in (False, True):
        model, processor = trained_model()
        total(model(**processor.collate([drawn_clip()], recompute=recompute))).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    kept, recomputed = gradients
    assert kept.keys() == recomputed.keys()
    for name, gradient in kept.items():
        torch.testing.assert_close(recomputed[name], gradient, rtol=1e-3, atol=1e-5)


def test_frames_without_label_give_no_loss_but_are_tracked_through() -> None:
    model, processor = trained_model()
    whole = drawn_clip((1, 2, 3), key_frames=(0,))
    sparse = only_labelled(whole, (2,))
    batch = processor.collate([sparse])
    assert num_terms(batch)["mask"] == len(batch["masks"]) == 1
    with torch.no_grad():
        alone, every = model(**batch).masks, model(**processor.collate([whole])).masks
        skipped = model(**processor.collate([only_labelled(drawn_clip((1, 3), key_frames=(0,)), (1,))])).masks
    torch.testing.assert_close(alone.logits_of()[0], every.logits_of()[2])
    assert not torch.allclose(alone.logits_of()[0], skipped.logits_of()[0], atol=1e-4)


def test_a_frame_labelled_empty_counts_as_absent_and_one_not_labelled_as_nothing() -> None:
    _, processor = trained_model()
    clip = drawn_clip((0, 1, 2), key_frames=(1,))
    counts = [num_terms(processor.collate([c])) for c in (clip, only_labelled(clip, (1, 2)))]
    assert [(count["presence"], count["dice"]) for count in counts] == [(3, 2), (2, 2)]


def test_frames_and_clips_of_one_batch_do_not_disturb_each_other() -> None:
    model, processor = trained_model()
    clip, other = drawn_clip(num_objects=2), drawn_clip((2, 3), key_frames=(0, 1))
    examples = [clip, frame_of(clip, 2), other]
    with torch.no_grad():
        together = model(**processor.collate(examples)).masks.logits_of()
        alone = [model(**processor.collate([examples[i]])).masks.logits_of() for i in (1, 0, 2)]
    assert len(together) == 2 + 3 * 2 + 2
    for mask, expected in zip(together, [mask for part in alone for mask in part], strict=True):
        torch.testing.assert_close(mask, expected, rtol=1e-3, atol=1e-3)


def test_the_loss_of_a_clip_is_the_mean_over_the_labels_of_all_examples() -> None:
    model, processor = trained_model()
    clip = drawn_clip()
    with torch.no_grad():
        parts = [(1, frame_of(clip, 2)), (3, clip)]
        together = model(**processor.collate([example for _, example in parts])).losses["mask"]
        by_hand = sum(n * model(**processor.collate([e])).losses["mask"] for n, e in parts) / 4
    torch.testing.assert_close(together, by_hand, rtol=1e-4, atol=1e-5)


def test_a_clip_is_learnt() -> None:
    model, processor = trained_model()
    batch = processor.collate([drawn_clip((0, 1, 2, 3), key_frames=(2,))])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    course = []
    for _ in range(12):
        losses = model(**batch).losses
        loss = 2 * losses["mask"] + losses["dice"] + losses["presence"] + losses["absence"]
        course.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert course[-1] < 0.7 * course[0]


@pytest.fixture
def _others(tmp_path: Path) -> object:
    """Be one of several processes, of which there is only this one."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("_others")
@pytest.mark.parametrize("labelled", [None, (0,), (2,)])
def test_every_trained_weight_has_a_gradient_whatever_a_process_drew(labelled: tuple[int, ...] | None) -> None:
    model, processor = trained_model()
    clip = drawn_clip((1, 2, 3), key_frames=(0,))
    example = frame_of(clip, 0) if labelled is None else only_labelled(clip, labelled)
    total(model(**processor.collate([example]))).backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_a_batch_that_asks_nothing_of_the_memory_is_a_step_like_any_other() -> None:
    """Only the memory is trained, and every frame of the clip is a key frame."""
    model, processor = small_model()
    frozen = dict.fromkeys(("projector", "bridge", "segmenter_decoder", "refiner"), False)
    select_trainable(
        model, TrainableSettings(language_model="frozen", vocabulary="frozen", segmenter_memory=True, **frozen)
    )
    clip = drawn_clip(key_frames=(0, 1, 2))
    total(model.train()(**processor.collate([clip]))).backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert gradients
    assert all(gradient is not None and not gradient.any() for gradient in gradients)
