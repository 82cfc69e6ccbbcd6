"""Vessel measures on shapes that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from angiova.errors import DataError
from angiova.morphology import measure_vessels
from angiova.morphology.anatomy import Side, dominance, segment_of, tree_side
from angiova.morphology.calibration import catheter_spacing_mm
from angiova.morphology.measures import NodeKind
from shapes import MIDDLE, SIDE, bar, contrast_tube, limb, narrowed, ring

ANGLES = (10, 27, 52, 68, 113, 171)


@pytest.mark.parametrize("angle_deg", ANGLES)
@pytest.mark.parametrize("width", [2.0, 3.3, 4.6, 7.0, 11.4, 20.0])
def test_a_bar_has_its_width_at_every_place_and_angle(width: float, angle_deg: float) -> None:
    (branch,) = measure_vessels(bar(width, angle_deg)).branches
    assert branch.mean_calibre_px == pytest.approx(width, abs=0.08)
    assert np.abs(branch.own_calibres_px - width).max() < (0.5 if width >= 4 else 0.6)


@pytest.mark.parametrize("angle_deg", [0, 45, *ANGLES])
@pytest.mark.parametrize("width", [3.3, 8.6])
def test_a_bar_has_its_length_and_is_straight(width: float, angle_deg: float) -> None:
    (branch,) = measure_vessels(bar(width, angle_deg, length=120)).branches
    assert branch.length_px == pytest.approx(120, abs=3.0)
    assert branch.tortuosity == pytest.approx(1, abs=0.01)


def test_an_oblique_line_two_pixels_wide_is_not_lost() -> None:
    """Thinning by Zhang and Suen leaves half of this line, here it is whole: 60 steps down a diagonal."""
    line = np.eye(100, dtype=bool) | np.eye(100, k=1, dtype=bool)
    line[:20], line[80:] = False, False
    (branch,) = measure_vessels(line).branches
    assert branch.length_px == pytest.approx(60 * np.sqrt(2), abs=4)
    assert branch.mean_calibre_px == pytest.approx(2 / np.sqrt(2), abs=0.1)


def test_a_ring_is_one_closed_branch() -> None:
    measures = measure_vessels(ring(60, 9))
    (branch,) = measures.branches
    assert branch.length_px == pytest.approx(2 * np.pi * 60, rel=0.003)
    assert branch.mean_calibre_px == pytest.approx(9, abs=0.1)
    assert branch.is_measured_N.all()
    assert branch.tortuosity is None
    assert measures.num_loops == 1
    assert [node.kind for node in measures.nodes] == [NodeKind.RING]


def test_half_a_ring_has_the_tortuosity_of_a_half_circle() -> None:
    half = ring(60, 8)
    half[: int(MIDDLE[0])] = False
    (branch,) = measure_vessels(half).branches
    assert branch.tortuosity == pytest.approx(np.pi / 2, rel=0.01)


def y_shape() -> np.ndarray:
    """A parent of 11 from below; daughters of 8.2 and 6.2, 30 degrees right and 45 left of straight on."""
    return limb((100, 100), 90, 80, 11.0) | limb((100, 100), -60, 80, 8.2) | limb((100, 100), -135, 80, 6.2)


def test_a_y_is_one_bifurcation_with_its_angles() -> None:
    measures = measure_vessels(y_shape())
    (fork,) = measures.bifurcations
    assert np.hypot(measures.nodes[fork.node - 1].row - 100, measures.nodes[fork.node - 1].column - 100) < 4
    assert measures.branch(fork.parent).mean_calibre_px == pytest.approx(11.0, abs=0.4)
    calibres = [measures.branch(number).mean_calibre_px for number in fork.daughters]
    assert calibres == pytest.approx([8.2, 6.2], abs=0.4)
    assert fork.bends_deg == pytest.approx((30, 45), abs=4)
    assert fork.opening_deg == pytest.approx(75, abs=5)
    assert len(measures.nodes_of(NodeKind.END)) == 3


def test_blood_comes_from_the_widest_end_and_the_vessel_goes_on_in_the_wider_daughter() -> None:
    measures = measure_vessels(y_shape())
    (fork,) = measures.bifurcations
    parent, daughter, side = (measures.branch(n) for n in (fork.parent, *fork.daughters))
    assert parent.points_N2[0, 0] > 170  # from below
    assert parent.vessel == daughter.vessel != side.vessel
    assert parent.end == daughter.start == side.start == fork.node


@pytest.mark.parametrize("angles", [(20, 95), (20, 65), (5, 40), (130, 20)])
def test_an_x_is_a_crossing_of_two_vessels_and_no_bifurcation(angles: tuple[float, float]) -> None:
    measures = measure_vessels(bar(8.3, angles[0], 150) | bar(5.2, angles[1], 150))
    assert not measures.bifurcations
    assert len(measures.nodes_of(NodeKind.CROSSING)) == 1
    assert measures.num_loops == 0
    by_vessel = {number: [b for b in measures.branches if b.vessel == number] for number in (1, 2)}
    calibres = [np.mean([b.mean_calibre_px for b in parts]) for parts in by_vessel.values()]
    assert calibres == pytest.approx([8.3, 5.2], abs=0.3)
    for parts in by_vessel.values():
        assert len(parts) == 2
        assert sum(b.length_px for b in parts) == pytest.approx(150, abs=6)


def test_two_side_branches_at_one_place_are_no_crossing() -> None:
    """Both leave downstream at 45 degrees, so that no line goes straight from one to the other."""
    tree = limb((100, 20), 0, 160, 10.2) | limb((100, 100), 45, 60, 5.2) | limb((100, 100), -45, 60, 5.2)
    measures = measure_vessels(tree)
    assert not measures.nodes_of(NodeKind.CROSSING)
    assert sum(len(fork.daughters) - 1 for fork in measures.bifurcations) == 2


def test_a_bump_is_a_spur_and_a_side_branch_is_not() -> None:
    trunk = limb((100, 20), 0, 160, 12.2)
    bump = trunk | limb((100, 100), 90, 9, 4.2)
    branch = trunk | limb((100, 100), 90, 40, 4.2)
    assert len(measure_vessels(bump).branches) == 1
    assert len(measure_vessels(branch).branches) == 3


def test_tiny_holes_are_noise_and_large_ones_are_loops() -> None:
    thick = bar(20, 10)
    pinhole, loop = thick.copy(), thick.copy()
    pinhole[98:101, 98:101] = False
    loop[96:104, 80:120] = False
    assert measure_vessels(pinhole).num_loops == 0
    assert len(measure_vessels(pinhole).branches) == 1
    assert measure_vessels(loop).num_loops == 1


def test_pieces_are_counted_and_crumbs_are_not_measured() -> None:
    mask = bar(5.2, 10, 60, (40, 100)) | bar(5.2, 10, 60, (150, 100))
    mask[100:102, 100:102] = True
    measures = measure_vessels(mask)
    assert len(measures.branches) == 2
    assert measures.num_pieces == 3


@pytest.mark.parametrize("percent", [25, 40, 55, 70, 85])
@pytest.mark.parametrize("taper", [0.0, 0.025])
def test_a_narrowing_has_its_percent_place_and_length(percent: float, taper: float) -> None:
    measures = measure_vessels(narrowed(percent, taper=taper))
    (stenosis,) = measures.stenoses
    assert stenosis.percent == pytest.approx(percent, abs=5)
    assert stenosis.reference_px == pytest.approx(12.3, abs=0.5)
    assert stenosis.minimum_px == pytest.approx(12.3 * (1 - percent / 100), abs=0.5)
    assert (stenosis.row, stenosis.column) == pytest.approx(MIDDLE, abs=4)
    assert 20 < stenosis.length_px < 52


def test_tapering_alone_is_no_narrowing() -> None:
    assert measure_vessels(narrowed(0, taper=0.05)).stenoses == ()


def test_a_narrowing_at_the_origin_of_a_daughter_is_measured_against_what_follows() -> None:
    """A daughter of 8.2 that starts at 4.1: half."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
    width = np.interp(rows, [100, 125, 150], [4.1, 4.1, 8.2])
    daughter = (np.abs(columns - 100.2) < width / 2) & (rows > 100) & (rows < 190)
    measures = measure_vessels(limb((100, 10), 0, 180, 14.2) | daughter)
    assert [s.percent for s in measures.stenoses] == pytest.approx([50], abs=6)
    assert measures.stenoses[0].reference_px == pytest.approx(8.2, abs=0.4)


