"""Devices lie where they should, look as wide as they are, move with what they sit in, and change no label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from scipy.spatial import KDTree

from angiova.files import read_json
from angiova.simulate import devices, simulate
from angiova.simulate.cine import Labels, render_frame
from angiova.simulate.heart import draw_heart
from angiova.simulate.implants import draw_clips, draw_leads, draw_sternal_wires
from angiova.simulate.interventions import draw_guide_wire, draw_stent
from angiova.simulate.plan import RunPlan
from angiova.simulate.projection import CArm
from angiova.simulate.scene import Scene, draw_scene
from angiova.simulate.strands import EFFECTIVE, STEEL_MM, strand, travelled_mm
from angiova.simulate.tree import draw_tree

SHARES = ("STERNAL_SHARE", "LEADS_SHARE", "STENT_SHARE", "ELECTRODES_SHARE", "GUIDE_WIRE_SHARE")
STILL_3 = np.zeros(3, dtype=np.float32)
PLAN = RunPlan(1, 1, 1, "left", 5)


def scene_with(monkeypatch: pytest.MonkeyPatch, *shares: str, plan: RunPlan = PLAN) -> Scene:
    for share in SHARES:
        monkeypatch.setattr(devices, share, float(share in shares))
    return draw_scene(plan, 256)


def masks(labels: Labels) -> list[np.ndarray]:
    return [labels.tree, labels.stenosis, labels.catheter, *labels.segments.values()]


@pytest.mark.parametrize(("primary_deg", "stretch"), [(0.0, 1.0), (60.0, 2.0)])
def test_a_wire_is_as_wide_as_its_diameter_and_as_dark_as_its_steel(primary_deg: float, stretch: float) -> None:
    arm = CArm(primary_deg, 0.0, 750.0, 1000.0, 0.2, 201)  # 1 / 0.15 pixels a millimetre at the isocentre
    side = np.arange(-30, 30, 0.02, dtype=np.float32)
    wire = strand(np.stack([side, 0 * side, 0 * side], axis=1), 0.45, STEEL_MM)
    profile = wire.attenuation(arm, wire.points_N3)[:, 100]
    # Seen from the side a rod of 0.9 mm covers 6 pixels, and the chords across it add up to its cross-section.
    assert (profile > 0.5 * profile.max()).sum() == pytest.approx(6 * np.sqrt(0.75), abs=1)
    assert profile.max() == pytest.approx(EFFECTIVE * STEEL_MM * 0.9 * stretch, rel=0.1)
    assert profile.sum() * 0.15 == pytest.approx(EFFECTIVE * STEEL_MM * np.pi * 0.45**2 * stretch, rel=0.03)


@pytest.mark.parametrize("share", SHARES)
def test_a_device_darkens_the_picture_where_it_is_and_nowhere_else(monkeypatch: pytest.MonkeyPatch, share: str) -> None:
    # Some devices lie outside the field of some views.
    plans = [RunPlan(1, patient, 1, "left", 5) for patient in range(1, 9)]
    scenes = ((scene_with(monkeypatch, share, plan=plan), plan) for plan in plans)
    equipped, plan = next(pair for pair in scenes if pair[0].device_attenuation(0.3)[pair[0].chain.field].max() > 0.03)
    bare = scene_with(monkeypatch, plan=plan)
    taken_HW = equipped.device_attenuation(0.3)
    assert not bare.device_attenuation(0.3).any()
    before_HW, after_HW = (
        render_frame(scene, 0.3, np.random.default_rng(0))[0].astype(float) for scene in (bare, equipped)
    )
    open_HW = bare.chain.field
    strong_HW = (taken_HW > 0.6 * taken_HW[open_HW].max()) & open_HW
    away_HW = ~binary_dilation(taken_HW > 0, iterations=12)
    assert (after_HW - before_HW)[strong_HW].mean() < -1.5
    assert np.abs((after_HW - before_HW)[away_HW]).mean() < 1.0


def test_devices_change_neither_masks_nor_anatomy(monkeypatch: pytest.MonkeyPatch) -> None:
    bare, equipped = scene_with(monkeypatch), scene_with(monkeypatch, *SHARES)
    assert bare.devices.kinds == () and len(equipped.devices.kinds) >= 5
    np.testing.assert_array_equal(bare.tree.points_N3, equipped.tree.points_N3)
    assert (bare.c_arm, bare.bolus, bare.beat_s) == (equipped.c_arm, equipped.bolus, equipped.beat_s)
    for time_s in (0.1, 1.5):
        one, other = (render_frame(scene, time_s, np.random.default_rng(0))[1] for scene in (bare, equipped))
        assert one.segments.keys() == other.segments.keys()
        for mask_HW, same_HW in zip(masks(one), masks(other), strict=True):
            np.testing.assert_array_equal(mask_HW, same_HW)


def test_a_seed_gives_the_same_devices_and_a_patient_keeps_the_implants(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = scene_with(monkeypatch, *SHARES), scene_with(monkeypatch, *SHARES)
    np.testing.assert_array_equal(one.device_attenuation(0.4), two.device_attenuation(0.4))
    scene_with(monkeypatch, "LEADS_SHARE")
    first, later = (draw_scene(RunPlan(1, 1, run, "left", 5), 128).devices.moving for run in (1, 2))
    other = draw_scene(RunPlan(1, 2, 1, "left", 5), 128).devices.moving
    np.testing.assert_array_equal(first.points_N3, later.points_N3)
    assert first.points_N3.shape != other.points_N3.shape


def test_sternal_wires_are_still_and_a_lead_moves_at_its_tip() -> None:
    rng = np.random.default_rng(4)
    heart = draw_heart(rng)
    assert all((wire.swing_N == 0).all() for wire in draw_sternal_wires(rng))
    lead = draw_leads(rng, heart)[0]
    move_mm = np.linalg.norm(lead.moved(heart, 1.0, STILL_3) - lead.moved(heart, 0.0, STILL_3), axis=1)
    assert move_mm[0] > 2 and move_mm[: len(move_mm) // 4].max() > 4
    assert move_mm[-len(move_mm) // 3 :].max() < 1e-3
    apex_3 = heart.to_patient(heart.surface(np.array([[90, 0, 1]], dtype=np.float32)))[0]
    assert np.linalg.norm(lead.points_N3[0] - apex_3) < 55
    assert lead.points_N3[-1, 0] > 60 and lead.points_N3[-1, 2] > 90  # the upper left chest


@pytest.mark.parametrize("seed", range(6))
def test_devices_have_the_sizes_of_the_shelf(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heart = draw_heart(rng)
    wires = draw_sternal_wires(rng)
    assert 5 <= len(wires) // 3 <= 8  # a loop and two twisted ends each
    assert all(0.8 <= 2 * wire.radius_N_mm[0] <= 1.0 for wire in wires)
    for lead in draw_leads(rng, heart):
        assert 1.5 <= 2 * lead.radius_N_mm.min() <= 2 * lead.radius_N_mm.max() <= 2.8
    lengths_mm = [float(travelled_mm(clip.points_N3)[-1]) for clip in draw_clips(rng, heart)]
    assert len(lengths_mm) >= 4 and min(lengths_mm) > 2.7 and max(lengths_mm) < 8.1


@pytest.mark.parametrize(("seed", "side"), [(0, "left"), (1, "right"), (2, "left"), (3, "right")])
def test_the_guide_wire_lies_in_the_arteries_and_the_stent_on_the_wall(seed: int, side: str) -> None:
    rng = np.random.default_rng(seed)
    heart = draw_heart(rng)
    tree = draw_tree(rng, heart, side, False)
    centrelines = KDTree(heart.to_patient(tree.points_N3))
    (wire,) = draw_guide_wire(rng, heart, tree)
    away_mm = centrelines.query(wire.points_N3)[0]
    assert np.percentile(away_mm, 90) < 1.0 and away_mm.max() < 6  # the bent tip may leave the lumen
    np.testing.assert_allclose(wire.points_N3[0], heart.to_patient(tree.points_N3[:1])[0], atol=1.5)
    assert 2 * wire.radius_N_mm.max() == pytest.approx(0.36)
    tip_mm = float(wire.step_N_mm[wire.attenuation_N > 1].sum())
    assert 19 < tip_mm < 31
    (stent,) = draw_stent(rng, heart, tree)
    assert 0.8 < np.median(centrelines.query(stent.points_N3)[0]) < 2.5
    assert np.ptp(stent.points_N3, axis=0).max() < 36


def test_the_facts_of_a_run_name_its_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices, "GUIDE_WIRE_SHARE", 1.0)
    simulate(tmp_path / "set", num_runs=2, num_frames=2, seed=1, size_px=96, workers=1)
    assert all("guide wire" in run["devices"] for run in read_json(tmp_path / "set" / "simulation.json"))
