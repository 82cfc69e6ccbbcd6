"""What a run shows: levels, phases and key frames, on curves worked out by hand and on simulated runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from angiova.data.manifest import Manifest
from angiova.data.pixels import read_grey
from angiova.data.records import FrameRecord, TargetKind
from angiova.errors import DataError
from angiova.evaluation.phases import Phase
from angiova.inference.opacification import (
    SMOOTHING_FRAMES,
    choose_opacified,
    describe_levels,
    measure_run,
    vessel_level,
)
from angiova.simulate import simulate

# Flat, up, flat, down: 6 frames each.
COURSE = [0.02] * 6 + [0.05] * 6 + [0.1] * 6 + [0.04] * 6


def test_phases_follow_a_course_worked_out_by_hand() -> None:
    run = describe_levels(COURSE)
    # 0.05 is 3/8 and 0.04 a quarter of the way from 0.02 to 0.1.
    assert list(run.phases) == [Phase.NONE] * 6 + [Phase.FILLING] * 6 + [Phase.FULL] * 6 + [Phase.WASHOUT] * 6
    assert run.onset == 6
    assert 12 <= run.peak < 18


def test_a_single_blurred_frame_changes_nothing() -> None:
    course = [0.02] * 10 + [0.1] * 10 + [0.04] * 10
    blurred = [*course[:14], 0.0, *course[15:]]
    assert describe_levels(blurred).phases == describe_levels(course).phases


@pytest.mark.parametrize("levels", [[0.05] * 10, [0.05], [0.0] * 8, [0.050, 0.051] * 5])
def test_a_run_that_does_not_change_has_no_phases(levels: list[float]) -> None:
    run = describe_levels(levels)
    assert set(run.phases) == {None}
    assert not run.is_clear
    assert run.onset is None


def test_a_run_that_begins_with_contrast_has_no_onset() -> None:
    assert describe_levels(COURSE[12:]).onset is None


def test_key_frames_lie_spread_in_the_part_with_contrast() -> None:
    assert choose_opacified(describe_levels(COURSE), 3) == [9, 15, 21]
    assert choose_opacified(describe_levels([0.05] * 10), 2) == [2, 7]
    assert choose_opacified(describe_levels([0.05, 0.05]), 5) == [0, 1]


def test_nothing_to_describe_or_to_choose_is_refused() -> None:
    with pytest.raises(DataError, match="without frames"):
        describe_levels([])
    with pytest.raises(DataError, match="key frames"):
        choose_opacified(describe_levels(COURSE), 0)


def test_the_level_of_a_blank_frame_is_nothing_and_grows_with_vessel() -> None:
    image = np.full((200, 300), 170, dtype=np.uint8)
    assert vessel_level(image) == 0
    image[50:54, 20:280] = 80
    one = vessel_level(image)
    image[120:124, 20:280] = 80
    assert 0 < one < vessel_level(image)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return simulate(tmp_path_factory.mktemp("sim") / "runs", num_runs=2, num_frames=70, size_px=160, workers=1)


def runs_of(manifest: Manifest) -> Iterator[list[FrameRecord]]:
    for _, records in groupby(manifest.records(), key=lambda record: record.run):
        yield list(records)


def areas_of(records: list[FrameRecord]) -> list[int]:
    return [t.mask.area_px for record in records for t in record.targets if t.kind is TargetKind.VESSEL_TREE]


def test_phases_of_simulated_runs_agree_with_their_masks(simulated: Manifest) -> None:
    for records in runs_of(simulated):
        run, areas = measure_run(map(simulated.read_image, records)), areas_of(records)
        assert run.is_clear
        first = next(i for i, area in enumerate(areas) if area >= 0.25 * max(areas))
        assert run.onset is not None
        assert abs(run.onset - first) <= SMOOTHING_FRAMES // 2
        assert areas[run.peak] >= 0.75 * max(areas)
        assert all(areas[frame] > 0 for frame in choose_opacified(run, 5))


def test_contrast_arrives_in_the_real_runs(shared_data: Path) -> None:
    for name in ("p1_run1", "p2_run3", "p4_run1"):
        run = measure_run(map(read_grey, sorted((shared_data / "angiodata_video" / name / "images").iterdir())))
        assert run.onset is not None
        assert run.onset < run.peak
