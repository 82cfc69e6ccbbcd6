"""Devices in and on the chest: sternal wires, pacemaker and ICD leads, surgical clips, ECG electrodes."""

from __future__ import annotations

from typing import Final

import numpy as np

from angiova.simulate.heart import Floats, Heart
from angiova.simulate.strands import (
    COBALT_ALLOY_MM,
    COPPER_MM,
    PLATINUM_MM,
    STEEL_MM,
    TITANIUM_MM,
    Strand,
    curve,
    evenly,
    strand,
    travelled_mm,
)

MIDLINE_X_MM: Final = -12.0  # of the chest, seen from the middle of the heart; see `angiova.simulate.thorax`
STERNUM_Y_MM: Final = -84.0
FINE_MM: Final = 0.15
COARSE_MM: Final = 0.25
SKIN_MM: Final = (165.0, 118.0)  # half axes of the trunk, sideways and front to back
SOFT_PLASTIC_MM: Final = 0.02  # foam and gel, beyond the air that they take the place of
CABLE_SHARE: Final = 0.35  # of a cable's core that is copper
CONDUCTOR_SHARE: Final = (0.16, 0.30)  # of a lead's cross-section that is wire; the rest is silicone
COIL_SHARE: Final = 0.11  # of an ICD coil's cross-section that is platinum


def draw_sternal_wires(rng: np.random.Generator) -> list[Strand]:
    """Return five to eight steel loops around the halves of the sternum, with their twisted ends in front.

    Steel (ASTM F138) of USP 5 to 7, 0.8 to 1.0 mm; diameters of the United States Pharmacopeia, chapter 861. About 2 cm
    lie between them.
    """
    radius_mm = float(rng.uniform(0.8, 1.0)) / 2
    middle_x, middle_y = MIDLINE_X_MM + float(rng.normal(0, 4)), STERNUM_Y_MM + float(rng.normal(0, 4))
    top_mm, pitch_mm = float(rng.uniform(75, 100)), float(rng.uniform(17, 24))
    wires = []
    for number in range(int(rng.integers(5, 9))):
        drop_mm = number * pitch_mm
        # The sternum slants forward on its way down.
        centre_3 = np.array([middle_x, middle_y - 0.12 * drop_mm, top_mm - drop_mm]) + rng.normal(0, (2.0, 1.0, 2.0))
        loop = _twisted_loop(rng, centre_3.astype(np.float32), radius_mm)
        wires += [strand(points_N3, radius_mm, STEEL_MM) for points_N3 in loop]
    return wires


def _twisted_loop(rng: np.random.Generator, centre_3: Floats, radius_mm: float) -> list[Floats]:
    """Return the axes (N, 3) of a loop and of the two ends twisted around each other that lie on the bone."""
    half_x, half_y = float(rng.uniform(9, 15)), float(rng.uniform(5, 8))
    slant_x, slant_y = rng.normal(0, 0.12), rng.normal(0.1, 0.25)
    turn = np.linspace(0, 2 * np.pi, 400)
    # A loop pulled tight is a rounded rectangle.
    across = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.7 * half_x
    depth = -np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.7 * half_y
    loop_M3 = centre_3 + np.stack([across, depth, slant_x * across + slant_y * depth], axis=1)
    lie = rng.uniform(-np.pi, np.pi)
    along_3 = np.array([np.cos(lie), -0.15, np.sin(lie)])
    aside_3 = np.array([-np.sin(lie), 0.0, np.cos(lie)])
    at_mm = np.arange(0, float(rng.uniform(6, 11)), FINE_MM)
    phase = 2 * np.pi * at_mm / float(rng.uniform(2.2, 3.2))
    ends = [
        loop_M3[0]
        + at_mm[:, None] * along_3
        + radius_mm * (np.cos(phase + half)[:, None] * aside_3 + np.sin(phase + half)[:, None] * np.array([0, 1.0, 0]))
        for half in (0.0, np.pi)
    ]
    return [evenly(loop_M3, FINE_MM), *ends]


