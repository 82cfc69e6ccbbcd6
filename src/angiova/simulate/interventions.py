"""Devices in the coronary arteries: the guide wire of an intervention, and stents left there."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from angiova.simulate.heart import Floats, Heart
from angiova.simulate.strands import COBALT_ALLOY_MM, PLATINUM_MM, STEEL_MM, Strand, evenly, strand, travelled_mm
from angiova.simulate.tree import STEP_MM, Tree

Indices = npt.NDArray[np.intp]

WIRE_MM: Final = 0.36  # 0.014 inch
WIRE_STEP_MM: Final = 0.12
STIFFNESS_MM: Final = 2.0  # standard deviation that straightens the wire within the artery
TIP_SHARE: Final = 0.5  # of the tip's cross-section that is platinum coil
LOOP_SHARE: Final = 0.35  # of wires that end in a loop
WIRED_SEGMENTS: Final = ("3", "4", "8", "9", "10", "12a", "12b", "13", "14", "15", "16")
STENTED_SEGMENTS: Final = ("1", "2", "3", "6", "7", "11", "13")
STRUT_MM: Final = (0.08, 0.15)
RING_PITCH_MM: Final = 1.4
CROWNS: Final = 7


def draw_guide_wire(rng: np.random.Generator, heart: Heart, tree: Tree) -> list[Strand]:
    """Return a guide wire from the catheter's tip to the periphery of one branch.

    0.014 inch (0.36 mm), a steel core that the last 2 to 3 cm cover with a radiopaque platinum coil; the core is ground
    down to 0.2 mm before it. The tip is bent, or turned into a loop so that it cannot enter a twig.
    """
    course = _way_to(tree, _target(rng, tree))
    smooth_N3 = gaussian_filter1d(tree.points_N3[course], STIFFNESS_MM / STEP_MM, axis=0, mode="nearest")
    end = _shaped_tip(rng, heart, smooth_N3)
    points_N3 = evenly(np.concatenate([smooth_N3, end]), WIRE_STEP_MM)
    travelled_N = travelled_mm(points_N3)
    to_tip_N = travelled_N[-1] - travelled_N
    tip_mm = float(rng.uniform(20, 30))
    core_N = np.clip(0.2 + 0.16 * (to_tip_N - tip_mm) / 60, 0.2, WIRE_MM)
    # Where the core is thinner than the wire a polymer sleeve fills it; steel in it counts by its section.
    body_N = STEEL_MM * (core_N / WIRE_MM) ** 2
    attenuation_N = np.where(to_tip_N < tip_mm, TIP_SHARE * PLATINUM_MM, body_N)
    return [strand(heart.to_patient(points_N3), WIRE_MM / 2, attenuation_N, 1.0)]


def _target(rng: np.random.Generator, tree: Tree) -> int:
    """Return the sample in a peripheral segment that the wire ends at."""
    present = [name for name in WIRED_SEGMENTS if name in tree.segments]
    name = str(rng.choice(present)) if present else tree.segments[0]
    inside = np.flatnonzero(tree.segment_N == tree.segments.index(name))
    return int(inside[int(len(inside) * float(rng.uniform(0.5, 0.9)))])


def _way_to(tree: Tree, sample: int) -> Indices:
    """Return the samples from the ostium to `sample`, in order."""
    own = np.flatnonzero(tree.artery_N == tree.artery_N[sample])
    own = own[own <= sample]
    if own[0] == 0:
        return own
    before_N3 = tree.points_N3[: own[0]]
    parent = int(np.argmin(np.linalg.norm(before_N3 - tree.points_N3[own[0]], axis=1)))
    return np.concatenate([_way_to(tree, parent), own])


def _shaped_tip(rng: np.random.Generator, heart: Heart, points_N3: Floats) -> Floats:
    """Return the bend or loop (M, 3) that goes on from the last of local points (N, 3)."""
    forward_3 = _unit(points_N3[-1] - points_N3[-12])
    outward_3 = heart.outward(points_N3[-1:])[0]
    aside_3 = _unit(np.cross(outward_3, forward_3)) * rng.choice([-1.0, 1.0])
    is_loop = rng.random() < LOOP_SHARE
    reach_mm = float(rng.uniform(1.0, 2.2) if is_loop else rng.uniform(2.0, 3.5))
    turn = np.deg2rad(np.arange(6, rng.uniform(200, 340) if is_loop else rng.uniform(25, 70), 4))[:, None]
    return np.asarray(points_N3[-1] + reach_mm * (np.sin(turn) * forward_3 + (1 - np.cos(turn)) * aside_3))


def draw_stent(rng: np.random.Generator, heart: Heart, tree: Tree) -> list[Strand]:
    """Return a stent deployed in one of the larger segments: rings of zigzag struts on the wall.

    10 to 30 mm long, 2.25 to 4.5 mm wide, struts of 0.08 to, in older ones, 0.15 mm of cobalt-chromium alloy L605,
    seven crowns in a ring: the usual figures of drug-eluting stents (Stefanini and Holmes, N Engl J Med 368:254-265,
    2013). A strut takes little of the beam, so that the stent is seen where struts overlap along its edges, and hardly
    while contrast fills it.
    """
    present = [name for name in STENTED_SEGMENTS if name in tree.segments]
    inside = np.flatnonzero(tree.segment_N == tree.segments.index(str(rng.choice(present))))
    num = min(int(float(rng.uniform(10, 30)) / STEP_MM), len(inside))
    start = int(rng.integers(0, len(inside) - num + 1))
    course = inside[start : start + num]
    wall_mm = float(np.clip(np.median(tree.radius_N_mm[course]) * 1.05, 1.125, 2.25))
    axis_N3 = gaussian_filter1d(tree.points_N3[course], 1.5 / STEP_MM, axis=0, mode="nearest")
    mesh_M3 = heart.to_patient(_mesh(rng, heart, axis_N3, wall_mm))
    return [strand(mesh_M3, float(rng.uniform(*STRUT_MM)) / 2, COBALT_ALLOY_MM, 1.0)]


def _mesh(rng: np.random.Generator, heart: Heart, axis_N3: Floats, wall_mm: float) -> Floats:
    """Return local points (M, 3) along the struts, which wind around the axis (N, 3) as one zigzag helix."""
    length_mm = float(travelled_mm(axis_N3)[-1])
    num_rings = max(length_mm / RING_PITCH_MM, 2.0)
    turn_M = np.arange(0, 2 * np.pi * num_rings, 0.1 / (2.2 * wall_mm))
    zigzag_M = 0.5 * np.arcsin(np.sin(CROWNS * turn_M + rng.uniform(0, 2 * np.pi))) / (np.pi / 2)
    at_M = np.clip((turn_M / (2 * np.pi) + zigzag_M) / num_rings, 0, 1) * (len(axis_N3) - 1)
    index_M = at_M.astype(int)
    forward_N3 = np.gradient(axis_N3, axis=0)
    forward_N3 /= np.maximum(np.linalg.norm(forward_N3, axis=1, keepdims=True), 1e-6)
    aside_N3 = np.cross(heart.outward(axis_N3), forward_N3)
    aside_N3 /= np.maximum(np.linalg.norm(aside_N3, axis=1, keepdims=True), 1e-6)
    up_N3 = np.cross(forward_N3, aside_N3)
    centre_M3 = np.stack([np.interp(at_M, np.arange(len(axis_N3)), values) for values in axis_N3.T], axis=1)
    around_M3 = np.cos(turn_M)[:, None] * aside_N3[index_M] + np.sin(turn_M)[:, None] * up_N3[index_M]
    return np.asarray(centre_M3 + wall_mm * around_M3, dtype=np.float32)


def _unit(vector_3: Floats) -> Floats:
    return np.asarray(vector_3 / max(float(np.linalg.norm(vector_3)), 1e-6))
