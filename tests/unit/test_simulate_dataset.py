"""A simulated data set keeps its promises: exact masks, anatomy in the labels, and the same bytes for the same seed."""

from __future__ import annotations

import hashlib
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord, Origin, TargetKind
from angiova.data.syntax import RIGHT_SEGMENTS, TREE_PHRASE, segment_phrase
from angiova.errors import ConfigError, DataError
from angiova.files import read_json, sha256_bytes
from angiova.simulate import simulate
from angiova.simulate.cine import render_frame
from angiova.simulate.plan import FRAMES_A_SECOND, choose_frames, draw_bolus, plan_runs
from angiova.simulate.scene import draw_scene

SIZE_PX = 128


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return simulate(
        tmp_path_factory.mktemp("simulated") / "set", num_runs=6, num_frames=40, seed=5, size_px=SIZE_PX, workers=1
    )


@pytest.fixture(scope="module")
def records(dataset: Manifest) -> list[FrameRecord]:
    return list(dataset.records())


def mask_of(record: FrameRecord, kind: TargetKind) -> np.ndarray:
    (target,) = [target for target in record.targets if target.kind is kind]
    return rle.decode(target.mask)


def file_hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_gives_the_same_bytes_with_one_and_two_workers(tmp_path: Path) -> None:
    for name, seed, workers in (("one", 7, 1), ("two", 7, 2), ("other", 8, 1)):
        simulate(tmp_path / name, num_runs=3, num_frames=6, seed=seed, size_px=96, workers=workers)
    one, two = file_hashes(tmp_path / "one"), file_hashes(tmp_path / "two")
    assert one == two
    assert len([name for name in one if name.endswith(".png")]) == 6 + 1
    assert one["manifest.parquet"] != file_hashes(tmp_path / "other")["manifest.parquet"]


def test_frames_are_counted_named_and_hashed(dataset: Manifest, records: list[FrameRecord]) -> None:
    assert len(records) == dataset.num_frames == 40
    assert len({record.frame_id for record in records}) == 40
    record = records[0]
    assert record.frame_id == f"{record.run}-f{record.frame:03d}"
    assert record.run.startswith(f"{record.patient}-r")
    assert record.time_s == pytest.approx(record.frame / FRAMES_A_SECOND)
    assert record.source_sha256 == sha256_bytes(dataset.read_image(record).tobytes())
    assert {target.origin for target in record.targets} == {Origin.SIMULATED}
    assert dataset.provenance.created is None
    assert dataset.provenance.options["seed"] == 5


def test_every_run_is_one_tree_of_one_patient_in_one_view(records: list[FrameRecord]) -> None:
    for _, frames in groupby(records, key=lambda record: record.run):
        run = list(frames)
        assert len({(r.patient, r.study, r.angles_deg, r.spacing_mm) for r in run}) == 1
        segments = {t.segment for r in run for t in r.targets if t.kind is TargetKind.SEGMENT}
        assert segments <= RIGHT_SEGMENTS or not segments & RIGHT_SEGMENTS
        assert [r.frame for r in run] == sorted({r.frame for r in run})


def test_both_trees_occur(dataset: Manifest) -> None:
    assert {run["tree"] for run in read_json(dataset.folder / "simulation.json")} == {"left", "right"}


def test_segments_and_stenoses_are_parts_of_the_tree(records: list[FrameRecord]) -> None:
    num_segments = 0
    for record in records:
        tree_HW = mask_of(record, TargetKind.VESSEL_TREE)
        for target in record.targets:
            if target.kind in {TargetKind.SEGMENT, TargetKind.STENOSIS}:
                assert not (rle.decode(target.mask) & ~tree_HW).any()
            if target.segment is not None:
                num_segments += 1
                assert target.phrase == segment_phrase(target.segment)
                assert not target.mask.is_empty
    assert num_segments > 40


def test_tree_stenosis_and_catheter_are_always_labelled(records: list[FrameRecord]) -> None:
    for record in records:
        kinds = [target.kind for target in record.targets if target.kind is not TargetKind.SEGMENT]
        assert kinds == [TargetKind.VESSEL_TREE, TargetKind.STENOSIS, TargetKind.CATHETER]
        assert record.targets[0].phrase == TREE_PHRASE