def draw_leads(rng: np.random.Generator, heart: Heart) -> list[Strand]:
    """Return a pacemaker's or ICD's leads, which come through the veins of the upper left chest.

    Leads of 5 to 7 French; those on the market measure 1.6 to 2.5 mm, their shock coils 2.4 to 2.8 mm over 50 to 70 mm.
    The conductors are coils and cables of MP35N, a shock coil is wound of platinum-iridium.
    """
    place_33 = np.array([[4, -108, 0.5], [30, -88, 0.68], [float(rng.uniform(58, 70)), -45, 0.86]])
    place_33[:, :2] += rng.normal(0, 5, (3, 2))
    ventricle_33 = heart.to_patient(heart.surface(place_33.astype(np.float32)))
    leads = [_lead(rng, heart, ventricle_33, is_shock=rng.random() < 0.4)]
    if rng.random() < 0.55:
        appendage = np.array([[-14, -104, 0.62], [-8, -84, 0.7], [-22, -66, 0.8]], dtype=np.float32)
        leads.append(_lead(rng, heart, heart.to_patient(heart.surface(appendage)), is_shock=False))
    return leads


def _lead(rng: np.random.Generator, heart: Heart, inside_K3: Floats, *, is_shock: bool) -> Strand:
    """Return one lead, tip first; `inside_K3` is its course in the heart, from the valve to the tip."""
    atrium_3 = heart.to_patient(heart.surface(np.array([[-35, -108, 0.8]], dtype=np.float32)))[0]
    cava_3 = np.array([atrium_3[0] + rng.normal(1, 2), atrium_3[1] + rng.normal(4, 2), atrium_3[2] + 45])
    brachiocephalic_3 = np.array([MIDLINE_X_MM - 14 + rng.normal(0, 3), -20 + rng.normal(0, 4), cava_3[2] + 40])
    subclavian_33 = np.array([[35, -40, cava_3[2] + 62], [90, -60, cava_3[2] + 58]]) + rng.normal(0, 5, (2, 3))
    points_N3 = curve(np.stack([*inside_K3[::-1], atrium_3, cava_3, brachiocephalic_3, *subclavian_33]), COARSE_MM)
    from_tip_N = travelled_mm(points_N3)
    inside_mm = float(np.linalg.norm(np.diff(np.stack([*inside_K3[::-1], atrium_3]), axis=0), axis=1).sum())
    swing_N = np.clip((inside_mm + 25.0 - from_tip_N) / 50.0, 0, 1)
    radius_mm = float(rng.uniform(1.6, 2.4)) / 2
    radius_N = np.full(len(points_N3), radius_mm)
    attenuation_N = np.full(len(points_N3), COBALT_ALLOY_MM * float(rng.uniform(*CONDUCTOR_SHARE)))
    # Tip and ring electrodes; the distal millimetres between them are all that is bare of a shock coil.
    is_electrode_N = (from_tip_N < 2.0) | ((from_tip_N > 11.0) & (from_tip_N < 14.0))
    attenuation_N[is_electrode_N] = PLATINUM_MM * 0.12
    if is_shock:
        is_coil_N = (from_tip_N > 16.0) & (from_tip_N < 16.0 + float(rng.uniform(50, 70)))
        radius_N[is_coil_N] = float(rng.uniform(2.4, 2.8)) / 2
        attenuation_N[is_coil_N] = PLATINUM_MM * COIL_SHARE
    return strand(points_N3, radius_N, attenuation_N, swing_N)


def draw_clips(rng: np.random.Generator, heart: Heart) -> list[Strand]:
    """Return the clips on the side branches of bypass grafts: the left internal mammary artery and often a vein graft.

    Ligating clips of titanium, at times steel, are 3 to 8 mm long when closed, of wire of 0.5 to 0.9 mm.
    """
    mammary_33 = np.array([[16.0, -70, 95], [20, -72, 45], [24, -66, 12]]) + rng.normal(0, 3, (3, 3))
    courses = [(mammary_33, np.array([[float(rng.uniform(35, 50)), 2, 1.06]]))]
    if rng.random() < 0.6:
        aorta_33 = np.array([[-8.0, -45, 62], [10, -52, 48]]) + rng.normal(0, 3, (2, 3))
        courses.append((aorta_33, np.array([[float(rng.uniform(20, 45)), float(rng.uniform(50, 100)), 1.06]])))
    is_steel, clips = rng.random() < 0.3, []
    for knots_K3, end in courses:
        end_3 = heart.to_patient(heart.surface(end.astype(np.float32)))[0]
        graft_N3 = curve(np.stack([*knots_K3, end_3]), 0.5)
        clips += [
            _clip(rng, graft_N3, int(index), STEEL_MM if is_steel else TITANIUM_MM)
            for index in rng.integers(0, len(graft_N3), int(rng.integers(4, 10)))
        ]
    return clips


