"""Everything that one run shows, set up once: the patient, the view, the injection and the imaging chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from angiova.data.rle import BoolMask
from angiova.simulate.catheter import WALL_ATTENUATION_MM, Catheter, draw_catheter
from angiova.simulate.devices import Devices, draw_devices
from angiova.simulate.flow import Bolus, concentration
from angiova.simulate.heart import Floats, Heart, draw_heart, systole_at
from angiova.simulate.plan import RunPlan, draw_bolus
from angiova.simulate.projection import CArm, draw_c_arm
from angiova.simulate.render import Chain, draw_chain
from angiova.simulate.thorax import Thorax, draw_thorax
from angiova.simulate.tree import Tree, draw_tree
from angiova.simulate.tubes import tube_path_mm

LEFT_DOMINANT_SHARE: Final = 0.1
ROOT_RADIUS_MM: Final = 9.0


@dataclass(frozen=True, slots=True)
class Opacified:
    """The samples of a tree at one moment, (N,) each.

    Attributes:
        rows_N: in pixels.
        columns_N: in pixels.
        radius_N_px: as projected.
        contrast_N_mm: length of centreline that a sample stands for, times its concentration of contrast.
        size_px: height and width of the image.
    """

    rows_N: Floats
    columns_N: Floats
    radius_N_px: Floats
    contrast_N_mm: Floats
    size_px: int

    def path_mm(self, chosen_N: BoolMask) -> Floats:
        """Return the path through contrast in some of the samples, (H, W), in mm of undiluted contrast."""
        chosen = [values[chosen_N] for values in (self.rows_N, self.columns_N, self.radius_N_px, self.contrast_N_mm)]
        return tube_path_mm(chosen[0], chosen[1], chosen[2], chosen[3], (self.size_px, self.size_px))


@dataclass(frozen=True, slots=True)
class Scene:
    """One run.

    Attributes:
        heart: the patient's heart.
        tree: the injected coronary tree.
        catheter: the catheter in its ostium.
        c_arm: the view.
        table_3: patient coordinates of the isocentre.
        thorax: what lies behind.
        chain: the imaging chain.
        bolus: the injection.
        contrast_mm: attenuation of undiluted contrast, a millimetre.
        reflux: attenuation of the contrast that spills into the aortic root.
        beat_s: duration of a heart beat.
        beat_phase_s: how long before the run the last end diastole was.
        breath_mm: how far the diaphragm moves; small when the breath is held.
        breath_s: duration of a breath.
        level: attenuation that the dose control takes for average.
        devices: implants, wires and electrodes.
    """

    heart: Heart
    tree: Tree
    catheter: Catheter
    c_arm: CArm
    table_3: Floats
    thorax: Thorax
    chain: Chain
    bolus: Bolus
    contrast_mm: float
    reflux: float
    beat_s: float
    beat_phase_s: float
    breath_mm: float
    breath_s: float
    level: float
    devices: Devices

    def systole(self, time_s: float) -> float:
        """Return how contracted the heart is at `time_s`, 0 to 1."""
        return systole_at(time_s + self.beat_phase_s, self.beat_s)

    def breath_at_mm(self, time_s: float) -> float:
        """Return how far the diaphragm has moved down at `time_s`."""
        return self.breath_mm * float(np.sin(2 * np.pi * time_s / self.breath_s))

    def opacified(self, time_s: float) -> Opacified:
        """Return the injected tree as it is projected at `time_s`."""
        moved_N3 = self.heart.to_patient(self.heart.contract(self.tree.points_N3, self.systole(time_s)))
        rows, columns, per_mm = self.c_arm.project(moved_N3 + self._shift_3(time_s))
        contrast_N = concentration(self.bolus, self.tree.arrival_N_s, time_s)
        radius_N_px = self.tree.radius_N_mm * per_mm
        return Opacified(rows, columns, radius_N_px, self.tree.step_N_mm * contrast_N, self.c_arm.size_px)

    def catheter_paths_mm(self, time_s: float) -> tuple[Floats, Floats]:
        """Return the path through the whole catheter and through its lumen, each (H, W)."""
        ostium_3 = self.tree.points_N3[:1]
        pull_3 = self.heart.to_patient(self.heart.contract(ostium_3, self.systole(time_s)) - ostium_3)
        points_N3 = self.catheter.points_N3 + self.catheter.swing_N[:, None] * pull_3 + self._shift_3(time_s)
        rows, columns, per_mm = self.c_arm.project(points_N3)
        step_N = np.linalg.norm(np.gradient(points_N3, axis=0), axis=1).astype(np.float32)
        shape = (self.c_arm.size_px, self.c_arm.size_px)
        outer_HW = tube_path_mm(rows, columns, self.catheter.radius_mm * per_mm, step_N, shape)
        return outer_HW, tube_path_mm(rows, columns, self.catheter.inner_mm * per_mm, step_N, shape)

    def background(self, time_s: float) -> Floats:
        """Return the attenuation of the patient without catheter, devices and contrast, (H, W)."""
        breath_mm = self.breath_at_mm(time_s)
        return self.thorax.attenuation(self.c_arm.size_px, breath_mm, self.systole(time_s), self.c_arm.spacing_mm)

    def catheter_attenuation(self, outer_HW: Floats, lumen_HW: Floats, time_s: float) -> Floats:
        """Return the attenuation of the catheter's wall and of the contrast in its lumen, (H, W)."""
        injected = float(concentration(self.bolus, np.zeros(1, dtype=np.float32), time_s + 0.15)[0])
        filled = max(injected, self.catheter.filled)
        return WALL_ATTENUATION_MM * (outer_HW - lumen_HW) + self.contrast_mm * filled * lumen_HW

    def device_attenuation(self, time_s: float) -> Floats:
        """Return the attenuation of implants, wires and electrodes, (H, W)."""
        breath_3 = self._shift_3(time_s) + self.table_3
        return self.devices.attenuation(self.heart, self.c_arm, self.table_3, self.systole(time_s), breath_3)

    def reflux_attenuation(self, time_s: float) -> Floats:
        """Return the attenuation of contrast that spills into the aortic root, (H, W); a soft cloud."""
        root_3 = self.heart.to_patient(self.tree.points_N3[:1] * np.array([1, 0.6, 0.6], dtype=np.float32))
        row, column, per_mm = (float(v[0]) for v in self.c_arm.project(root_3 + self._shift_3(time_s)))
        amount = float(concentration(self.bolus, np.full(1, 0.25, dtype=np.float32), time_s)[0])
        at = np.arange(self.c_arm.size_px, dtype=np.float32)
        width_px = ROOT_RADIUS_MM * per_mm
        down, across = np.exp(-(((at - row) / width_px) ** 2) / 2), np.exp(-(((at - column) / width_px) ** 2) / 2)
        return np.asarray(self.reflux * amount * down[:, None] * across[None, :], dtype=np.float32)

    def _shift_3(self, time_s: float) -> Floats:
        """Return the move from patient to C-arm coordinates; the heart follows half of the breath."""
        return np.array([0, 0, -0.5 * self.breath_at_mm(time_s)], dtype=np.float32) - self.table_3


