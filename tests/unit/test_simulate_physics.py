"""The formulas behind the simulator give the answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from angiova.simulate.flow import Bolus, concentration, travel_time_s
from angiova.simulate.heart import Heart, draw_heart, systole_at
from angiova.simulate.projection import CArm
from angiova.simulate.render import transmitted
from angiova.simulate.solids import Solid, chord_mm
from angiova.simulate.tree import draw_tree, murray_split
from angiova.simulate.tubes import tube_path_mm

BOLUS = Bolus(start_s=0.5, duration_s=2.0, rise_s=0.2, fall_s=1.0)


def f32(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def straight_tube(radius_px: float, step_mm: float, tilt_deg: float = 0.0) -> np.ndarray:
    """Path through a tube along row 50 of a 101 x 101 image at 1 px a millimetre, tilted towards the beam."""
    seen_step = step_mm * np.cos(np.deg2rad(tilt_deg))
    columns = np.arange(-20, 120, seen_step, dtype=np.float32)
    rows = np.full_like(columns, 50)
    return tube_path_mm(rows, columns, np.full_like(columns, radius_px), np.full_like(columns, step_mm), (101, 101))


@pytest.mark.parametrize("distance_px", [0, 2, 4, 6])
def test_path_through_a_tube_is_the_chord_of_its_circle(distance_px: int) -> None:
    path = straight_tube(radius_px=8, step_mm=0.25)
    assert path[50 + distance_px, 50] == pytest.approx(2 * np.sqrt(8**2 - distance_px**2), rel=0.02)


def test_path_outside_a_tube_is_zero() -> None:
    path = straight_tube(radius_px=8, step_mm=0.25)
    assert path[50 + 10 :, 50].max() == 0 == path[: 50 - 9, 50].max()


def test_path_through_an_oblique_tube_is_longer_by_one_over_the_cosine() -> None:
    upright, tilted = straight_tube(6, 0.2), straight_tube(6, 0.2, tilt_deg=60)
    assert tilted[50, 50] == pytest.approx(2 * upright[50, 50], rel=0.02)


def test_a_tube_thinner_than_a_pixel_keeps_its_cross_section() -> None:
    path = straight_tube(radius_px=0.3, step_mm=0.2)
    assert path[:, 50].sum() == pytest.approx(np.pi * 0.3**2, rel=0.02)


def test_overlapping_tubes_add_up() -> None:
    rows, columns = f32(20, 20), f32(20, 20)
    one = tube_path_mm(rows[:1], columns[:1], f32(5), f32(1), (40, 40))
    two = tube_path_mm(rows, columns, f32(5, 5), f32(1, 1), (40, 40))
    np.testing.assert_allclose(two, 2 * one)


def test_murray_conserves_the_cube_of_the_radius() -> None:
    branch, continuation = murray_split(2.0, 0.125)
    assert branch == pytest.approx(1.0)  # an eighth of the flow: half the radius
    assert branch**3 + continuation**3 == pytest.approx(8.0)


def test_daughters_of_the_left_main_obey_murray_but_for_the_unevenness_of_walls() -> None:
    rng = np.random.default_rng(3)
    tree = draw_tree(rng, draw_heart(rng), "left", left_dominant=False)
    trunk = tree.radius_N_mm[tree.segment_N == tree.segments.index("5")][-1]
    starts = np.flatnonzero(np.diff(tree.arrival_N_s, prepend=np.inf) < 0)
    end = tree.points_N3[tree.segment_N == tree.segments.index("5")][-1]
    at_end = [i for i in starts[1:] if np.linalg.norm(tree.points_N3[i] - end) < 0.3]
    assert sum(float(tree.radius_N_mm[i]) ** 3 for i in at_end) == pytest.approx(float(trunk) ** 3, rel=0.3)


def test_isocentre_falls_on_the_middle_and_a_known_point_where_the_magnification_says() -> None:
    frontal = CArm(0.0, 0.0, 750.0, 1000.0, 0.5, 101)
    # 30 mm to the patient's left and 15 mm to the head, in the plane of the isocentre: magnified 4/3, two pixels a mm.
    rows, columns, per_mm = frontal.project(np.array([[0, 0, 0], [30, 0, 15]], dtype=np.float32))
    np.testing.assert_allclose(rows, [50, 50 - 40], atol=1e-4)
    np.testing.assert_allclose(columns, [50, 50 + 80], atol=1e-4)
    assert per_mm[0] == pytest.approx(1000 / 750 / 0.5)
    assert frontal.spacing_mm == pytest.approx(0.375)


def test_lao_turns_the_spine_to_the_right_of_the_image_and_rao_to_the_left() -> None:
    behind = np.array([[0, 75, 0]], dtype=np.float32)
    assert CArm(40, 0, 750, 1000, 0.5, 101).project(behind)[1][0] > 50
    assert CArm(-30, 0, 750, 1000, 0.5, 101).project(behind)[1][0] < 50
    assert CArm(0, 30, 750, 1000, 0.5, 101).project(behind)[0][0] < 50  # cranial: the back moves up


def test_points_nearer_to_the_source_are_magnified_more() -> None:
    _, _, per_mm = CArm(0, 0, 750, 1000, 0.5, 101).project(np.array([[0, 50, 0], [0, -50, 0]], dtype=np.float32))
    np.testing.assert_allclose(per_mm, [2 * 1000 / 700, 2 * 1000 / 800], rtol=1e-5)


def test_rays_hit_the_pixels_that_points_project_to() -> None:
    arm = CArm(35, -20, 750, 1000, 0.5, 100)
    source, rays = arm.rays(100)
    rows, columns, _ = arm.project((source + 700 * rays[20, 70])[None])
    np.testing.assert_allclose([rows[0], columns[0]], [20, 70], atol=0.01)


def test_chord_through_a_sphere_and_a_cylinder() -> None:
    rays = f32(0, 1, 0).reshape(1, 1, 3)
    sphere = Solid(f32(0, 100, 3), np.eye(3, dtype=np.float32), (5, 5, 5), 1.0)
    assert chord_mm(sphere, f32(0, 0, 0), rays)[0, 0] == pytest.approx(8.0, rel=1e-3)  # 3-4-5
    cylinder = Solid(f32(4, 100, 0), np.eye(3, dtype=np.float32), (5, 5, 2), 1.0, is_cylinder=True)
    assert chord_mm(cylinder, f32(0, 0, 0), rays)[0, 0] == pytest.approx(6.0, rel=1e-3)
    assert chord_mm(cylinder.moved(f32(0, 0, 2.5)), f32(0, 0, 0), rays)[0, 0] == 0


def test_intensity_follows_beer_lambert() -> None:
    ln2 = np.full((8, 8), np.log(2), dtype=np.float32)
    np.testing.assert_allclose(transmitted(ln2, scatter=0.0), 0.5, rtol=1e-5)
    np.testing.assert_allclose(transmitted(ln2, scatter=0.4), 0.7, rtol=1e-3)


def test_contrast_is_absent_before_the_front_full_on_the_plateau_and_gone_after_the_wash_out() -> None:
    at_ostium = f32(0.0)
    assert concentration(BOLUS, at_ostium, 0.5)[0] == 0
    assert concentration(BOLUS, at_ostium, 0.6)[0] == pytest.approx(0.5)  # halfway up the front
    assert concentration(BOLUS, at_ostium, 2.0)[0] == 1
    assert concentration(BOLUS, at_ostium, 3.0)[0] == pytest.approx(0.5)  # halfway through the wash-out
    assert concentration(BOLUS, at_ostium, 3.6)[0] == 0
    assert concentration(BOLUS, f32(0.4), 0.85)[0] == 0  # not there yet


def test_blood_takes_its_time() -> None:
    seconds = travel_time_s(np.full(101, 1.8, dtype=np.float32), step_mm=3.0)
    assert seconds[0] == 0
    assert seconds[-1] == pytest.approx(1.0, rel=1e-4)  # 300 mm at 300 mm/s


def test_apex_and_groove_lie_where_their_names_say() -> None:
    heart = Heart(40.0, 80.0, 0.0, np.eye(3, dtype=np.float32))
    places = np.array([[90, 0, 1], [0, 0, 1], [0, 90, 1], [0, 180, 1]], dtype=np.float32)
    np.testing.assert_allclose(heart.surface(places), [[80, 0, 0], [0, 40, 0], [0, 0, 40], [0, -40, 0]], atol=1e-4)


def test_systole_moves_the_groove_towards_the_apex_and_shrinks_the_heart() -> None:
    heart = Heart(40.0, 80.0, 0.0, np.eye(3, dtype=np.float32))
    groove = np.array([[0, 40, 0]], dtype=np.float32)
    np.testing.assert_array_equal(heart.contract(groove, 0.0), groove)
    np.testing.assert_allclose(heart.contract(groove, 1.0), [[12, 36, 0]], atol=1e-4)
    assert systole_at(0.0, 1.0) == 0
    assert systole_at(0.3, 1.0) == pytest.approx(1.0)
    assert systole_at(0.9, 1.0) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("side", "needed"), [("left", {"5", "6", "7", "8", "11", "13"}), ("right", {"1", "2", "3"})])
def test_trees_have_their_segments_and_contrast_never_runs_backwards(side: str, needed: set[str]) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        tree = draw_tree(rng, draw_heart(rng), side, left_dominant=False)
        assert needed <= set(tree.segments)
        jumps = np.linalg.norm(np.diff(tree.points_N3, axis=0), axis=1) > 1.0  # from one artery to the next
        assert (np.diff(tree.arrival_N_s)[~jumps & (np.diff(tree.arrival_N_s) > -0.01)] >= 0).all()
        assert tree.arrival_N_s.min() >= 0
        assert tree.radius_N_mm[~tree.stenosis_N].min() > 0.1 and tree.radius_N_mm.max() < 2.8


def test_a_stenosis_takes_the_stated_share_of_the_diameter() -> None:
    found = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        tree = draw_tree(rng, draw_heart(rng), "right", left_dominant=False)
        if len(tree.stenoses) == 1:
            narrow = tree.radius_N_mm[tree.stenosis_N]
            left_over = narrow.min() / np.mean([narrow[0], narrow[-1]])
            assert left_over == pytest.approx(1 - tree.stenoses[0].percent / 100, abs=0.15)
            found += 1
    assert found >= 5
