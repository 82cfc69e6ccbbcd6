"""Training examples: what is asked, with which masks, and that an example depends on seed and index alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from angiova.data.augment import NO_AUGMENTATION, AugmentSettings
from angiova.data.dataset import Example, ExampleDataset, ExampleSettings, choose_targets
from angiova.data.manifest import Manifest
from angiova.data.prompts import make_turn
from angiova.data.records import Split, TargetKind
from angiova.data.syntax import RIGHT_SEGMENTS, SEGMENT_NAMES
from angiova.errors import DataError
from models import draw_frame, write_frames

PLAIN = ExampleSettings(whole_only=0, absent_segments=0, joined=0)


def dataset(manifest: Manifest, examples: ExampleSettings = PLAIN, repeats: int = 2) -> ExampleDataset:
    return ExampleDataset(manifest, Split.TRAIN, repeats, 0, examples, NO_AUGMENTATION)


def same(a: Example, b: Example) -> bool:
    masks = all(np.array_equal(x, y) for x, y in zip(a.masks, b.masks, strict=True))
    return a.frame_id == b.frame_id and a.turns == b.turns and np.array_equal(a.image_HW, b.image_HW) and masks


def test_masks_follow_the_order_of_the_questions(tmp_path: Path) -> None:
    examples = dataset(write_frames(tmp_path))
    for example in (examples[i] for i in range(4)):
        _, across, down = draw_frame(int(example.frame_id[1:]))
        expected = {"coronary artery tree": across | down, "proximal LAD": across, "proximal circumflex": down}
        phrases = [target.phrase for turn in example.turns for target in turn.targets]
        assert sorted(phrases) == sorted(expected)
        for phrase, mask in zip(phrases, example.masks, strict=True):
            np.testing.assert_array_equal(mask, expected[phrase])


def test_an_example_depends_on_seed_and_index_alone(tmp_path: Path) -> None:
    manifest = write_frames(tmp_path)
    varied = [ExampleDataset(manifest, Split.TRAIN, 3, 5, ExampleSettings(), AugmentSettings()) for _ in "ab"]
    backwards = {i: varied[1][i] for i in reversed(range(len(varied[1])))}
    assert all(same(varied[0][i], backwards[i]) for i in range(len(varied[0])))


def test_every_pass_shows_every_frame_once(tmp_path: Path) -> None:
    examples = dataset(write_frames(tmp_path), repeats=3)
    frames = [examples[i].frame_id for i in range(len(examples))]
    assert len(frames) == 12
    assert all(sorted(frames[i : i + 4]) == ["f0", "f1", "f4", "f5"] for i in (0, 4, 8))


def test_absent_segments_belong_to_the_other_tree_and_are_empty(tmp_path: Path) -> None:
    record = dataset(write_frames(tmp_path)).records[0]
    settings = ExampleSettings(targets_per_frame=9, whole_only=0, absent_segments=3)
    chosen = choose_targets(record, settings, np.random.default_rng(0))
    absent = [target for target in chosen if target.mask.is_empty]
    assert len(absent) == 3
    assert all(target.segment in RIGHT_SEGMENTS for target in absent)


def test_absent_segments_may_be_of_the_same_tree_where_all_in_view_are_labelled(tmp_path: Path) -> None:
    """The drawn frames show two segments of the left tree, so 23 names are left, 15 of them of that tree."""
    record = dataset(write_frames(tmp_path)).records[0]
    settings = ExampleSettings(targets_per_frame=99, whole_only=0, absent_segments=99, absent_from="any")
    chosen = choose_targets(record, settings, np.random.default_rng(0))
    absent = {target.segment for target in chosen if target.mask.is_empty}
    assert absent == set(SEGMENT_NAMES) - {"6", "11"}
    assert len(absent - RIGHT_SEGMENTS) == 15


def test_whole_only_asks_for_the_tree_alone(tmp_path: Path) -> None:
    record = dataset(write_frames(tmp_path)).records[0]
    chosen = choose_targets(record, ExampleSettings(whole_only=1), np.random.default_rng(0))
    assert [target.kind for target in chosen] == [TargetKind.VESSEL_TREE]


def test_one_question_may_ask_for_two(tmp_path: Path) -> None:
    record = dataset(write_frames(tmp_path)).records[0]
    turn = make_turn(record.targets[1:], np.random.default_rng(0))
    assert turn.answer == "[SEG] proximal LAD, [SEG] proximal circumflex."
    assert "proximal LAD and proximal circumflex" in turn.question


def test_a_split_without_labels_is_refused(tmp_path: Path) -> None:
    manifest = write_frames(tmp_path, frames=2, patients=2)  # one val, one test patient
    with pytest.raises(DataError, match="no labelled frame"):
        dataset(manifest)


def test_sizes_are_known_without_reading_images(tmp_path: Path) -> None:
    examples = dataset(write_frames(tmp_path), ExampleSettings(targets_per_frame=3, absent_segments=1))
    sizes = [examples.size_of(index) for index in range(len(examples))]
    drawn = [examples[index] for index in range(len(examples))]
    assert [masks for masks, _ in sizes] == [len(example.masks) for example in drawn]
    letters = [sum(len(turn.question + turn.answer) for turn in example.turns) for example in drawn]
    assert np.corrcoef([size for _, size in sizes], letters)[0, 1] > 0.9
