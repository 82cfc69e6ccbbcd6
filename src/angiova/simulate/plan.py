"""Which patients, runs and frames a simulated data set has; everything random follows from the seed and a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from angiova.errors import ConfigError
from angiova.simulate.flow import Bolus
from angiova.simulate.tree import Side

FRAMES_A_SECOND: Final = 15
SECOND_RUN_SHARE: Final = 0.3
OUTSIDE_SHARE: Final = 0.12  # of frames, before contrast arrives or after it is gone
# Streams of random numbers that must not depend on each other.
PATIENT_STREAM, RUN_STREAM, PLAN_STREAM, DEVICE_STREAM = 1, 2, 3, 4
DEVICE_PARTS: Final = ("patient", "left", "right", "run")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run before it is rendered.

    Attributes:
        seed: of the whole data set.
        patient: number of the patient, from 1.
        run: number of the run within the patient, from 1.
        side: the coronary artery that is injected.
        num_frames: how many frames to keep.
    """

    seed: int
    patient: int
    run: int
    side: Side
    num_frames: int

    @property
    def patient_id(self) -> str:
        """Identifier of the patient, another one for each seed; seed 0 goes without saying."""
        return f"sim{self.seed or ''}-p{self.patient:04d}"

    @property
    def run_id(self) -> str:
        """Identifier of the run."""
        return f"{self.patient_id}-r{self.run}"

    def patient_rng(self, part: int) -> np.random.Generator:
        """Return the random numbers of a part of the patient; the same for all of the patient's runs."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, PATIENT_STREAM, self.patient, part]))

    def run_rng(self) -> np.random.Generator:
        """Return the random numbers of this run."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, RUN_STREAM, self.patient, self.run]))

    def device_rng(self, part: str) -> np.random.Generator:
        """Return the random numbers of devices, a stream of their own, so that they change no anatomy.

        Args:
            part: "patient", "left" and "right" (the patient's chest and trees, the same in all runs), or "run".
        """
        run = self.run if part == "run" else 0
        entropy = [self.seed, DEVICE_STREAM, self.patient, run, DEVICE_PARTS.index(part)]
        return np.random.default_rng(np.random.SeedSequence(entropy))


def plan_runs(num_runs: int, num_frames: int, seed: int) -> list[RunPlan]:
    """Return the runs of a data set: about 1.3 a patient, left and right trees, frames spread evenly.

    Raises:
        ConfigError: there are fewer frames than runs, or no runs.
    """
    if not 1 <= num_runs <= num_frames:
        raise ConfigError(
            f"{num_frames} frames cannot fill {num_runs} runs",
            where="num_frames",
            remedy="ask for at least one run, and one frame a run",
        )
    rng = np.random.default_rng(np.random.SeedSequence([seed, PLAN_STREAM]))
    share, rest = divmod(num_frames, num_runs)
    plans: list[RunPlan] = []
    patient, run, side = 0, 0, _first_side(rng)
    for index in range(num_runs):
        if run == 1 and rng.random() < SECOND_RUN_SHARE:
            run, side = 2, (_other(side) if rng.random() < 0.6 else side)
        else:
            patient, run, side = patient + 1, 1, (_first_side(rng) if index != 1 else _other(side))
        plans.append(RunPlan(seed, patient, run, side, share + (index < rest)))
    return plans


def draw_bolus(rng: np.random.Generator, num_frames: int) -> Bolus:
    """Return an injection long enough for `num_frames` different frames with contrast."""
    duration_s = max(float(rng.uniform(1.6, 2.6)), num_frames / FRAMES_A_SECOND)
    return Bolus(float(rng.uniform(0.4, 0.8)), duration_s, float(rng.uniform(0.15, 0.35)), float(rng.uniform(0.7, 1.2)))


def choose_frames(rng: np.random.Generator, num_frames: int, bolus: Bolus, last_arrival_s: float) -> list[int]:
    """Return increasing frame indices spread over a run, about OUTSIDE_SHARE of them without contrast.

    Args:
        rng: source of randomness.
        num_frames: how many to choose.
        bolus: when contrast is injected.
        last_arrival_s: how long contrast takes to the ends of the tree.
    """
    first = int(np.ceil((bolus.start_s + 0.7 * bolus.rise_s) * FRAMES_A_SECOND))
    last = int((bolus.end_s + 0.6 * bolus.fall_s) * FRAMES_A_SECOND)
    gone = int(np.ceil((bolus.end_s + 1.4 * bolus.fall_s + 1.4 * last_arrival_s) * FRAMES_A_SECOND))
    without = [*range(int(bolus.start_s * FRAMES_A_SECOND)), *range(gone, gone + FRAMES_A_SECOND // 2)]
    num_without = min(int(OUTSIDE_SHARE * num_frames + rng.random()), len(without))
    chosen = rng.choice(without, num_without, replace=False)
    return sorted([*map(int, chosen), *_spread(rng, first, last, num_frames - num_without)])


def _spread(rng: np.random.Generator, first: int, last: int, num: int) -> Sequence[int]:
    """Return `num` different integers from `first` to about `last`, one at random from each of `num` even cells."""
    stride = max((last - first + 1) / max(num, 1), 1.0)
    edges = [first + int(index * stride) for index in range(num + 1)]
    return [int(rng.integers(edges[index], edges[index + 1])) for index in range(num)]


def _first_side(rng: np.random.Generator) -> Side:
    return "left" if rng.random() < 0.58 else "right"


def _other(side: Side) -> Side:
    return "right" if side == "left" else "left"