def test_vessels_are_darker_than_what_surrounds_them(dataset: Manifest, records: list[FrameRecord]) -> None:
    num_compared = 0
    for record in records:
        image_HW, tree_HW = dataset.read_image(record), mask_of(record, TargetKind.VESSEL_TREE)
        field_HW = np.ones_like(tree_HW) if record.field_of_view is None else rle.decode(record.field_of_view)
        outside_px = distance_transform_edt(~tree_HW)
        around_HW = (outside_px > 1) & (outside_px < 4) & field_HW & ~mask_of(record, TargetKind.CATHETER)
        if tree_HW.sum() > 150:
            assert image_HW[tree_HW].mean() < image_HW[around_HW].mean() - 2, record.frame_id
            num_compared += 1
    assert num_compared > 20


def test_nothing_is_labelled_behind_the_collimator(records: list[FrameRecord]) -> None:
    collimated = [record for record in records if record.field_of_view is not None]
    assert collimated
    for record in collimated:
        assert record.field_of_view is not None
        closed_HW = ~rle.decode(record.field_of_view)
        assert not any((rle.decode(target.mask) & closed_HW).any() for target in record.targets)


def test_most_frames_show_vessels_and_some_show_none(records: list[FrameRecord]) -> None:
    empty = [record.targets[0].mask.is_empty for record in records]
    assert 0 < np.mean(empty) < 0.3


def test_a_frame_before_the_injection_has_an_empty_tree_and_a_catheter() -> None:
    plan = plan_runs(1, 5, seed=1)[0]
    scene = draw_scene(plan, SIZE_PX)
    _, before = render_frame(scene, 0.9 * scene.bolus.start_s, np.random.default_rng(0))
    _, during = render_frame(scene, scene.bolus.end_s, np.random.default_rng(0))
    assert not before.tree.any() and not before.segments and not before.stenosis.any()
    assert before.catheter.any()
    assert during.tree.mean() > 0.01 and during.segments


def test_the_beating_heart_moves_the_tree() -> None:
    scene = draw_scene(plan_runs(1, 5, seed=1)[0], SIZE_PX)
    beat_start_s = scene.beat_s - scene.beat_phase_s
    rows = [scene.opacified(beat_start_s + phase * scene.beat_s).rows_N for phase in (0.0, 0.3)]
    assert 2 < np.abs(rows[1] - rows[0]).max() * scene.c_arm.spacing_mm < 20


def test_runs_share_patients_and_frames_are_dealt_evenly() -> None:
    plans = plan_runs(200, 1219, seed=0)
    counts = {plan.num_frames for plan in plans}
    assert sum(plan.num_frames for plan in plans) == 1219 and counts == {6, 7}
    assert 1.15 < 200 / len({plan.patient_id for plan in plans}) < 1.5
    assert len({plan.run_id for plan in plans}) == 200


@pytest.mark.parametrize("num_frames", [1, 5, 34, 300])
def test_frames_are_distinct_and_mostly_opacified(num_frames: int) -> None:
    outside = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        bolus = draw_bolus(rng, num_frames)
        frames = choose_frames(rng, num_frames, bolus, last_arrival_s=1.5)
        assert len(set(frames)) == num_frames == len(frames)
        times_s = np.array(frames) / FRAMES_A_SECOND
        outside.append(np.mean((times_s < bolus.start_s) | (times_s > bolus.end_s + bolus.fall_s)))
    assert 0.02 < np.mean(outside) < 0.2 or num_frames == 300


def test_too_few_frames_and_a_full_folder_are_refused(dataset: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot fill"):
        simulate(tmp_path / "set", num_runs=3, num_frames=2)
    assert not (tmp_path / "set").exists()
    with pytest.raises(DataError, match="already holds"):
        simulate(dataset.folder, num_runs=1, num_frames=1, workers=1)


def test_an_interrupted_simulation_is_no_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import angiova.simulate as package

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(package, "render_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "set", num_runs=1, num_frames=1, size_px=64, workers=1)
    with pytest.raises(DataError, match="no data set here"):
        Manifest(tmp_path / "set")


def test_patients_of_two_seeds_are_two_patients() -> None:
    first, second = ({plan.patient_id for plan in plan_runs(20, 60, seed)} for seed in (3, 4))
    assert not first & second
    assert {plan.patient_id for plan in plan_runs(1, 3, seed=0)} == {"sim-p0001"}
