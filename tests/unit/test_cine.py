"""The modes of tracking: what they show the model, what they compute once, and streamed masks equal to whole ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch

from angiova.data.pixels import GreyImage
from angiova.data.spool import FrameSpool
from angiova.errors import ConfigError
from angiova.inference.cine import (
    FrameLogits,
    Mode,
    all_objects,
    ask,
    choose_frames,
    draw,
    parse_mode,
    prepare,
)
from angiova.inference.opacification import describe_levels
from angiova.inference.predictor import Predictor
from angiova.model.tracking import track
from models import SIDE_PX, draw_run_frame, small_model

# The tokens of the question count as much as those of the answer: so an untrained model draws what is asked for.
PROMPTS = ("[SEG]", "the vessel [SEG]")
NUM_FRAMES = 7
KEYS = (2, 5)
COURSE = [0.02] * 6 + [0.05] * 6 + [0.1] * 6 + [0.04] * 6


@cache
def predictor() -> Predictor:
    return Predictor(*small_model(), torch.device("cpu"))


def images(num_frames: int = NUM_FRAMES) -> list[GreyImage]:
    return [draw_run_frame(0, frame)[0] for frame in range(num_frames)]


def drawn(frames: Sequence[GreyImage], mode: Mode, prompts: Sequence[str] = PROMPTS) -> list[FrameLogits]:
    spoken = ask(predictor(), [frames[key] for key in KEYS], prompts) if mode.order else None
    return list(draw(predictor(), frames, prompts, mode, KEYS, spoken))


@pytest.mark.parametrize("mode", Mode)
def test_streamed_masks_are_exactly_those_of_the_whole_run(mode: Mode) -> None:
    whole = drawn(images(), mode)
    with FrameSpool() as spool:
        for image_HW in images():
            spool.append(image_HW)
        streamed = drawn(spool, mode)
    assert [frame.frame for frame in streamed] == list(range(NUM_FRAMES))
    for one, other in zip(whole, streamed, strict=True):
        assert one.logits_NHW.shape == (2, SIDE_PX, SIDE_PX)
        assert np.array_equal(one.logits_NHW, other.logits_NHW)
        assert np.array_equal(one.presence_N, other.presence_N)


@pytest.mark.slow
@pytest.mark.parametrize("mode", Mode)
def test_a_model_in_half_precision_draws_nearly_the_same(mode: Mode) -> None:
    model, processor = small_model()
    half = Predictor(model.to(torch.bfloat16), processor, torch.device("cpu"))
    spoken = ask(half, [images()[key] for key in KEYS], PROMPTS) if mode.order else None
    found = list(draw(half, images(), PROMPTS, mode, KEYS, spoken))
    for one, other in zip(found, drawn(images(), mode), strict=True):
        assert one.logits_NHW.dtype == np.float32
        assert np.corrcoef(one.logits_NHW.ravel(), other.logits_NHW.ravel())[0, 1] > 0.9
        np.testing.assert_allclose(one.presence_N, other.presence_N, atol=0.05)


def test_tracking_is_the_trackers_own_on_frames_held_together() -> None:
    spoken = ask(predictor(), [images()[key] for key in KEYS], PROMPTS)
    held = [prepare(predictor(), image_HW) for image_HW in images()]
    with predictor().computing():
        expected = list(track(predictor().model, held, spoken.prompts_NP, Mode.TRACK.order, KEYS))
    for one, other in zip(drawn(images(), Mode.TRACK), expected, strict=True):
        assert np.array_equal(one.logits_NHW, other.logits_NHW.numpy())
        assert np.array_equal(one.presence_N, other.decoded.presence_N.sigmoid().numpy())


def test_frame_mode_gives_the_masks_of_predict() -> None:
    for frame, image_HW in zip(drawn(images(), Mode.FRAME), images(), strict=True):
        answers = predictor().answer([image_HW], PROMPTS, [0, 0])
        masks_NHW = predictor().masks_of(frame.logits_NHW, frame.presence_N)
        for mask_HW, presence, answer in zip(masks_NHW, frame.presence_N, answers, strict=True):
            assert np.array_equal(mask_HW, answer.masks[0].mask_HW)
            assert presence == pytest.approx(answer.masks[0].presence)


class Recorder(Sequence[GreyImage]):
    """A run that notes which frames are asked for."""

    def __init__(self, frames: Sequence[GreyImage]) -> None:
        self.frames, self.asked = frames, list[int]()

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> GreyImage:  # type: ignore[override]
        self.asked.append(index)
        return self.frames[index]


def test_key_frames_are_read_first_and_every_frame_once() -> None:
    run = Recorder(images())
    spoken = ask(predictor(), [run.frames[key] for key in KEYS], PROMPTS)
    frames = draw(predictor(), run, PROMPTS, Mode.TRACK, KEYS, spoken)
    next(frames)
    assert run.asked == [2, 5, 0]
    list(frames)
    assert run.asked == [2, 5, 0, 1, 3, 4, 6]


@contextmanager
def counted_passes() -> Iterator[dict[str, int]]:
    counts = {"segmenter": 0, "language": 0}

    def count(name: str) -> object:
        def hook(*_: object) -> None:
            counts[name] += 1

        return hook

    model = predictor().model
    towers = {"segmenter": model.segmenter.vision_encoder, "language": model.vlm.model.vision_tower}
    hooks = [tower.register_forward_hook(count(name)) for name, tower in towers.items()]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("mode", [Mode.TRACK, Mode.REFERENCE, Mode.FRAME])
@pytest.mark.parametrize("num_objects", [1, 3])
def test_many_objects_share_one_encoder_pass_a_frame(mode: Mode, num_objects: int) -> None:
    with counted_passes() as counts:
        frames = drawn(images(), mode, ["[SEG]"] * num_objects)
    assert all(len(frame.logits_NHW) == num_objects for frame in frames)
    assert counts == {"segmenter": NUM_FRAMES, "language": NUM_FRAMES if mode is Mode.FRAME else 1}


def test_objects_asked_for_together_are_drawn_as_alone() -> None:
    together = drawn(images(), Mode.TRACK, PROMPTS)
    alone = drawn(images(), Mode.TRACK, PROMPTS[1:])
    for both, one in zip(together, alone, strict=True):
        np.testing.assert_allclose(both.logits_NHW[1:], one.logits_NHW, rtol=1e-2, atol=1e-2)


def test_what_is_not_drawn_is_absent_and_the_others_keep_their_places() -> None:
    spoken = ask(predictor(), images()[:1], PROMPTS[:1])
    run = [prepare(predictor(), images()[0])]
    with predictor().computing():
        (frame,) = track(predictor().model, run, spoken.prompts_NP, Mode.TRACK.order, [0])
    found = all_objects(frame, 3, [1])
    assert np.array_equal(found.logits_NHW[1], frame.logits_NHW[0].numpy())
    assert found.presence_N[[0, 2]].tolist() == [0, 0]
    assert not predictor().masks_of(found.logits_NHW, found.presence_N)[[0, 2]].any()


def test_a_run_that_nothing_is_drawn_in_has_empty_masks() -> None:
    model, processor = small_model()
    silent = Predictor(model, processor, torch.device("cpu"))
    silent.model.config.seg_token_id = processor.pad_token_id  # no word that it says or hears asks for a mask
    spoken = ask(silent, images()[:1], ["hello"])
    assert (spoken.drawn, spoken.num_masks) == ((), (0,))
    frames = list(draw(silent, images(), ["hello"], Mode.TRACK, [0], spoken))
    assert len(frames) == NUM_FRAMES
    assert not any(silent.masks_of(frame.logits_NHW, frame.presence_N).any() for frame in frames)


@pytest.mark.parametrize(
    ("mode", "frames", "why"),
    [
        (Mode.TRACK, (9, 15, 21), "with contrast"),
        (Mode.SA2VA_I, (4, 12, 20), "whole run"),
        (Mode.REFERENCE, (0, 1, 2), "first frames"),
        (Mode.FRAME, (), "on its own"),
        (Mode.SMOOTH, (), "on its own"),
    ],
)
def test_each_mode_chooses_its_key_frames(mode: Mode, frames: tuple[int, ...], why: str) -> None:
    choice = choose_frames(mode, describe_levels(COURSE), 3)
    assert choice.frames == frames
    assert why in choice.why


def test_a_run_without_clear_contrast_is_said_to_have_none() -> None:
    choice = choose_frames(Mode.TRACK, describe_levels([0.05] * 10), 2)
    assert choice.frames == (2, 7)
    assert "no clear contrast" in choice.why


def test_absent_objects_have_empty_masks_where_the_model_gates() -> None:
    logits = np.array([[[3.0, -3.0]], [[3.0, -3.0]]], dtype=np.float32)
    presence = np.array([0.9, 0.1], dtype=np.float32)
    assert predictor().masks_of(logits, presence).tolist() == [[[True, False]], [[False, False]]]
    model, processor = small_model()
    model.config.presence_gate = False
    open_gate = Predictor(model, processor, torch.device("cpu"))
    assert open_gate.masks_of(logits, presence).tolist() == [[[True, False]], [[True, False]]]


def test_an_unknown_mode_is_refused() -> None:
    assert parse_mode("sa2va-i") is Mode.SA2VA_I
    with pytest.raises(ConfigError, match="one of: track"):
        parse_mode("best")