def _clip(rng: np.random.Generator, graft_N3: Floats, index: int, attenuation: float) -> Strand:
    """Return one closed clip beside a graft: two legs that touch, so a flat rod of twice the wire's thickness."""
    direction_3 = rng.normal(0, 1, 3)
    direction_3 /= np.linalg.norm(direction_3)
    at_mm = np.arange(0, float(rng.uniform(3, 8)), FINE_MM) - 2.0
    points_N3 = graft_N3[index] + rng.normal(0, 1.5, 3) + at_mm[:, None] * direction_3
    wire_mm = float(rng.uniform(0.5, 0.9))
    return strand(points_N3, wire_mm / np.sqrt(2), 2 * attenuation, index / len(graft_N3))


def draw_electrodes(rng: np.random.Generator) -> list[Strand]:
    """Return one to three ECG electrodes on the skin: foam patch, snap with a dense rim, and a thin cable.

    Disposable electrodes have a patch of 30 to 45 mm and a snap of 4 mm (ANSI/AAMI EC12) in an eyelet of about 10 mm.
    """
    strands = []
    for _ in range(int(rng.integers(1, 4))):
        turn, height_mm = float(np.deg2rad(rng.uniform(-40, 75))), float(rng.uniform(-70, 70))
        strands += [*_patch(rng, turn, height_mm), _cable(rng, turn, height_mm)]
    return strands


def _patch(rng: np.random.Generator, turn: float, height_mm: float) -> list[Strand]:
    # A spiral whose turns touch makes a disc.
    reach_mm = float(rng.uniform(30, 45)) / 2
    angle_N = np.sqrt(np.linspace(0, 1, 1500, dtype=np.float32)) * np.float32(np.pi * reach_mm)
    foam_N3 = _turned_on_skin(turn, height_mm, angle_N / np.float32(np.pi), angle_N)
    circle_N = np.linspace(0, 2 * np.pi, 300, dtype=np.float32)
    rim_N3 = _turned_on_skin(turn, height_mm, np.full_like(circle_N, 4.6), circle_N)
    snap_N3 = _turned_on_skin(turn, height_mm, np.full_like(circle_N, 1.1), circle_N)
    rim = strand(rim_N3, 0.45, COPPER_MM * float(rng.uniform(0.15, 0.6)))
    return [strand(foam_N3, 1.0, SOFT_PLASTIC_MM), rim, strand(snap_N3, 1.0, 0.35 * COPPER_MM)]


def _cable(rng: np.random.Generator, turn: float, height_mm: float) -> Strand:
    """Return a cable that wanders from a snap over the skin and off the chest."""
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, 9))
    across = np.concatenate([[0.0], np.cumsum(28 * np.cos(heading))])
    up = np.concatenate([[0.0], np.cumsum(28 * np.sin(heading))])
    points_N3 = curve(_on_skin(turn, height_mm, across, up), COARSE_MM)
    return strand(points_N3, float(rng.uniform(0.25, 0.5)), COPPER_MM * CABLE_SHARE)


def _turned_on_skin(turn: float, height_mm: float, reach_N_mm: Floats, angle_N: Floats) -> Floats:
    return _on_skin(turn, height_mm, reach_N_mm * np.cos(angle_N), reach_N_mm * np.sin(angle_N))


def _on_skin(turn: float, height_mm: float, across_N: Floats, up_N: Floats) -> Floats:
    """Return points (N, 3) on the trunk; `turn` is the angle from the front towards the patient's left."""
    half_x, half_y = SKIN_MM
    angle_N = turn + across_N / half_y
    places = [-10 + half_x * np.sin(angle_N), 5 - half_y * np.cos(angle_N), height_mm + up_N]
    return np.stack(places, axis=1).astype(np.float32)
