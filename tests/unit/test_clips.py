"""Clips as examples: which frames, which labels, which key frames; and that they depend on seed and index alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from angiova.data import rle
from angiova.data.augment import NO_AUGMENTATION, AugmentSettings
from angiova.data.clips import Clip, ClipSettings, draw_key_frames, draw_window, label_of
from angiova.data.dataset import Example, ExampleDataset, ExampleSettings
from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord, Origin, Split, Target, TargetKind
from angiova.data.rle import Rle
from angiova.data.syntax import TREE_PHRASE, segment_phrase
from models import RUN_LENGTH, SIDE_PX, write_runs

EVERY_CLIP = ClipSettings(share=1, frames=4, stride=1, reverse=0, drop=0, start="first")
TREE = ExampleSettings(whole_only=1)


def clips_of(manifest: Manifest, settings: ClipSettings = EVERY_CLIP, seed: int = 0) -> list[Clip]:
    dataset = ExampleDataset(manifest, Split.TRAIN, 2, seed, TREE, NO_AUGMENTATION, clips=settings)
    return [example for example in (dataset[i] for i in range(len(dataset))) if isinstance(example, Clip)]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def target(kind: TargetKind, phrase: str, area: int, segment: str | None = None, observer: str | None = None) -> Target:
    mask = np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
    mask.flat[:area] = True
    return Target(phrase, kind, rle.encode(mask), Origin.MANUAL, observer, segment)


def frame(*targets: Target) -> FrameRecord:
    return FrameRecord("f", "f.png", SIDE_PX, SIDE_PX, "s", "0", run="r", targets=targets)


def test_a_window_by_hand() -> None:
    early = EVERY_CLIP.model_copy(update={"frames": 3, "stride": 1})
    assert draw_window(10, 5, early, rng()) == [3, 4, 5]
    assert draw_window(10, 1, early, rng()) == [0, 1, 2]
    assert draw_window(2, 1, early, rng()) == [0, 1]
    assert draw_window(10, 5, early.model_copy(update={"reverse": 1.0}), rng()) == [5, 4, 3]


def test_every_window_holds_its_frame_has_one_stride_and_stays_in_the_run() -> None:
    settings = ClipSettings(share=1, frames=5, stride=4, reverse=0.5, drop=0)
    windows = {(n, a): [draw_window(n, a, settings, rng(s)) for s in range(40)] for n in range(1, 13) for a in range(n)}
    for (num_frames, anchor), drawn in windows.items():
        for window in drawn:
            assert anchor in window and len(window) == min(5, num_frames)
            assert min(window) >= 0 and max(window) < num_frames
            assert len(set(np.diff(window))) <= 1
    assert {abs(int(np.diff(window)[0])) for window in windows[12, 6]} == {1, 2}
    assert {window.index(6) for window in windows[12, 6]} == set(range(5))


def test_dropped_frames_leave_gaps_but_never_the_frame_itself() -> None:
    settings = ClipSettings(share=1, frames=6, stride=1, reverse=0, drop=0.9)
    drawn = [draw_window(6, 2, settings, rng(seed)) for seed in range(30)]
    assert all(2 in window for window in drawn)
    assert {len(window) for window in drawn} > {1, 2}


def test_labelled_and_empty_differs_from_not_labelled() -> None:
    tree, no_tree = (target(TargetKind.VESSEL_TREE, TREE_PHRASE, area) for area in (9, 0))
    lad = target(TargetKind.SEGMENT, segment_phrase("6"), 4, "6")
    assert label_of(frame(no_tree), tree) == no_tree.mask
    assert label_of(frame(), tree) is None
    assert label_of(frame(tree), lad) is None
    empty = label_of(frame(no_tree), lad)
    assert empty is not None and empty.is_empty


def test_segments_of_the_other_tree_are_known_to_be_absent() -> None:
    right, left = (target(TargetKind.SEGMENT, segment_phrase(n), 4, n) for n in ("1", "6"))
    absent = label_of(frame(left), right)
    assert absent is not None and absent.is_empty
    assert label_of(frame(right), replace(right, phrase="another name")) is None


def test_the_same_observer_is_followed_through_the_clip() -> None:
    one, two = (target(TargetKind.VESSEL_TREE, TREE_PHRASE, area, observer=f"o{area}") for area in (3, 5))
    assert label_of(frame(one, two), two) == two.mask
    assert label_of(frame(one), two) == one.mask


def test_key_frames_are_drawn_among_opacified_frames_where_there_are_any() -> None:
    masks: list[list[Rle | None]] = [
        [None if area is None else target(TargetKind.OTHER, "x", area).mask] for area in (0, None, 8, 3, 4)
    ]
    settings = ClipSettings(share=1, key_frames=2)
    drawn = [draw_key_frames(masks, settings, rng(seed)) for seed in range(50)]
    assert {frame for frames in drawn for frame in frames} == {2, 4}
    assert {len(frames) for frames in drawn} == {1, 2}
    assert all(list(frames) == sorted(frames) for frames in drawn)
    everywhere = settings.model_copy(update={"key_choice": "any"})
    assert {frame for seed in range(50) for frame in draw_key_frames(masks, everywhere, rng(seed))} == set(range(5))
    assert draw_key_frames([[None]], settings, rng()) == (0,)


def test_frames_of_a_clip_are_one_run_in_order_with_their_masks(tmp_path: Path) -> None:
    manifest = write_runs(tmp_path)
    by_id = {record.frame_id: record for record in manifest.records()}
    for clip in clips_of(manifest):
        records = [by_id[frame_id] for frame_id in clip.frame_ids]
        assert len({record.run for record in records}) == 1
        assert [r.frame for r in records] == list(range(records[0].frame, records[0].frame + 4))
        for record, image, (mask,) in zip(records, clip.images, clip.masks, strict=True):
            np.testing.assert_array_equal(image, manifest.read_image(record))
            np.testing.assert_array_equal(mask, rle.decode(record.targets[0].mask))


def test_frames_without_labels_are_part_of_clips_and_have_no_mask(tmp_path: Path) -> None:
    clips = clips_of(write_runs(tmp_path, labelled=(3,)))
    assert {len(clip.images) for clip in clips} == {4}
    for clip in clips:
        assert [mask is not None for (mask,) in clip.masks] == [name.endswith("3") for name in clip.frame_ids]


def test_a_clip_is_varied_as_one(tmp_path: Path) -> None:
    manifest = write_runs(tmp_path)
    still = tmp_path / "images"
    first = Image.open(still / "r0-0.png")
    for path in still.glob("*.png"):
        first.save(path)
    moved = AugmentSettings(noise=0)
    dataset = ExampleDataset(manifest, Split.TRAIN, 1, 0, TREE, moved, clips=EVERY_CLIP)
    clip = dataset[0]
    assert isinstance(clip, Clip)
    assert all(np.array_equal(clip.images[0], image) for image in clip.images)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_single_frames_are_the_same_with_and_without_clips_and_whatever_was_drawn_before(
    tmp_path: Path, share: float
) -> None:
    manifest = write_runs(tmp_path)
    varied = AugmentSettings()
    plain = ExampleDataset(manifest, Split.TRAIN, 3, 7, ExampleSettings(), varied)
    mixed = [
        ExampleDataset(manifest, Split.TRAIN, 3, 7, ExampleSettings(), varied, clips=ClipSettings(share=share))
        for _ in "ab"
    ]
    backwards = {i: mixed[1][i] for i in reversed(range(len(plain)))}
    kinds = {type(example) for example in backwards.values()}
    assert kinds == ({Example} if share == 0 else {Example, Clip})
    for i, other in backwards.items():
        example = mixed[0][i]
        if isinstance(example, Clip):
            assert isinstance(other, Clip)
            assert (example.frame_ids, example.turns, example.key_frames) == (
                other.frame_ids,
                other.turns,
                other.key_frames,
            )
            assert all(map(np.array_equal, example.images, other.images))
        else:
            assert isinstance(other, Example)
            assert np.array_equal(example.image_HW, other.image_HW)
            assert np.array_equal(example.image_HW, plain[i].image_HW)


def test_the_runs_of_this_test_are_as_long_as_it_says(tmp_path: Path) -> None:
    runs = [record.run for record in write_runs(tmp_path).records()]
    assert {runs.count(run) for run in runs} == {RUN_LENGTH}