def test_unequal_spacing_counts_along_and_across_a_vessel() -> None:
    """Pixels 0.2 mm high and 0.4 mm wide: along a row 0.4 a step and 0.2 a pixel of calibre, along a column reverse."""
    across = measure_vessels(bar(8.2, 0, 120), spacing_mm=(0.2, 0.4)).branches[0]
    down = measure_vessels(bar(8.2, 90, 120), spacing_mm=(0.2, 0.4)).branches[0]
    assert across.length_mm == pytest.approx(across.length_px * 0.4, rel=1e-2)
    assert down.length_mm == pytest.approx(down.length_px * 0.2, rel=1e-2)
    assert across.calibre_N_mm is not None
    assert down.calibre_N_mm is not None
    assert across.calibre_N_mm == pytest.approx(across.calibre_N_px * 0.2, rel=0.02)
    assert down.calibre_N_mm == pytest.approx(down.calibre_N_px * 0.4, rel=0.02)


def test_an_oblique_calibre_in_millimetres_is_that_of_the_stretched_bar() -> None:
    """At 45 degrees, stretched by (1, 2): length grows by sqrt(5/2) and area by 2, so calibre by 2 / sqrt(5/2)."""
    branch = measure_vessels(bar(8.2, 45.0), spacing_mm=(1.0, 2.0)).branches[0]
    calibre_N_mm = branch.calibre_N_mm
    assert calibre_N_mm is not None
    assert (calibre_N_mm / branch.calibre_N_px).mean() == pytest.approx(2 / np.sqrt(2.5), rel=0.01)