def draw_scene(plan: RunPlan, size_px: int) -> Scene:
    """Return the scene of a planned run; patient and tree are the same in all runs of a patient."""
    patient_rng, rng = plan.patient_rng(0), plan.run_rng()
    heart = draw_heart(patient_rng)
    left_dominant = bool(patient_rng.random() < LEFT_DOMINANT_SHARE)
    tree = draw_tree(plan.patient_rng(1 if plan.side == "left" else 2), heart, plan.side, left_dominant)
    c_arm = draw_c_arm(rng, plan.side, size_px)
    table_3 = _centred(rng, heart, tree, c_arm)
    ends_23 = heart.to_patient(tree.points_N3[[0, 25]])
    into_3 = (ends_23[1] - ends_23[0]) / np.linalg.norm(ends_23[1] - ends_23[0])
    thorax, chain = draw_thorax(rng, heart, c_arm, table_3), draw_chain(rng, size_px)
    level = float(np.median(thorax.attenuation(size_px, 0.0, 0.0, c_arm.spacing_mm)[chain.field]))
    beat_s = 60 / float(rng.uniform(55, 95))
    return Scene(
        heart=heart,
        tree=tree,
        catheter=draw_catheter(rng, ends_23[0], into_3, plan.side),
        c_arm=c_arm,
        table_3=table_3,
        thorax=thorax,
        chain=chain,
        bolus=draw_bolus(rng, plan.num_frames),
        contrast_mm=float(rng.uniform(0.095, 0.17)),
        reflux=float(rng.choice([0.0, rng.uniform(0.02, 0.14)])),
        beat_s=beat_s,
        beat_phase_s=float(rng.uniform(0, beat_s)),
        breath_mm=float(rng.choice([rng.uniform(0, 2), rng.uniform(4, 12)], p=[0.75, 0.25])),
        breath_s=float(rng.uniform(3, 5)),
        level=level,
        devices=draw_devices(plan, heart, tree, c_arm, table_3),
    )


def _centred(rng: np.random.Generator, heart: Heart, tree: Tree, c_arm: CArm) -> Floats:
    """Return patient coordinates of the isocentre so that the tree lies near the middle of the image."""
    named_N3 = heart.to_patient(tree.points_N3[tree.segment_N >= 0])
    seen_N3 = named_N3 @ c_arm.axes_33.T
    middle_3 = (seen_N3.max(axis=0) + seen_N3.min(axis=0)) / 2
    middle_3[:2] += rng.normal(0, 5.0, 2)
    return np.asarray(middle_3 @ c_arm.axes_33, dtype=np.float32)
