"""Which devices a run shows, and what they take of the beam: dark things that are no vessels and have no label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from angiova.simulate.heart import Floats, Heart
from angiova.simulate.implants import draw_clips, draw_electrodes, draw_leads, draw_sternal_wires
from angiova.simulate.interventions import draw_guide_wire, draw_stent
from angiova.simulate.plan import RunPlan
from angiova.simulate.projection import CArm
from angiova.simulate.strands import Strand, joined
from angiova.simulate.tree import Tree

# Shares of patients, or of runs for electrodes and guide wires. Somewhat more than a laboratory sees (previous bypass
# surgery about 10 %, a pacemaker or ICD 3-5 %), so that a model meets each often enough to tell it from vessels.
STERNAL_SHARE: Final = 0.12
CLIPS_SHARE: Final = 0.7  # of those with sternal wires
LEADS_SHARE: Final = 0.10
STENT_SHARE: Final = 0.18
ELECTRODES_SHARE: Final = 0.18
GUIDE_WIRE_SHARE: Final = 0.20


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices of one run.

    Attributes:
        kinds: their names, such as "sternal wires".
        fixed_HW: attenuation of what stays with the chest.
        moving: what follows the heart.
    """

    kinds: tuple[str, ...]
    fixed_HW: Floats
    moving: Strand

    def attenuation(self, heart: Heart, c_arm: CArm, table_3: Floats, systole: float, breath_3: Floats) -> Floats:
        """Return the attenuation along the rays at one moment, (H, W).

        Args:
            heart: the patient's heart.
            c_arm: the view.
            table_3: patient coordinates of the isocentre.
            systole: how contracted the heart is, 0 to 1.
            breath_3: how far the breath has moved it, in mm.
        """
        if not len(self.moving.points_N3):
            return self.fixed_HW
        points_N3 = self.moving.moved(heart, systole, breath_3) - table_3
        return self.fixed_HW + self.moving.attenuation(c_arm, points_N3)


def draw_devices(plan: RunPlan, heart: Heart, tree: Tree, c_arm: CArm, table_3: Floats) -> Devices:
    """Return the devices of a run; what is implanted is the same in all runs of a patient."""
    strands_of = _implanted(plan, heart, tree) | _of_the_run(plan, heart, tree)
    every = joined([strand for strands in strands_of.values() for strand in strands])
    is_moving_N = every.swing_N > 0
    fixed = every.chosen(~is_moving_N)
    fixed_HW = fixed.attenuation(c_arm, fixed.points_N3 - table_3)
    return Devices(tuple(strands_of), fixed_HW, every.chosen(is_moving_N))


def _implanted(plan: RunPlan, heart: Heart, tree: Tree) -> dict[str, list[Strand]]:
    rng = plan.device_rng("patient")
    drawn: dict[str, list[Strand]] = {}
    if rng.random() < STERNAL_SHARE:
        drawn["sternal wires"] = draw_sternal_wires(rng)
        if rng.random() < CLIPS_SHARE:
            drawn["surgical clips"] = draw_clips(rng, heart)
    if rng.random() < LEADS_SHARE:
        drawn["pacemaker leads"] = draw_leads(rng, heart)
    tree_rng = plan.device_rng(plan.side)
    if tree_rng.random() < STENT_SHARE:
        drawn["stent"] = draw_stent(tree_rng, heart, tree)
    return drawn


def _of_the_run(plan: RunPlan, heart: Heart, tree: Tree) -> dict[str, list[Strand]]:
    rng = plan.device_rng("run")
    drawn: dict[str, list[Strand]] = {}
    if rng.random() < ELECTRODES_SHARE:
        drawn["ECG electrodes"] = draw_electrodes(rng)
    if rng.random() < GUIDE_WIRE_SHARE:
        drawn["guide wire"] = draw_guide_wire(rng, heart, tree)
    return drawn