def test_a_stenosis_has_millimetres_too() -> None:
    (stenosis,) = measure_vessels(narrowed(50), spacing_mm=(0.25, 0.25)).stenoses
    assert stenosis.minimum_mm == pytest.approx(stenosis.minimum_px * 0.25, rel=1e-6)
    assert stenosis.reference_mm == pytest.approx(stenosis.reference_px * 0.25, rel=1e-6)
    assert stenosis.length_mm == pytest.approx(stenosis.length_px * 0.25, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 2), (3, 3), (64, 64)])
def test_a_full_mask_of_any_size_is_measured_without_failing(shape: tuple[int, int]) -> None:
    measures = measure_vessels(np.ones(shape, dtype=bool))
    for branch in measures.branches:
        assert np.isfinite(branch.points_N2).all()
        assert np.isfinite(branch.calibre_N_px).all()
    assert measures.num_pieces == 1


def test_an_empty_mask_has_nothing() -> None:
    measures = measure_vessels(np.zeros((20, 30), dtype=bool))
    assert (measures.branches, measures.nodes, measures.stenoses) == ((), (), ())
    assert measures.mean_calibre_px is None
    assert measures.length_px == 0


def test_a_single_pixel_is_a_node_without_a_branch() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[7, 11] = True
    measures = measure_vessels(mask)
    assert measures.branches == ()
    assert [(node.row, node.column) for node in measures.nodes] == [(7, 11)]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_the_mask_turns_the_measures(turns: int) -> None:
    whole, turned = measure_vessels(y_shape()), measure_vessels(np.rot90(y_shape(), turns).copy())
    assert len(turned.branches) == len(whole.branches)
    assert turned.length_px == pytest.approx(whole.length_px, rel=0.02)
    assert turned.mean_calibre_px == pytest.approx(whole.mean_calibre_px, rel=0.02)
    assert turned.bifurcations[0].opening_deg == pytest.approx(whole.bifurcations[0].opening_deg, abs=4)


