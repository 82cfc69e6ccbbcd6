"""Live tracking: masks at once, the same as for a whole run with these key frames, and no more kept as it goes on."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from angiova.data.pixels import GreyImage
from angiova.errors import ConfigError
from angiova.inference.cine import Mode, ask, draw
from angiova.inference.live import FIRST_LOOK, KEY_FRAME_STEP, ContrastWatch, LiveTracker
from angiova.inference.predictor import Predictor
from angiova.model.memory import Memory
from angiova.model.tracking import Follower, FrameMasks
from models import SIDE_PX, draw_run_frame, small_model

PROMPTS = ("[SEG]", "the vessel [SEG]")
# As many as SAM2's pointers look back: from here on the length of a run changes nothing.
NUM_FRAMES = 17


@cache
def predictor() -> Predictor:
    return Predictor(*small_model(), torch.device("cpu"))


def images(num_frames: int = NUM_FRAMES) -> list[GreyImage]:
    return [draw_run_frame(0, frame % 6)[0] for frame in range(num_frames)]


def test_masks_are_those_of_the_whole_run_with_the_same_key_frame() -> None:
    live = LiveTracker(predictor(), PROMPTS, key_frames=1)
    live.start()
    found = [live.add(image_HW) for image_HW in images()]
    spoken = ask(predictor(), images()[:1], PROMPTS)
    whole = draw(predictor(), images(), PROMPTS, Mode.TRACK, [0], spoken)
    assert [frame.frame for frame in found if frame.is_key_frame] == [0]
    for one, other in zip(found, whole, strict=True):
        assert np.array_equal(one.masks_NHW, predictor().masks_of(other.logits_NHW, other.presence_N))
        assert np.array_equal(one.presence_N, other.presence_N)


def test_key_frames_are_the_first_with_contrast_and_masks_before_them_are_empty() -> None:
    blank = np.full((SIDE_PX, SIDE_PX), 170, dtype=np.uint8)
    filled = blank.copy()
    filled[40:44, 8:-8] = 60
    live = LiveTracker(predictor(), PROMPTS, key_frames=2)
    found = [live.add(image_HW) for image_HW in [blank] * 5 + [filled] * 10]
    keys = [frame.frame for frame in found if frame.is_key_frame]
    assert keys == [6, 6 + KEY_FRAME_STEP]
    for frame in found[:6]:
        assert not frame.masks_NHW.any()
        assert frame.presence_N.tolist() == [0, 0]
    assert all(frame.masks_NHW.shape == (2, SIDE_PX, SIDE_PX) for frame in found)
    assert (found[6].presence_N > 0).all()


def test_one_bright_level_is_no_contrast_and_a_lasting_one_is_after_two_frames() -> None:
    watch = ContrastWatch()
    levels = [0.02, 0.02, 0.09, 0.02, 0.02, 0.05, 0.05, 0.05]
    assert [watch.shows_contrast(level) for level in levels] == [False] * 6 + [True] * 2


def test_what_is_kept_does_not_grow() -> None:
    live = LiveTracker(predictor(), PROMPTS[:1], key_frames=1)
    live.start()
    sizes = []
    for image_HW in images(24):
        live.add(image_HW)
        bank = live._bank
        sizes.append((len(bank.conditioning), len(bank.recent), len(bank.pointers), len(live._key_images)))
    assert sizes[-1] == sizes[-2] == (1, 6, 15, 1)


def test_other_objects_are_not_drawn_from_the_memory_of_these() -> None:
    live = LiveTracker(predictor(), PROMPTS, key_frames=2)
    live.start()
    live.add(images()[0])
    assert live._spoken is not None
    object.__setattr__(live._spoken, "drawn", (0,))  # as if the first answer had one mask only
    live.start()
    live.add(images()[1])
    assert list(live._bank.conditioning) == list(live._key_images) == [0, 1]
    assert all(len(memory.pointers_NP) == 2 for memory in live._bank.conditioning.values())


@pytest.mark.parametrize(("logit", "keys"), [(8.0, [FIRST_LOOK]), (-8.0, [])])
def test_contrast_from_the_start_is_seen_by_the_model_itself(
    monkeypatch: pytest.MonkeyPatch, logit: float, keys: list[int]
) -> None:
    decode = Follower.decode_key_frame

    def judged(follower: Follower, *args: object) -> tuple[FrameMasks, Memory]:
        masks, memory = decode(follower, *args)  # type: ignore[arg-type]
        presence_N = torch.full_like(masks.decoded.presence_N, logit)
        return replace(masks, decoded=replace(masks.decoded, presence_N=presence_N)), memory

    monkeypatch.setattr(Follower, "decode_key_frame", judged)
    live = LiveTracker(predictor(), PROMPTS[:1], key_frames=1)
    filled = draw_run_frame(0, 3)[0]
    found = [live.add(filled) for _ in range(FIRST_LOOK + 2)]
    assert [frame.frame for frame in found if frame.is_key_frame] == keys
    assert (live._spoken is not None) == bool(keys)


def test_a_key_frame_too_many_takes_the_place_of_the_oldest() -> None:
    live = LiveTracker(predictor(), PROMPTS, key_frames=2)
    for image_HW in images(3):
        live.start()
        assert live.add(image_HW).is_key_frame
    assert list(live._bank.conditioning) == [1, 2]
    assert all(map(np.array_equal, live._key_images.values(), images(3)[1:]))


def test_nothing_to_ask_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 prompts"):
        LiveTracker(predictor(), [])
    with pytest.raises(ConfigError, match="0 key frames"):
        LiveTracker(predictor(), PROMPTS, key_frames=0)