def test_noise_is_refused_instead_of_taking_minutes() -> None:
    noise = np.random.default_rng(0).random((700, 700)) < 0.5
    with pytest.raises(DataError, match="looks like noise"):
        measure_vessels(noise)


@pytest.mark.parametrize("spacing_mm", [(0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_a_spacing_that_is_none_is_refused(spacing_mm: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="spacing"):
        measure_vessels(bar(5, 0), spacing_mm=spacing_mm)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="dimensions"):
        measure_vessels(np.ones((4, 4, 3), dtype=bool))
    with pytest.raises(DataError, match="the image"):
        measure_vessels(bar(5, 0), image_HW=np.zeros((4, 4), dtype=np.uint8))
    with pytest.raises(DataError, match="segment 6"):
        measure_vessels(bar(5, 0), segments={"6": np.zeros((4, 4), dtype=bool)})


@pytest.mark.parametrize("change_px", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("calibre", [6.0, 9.0, 14.0])
def test_walls_of_a_round_tube_are_found_on_grey_values_whatever_the_mask(calibre: float, change_px: float) -> None:
    """Contrast in a tube, blurred as by a detector, with noise; the mask is 2 pixels too narrow, right, or too wide."""
    grey_HW = gaussian_filter(180 - 8 * contrast_tube(calibre, 27), 1.0)
    grey_HW += np.random.default_rng(0).normal(0, 2, grey_HW.shape)
    image_HW = np.rint(grey_HW).clip(0, 255).astype(np.uint8)
    (branch,) = measure_vessels(bar(calibre + change_px, 27), image_HW=image_HW).branches
    assert branch.mean_calibre_px == pytest.approx(calibre, abs=0.5)


def test_a_flat_image_leaves_the_walls_where_the_mask_has_them() -> None:
    flat = np.full((SIDE, SIDE), 90, dtype=np.uint8)
    plain, refined = measure_vessels(bar(7, 27)), measure_vessels(bar(7, 27), image_HW=flat)
    assert refined.mean_calibre_px == pytest.approx(plain.mean_calibre_px, abs=0.1)


def test_branches_get_the_segment_that_holds_most_of_them() -> None:
    left, right = bar(8.2, 0), bar(8.2, 0)
    left[:, 150:], right[:, :150] = False, False
    assert measure_vessels(bar(8.2, 0), segments={"6": left, "7": right}).branches[0].segment == "6"
    assert segment_of(np.array([[5.0, 5.0]]), {"6": left}) is None


def test_tree_side_goes_by_the_larger_named_area() -> None:
    assert tree_side({"1": 100, "2": 50}) is Side.RIGHT
    assert tree_side({"5": 100, "6": 50, "1": 20}) is Side.LEFT
    assert tree_side({}) is None
    with pytest.raises(DataError, match="no SYNTAX segment"):
        tree_side({"99": 4})


def test_dominance_is_whose_posterior_descending_artery_is_seen() -> None:
    assert dominance(["1", "2", "3", "4"]) is Side.RIGHT
    assert dominance(["16a"]) is Side.RIGHT
    assert dominance(["5", "13", "15"]) is Side.LEFT
    assert dominance(["1", "2", "6"]) is None
    with pytest.raises(DataError, match="exclude each other"):
        dominance(["4", "15"])


@pytest.mark.parametrize("french", [5.0, 6.0])
def test_a_catheter_gives_the_spacing(french: float) -> None:
    """One French is a third of a millimetre: over 10 pixels, 6 French are 0.2 mm a pixel."""
    assert catheter_spacing_mm(bar(10.0, 27), french) == pytest.approx(french / 3 / 10, rel=0.01)


def test_too_little_catheter_or_a_wrong_size_is_refused() -> None:
    with pytest.raises(DataError, match="of catheter"):
        catheter_spacing_mm(bar(6.2, 27, length=12), 6)
    with pytest.raises(DataError, match="French"):
        catheter_spacing_mm(bar(6.2, 27), 0)
