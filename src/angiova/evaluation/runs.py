"""From values of runs to means over runs and over patients; runs without a value are counted, never averaged away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from angiova.evaluation.result import Interval, Spread
from angiova.evaluation.statistics import Observation, mean_interval, patient_means, spread


@dataclass(frozen=True, slots=True)
class RunValue:
    """One figure of one run.

    Attributes:
        run: the run.
        patient: its patient, where known.
        value: the figure; None where the run can have none.
    """

    run: str
    patient: str | None
    value: float | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One figure over runs and, where every run has a patient, over patients.

    Attributes:
        run: over the runs that have a value; None where none has.
        patient: over their patients, each the mean of its runs; None where none has, or a patient is not known.
        num_without: runs that have no value.
    """

    run: Spread | None
    patient: Interval | None
    num_without: int


def summarise_runs(values: Sequence[RunValue]) -> RunSummary:
    """Summarise one figure of any number of runs; patients weigh the same, however many runs they have.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    measured = [Observation(v.run, v.run, v.patient, v.value) for v in values if v.value is not None]
    num_without = len(values) - len(measured)
    if not measured:
        return RunSummary(None, None, num_without)
    patients = patient_means(measured)
    interval = None if patients is None else mean_interval(list(patients.values()))
    return RunSummary(spread([observation.value for observation in measured]), interval, num_without)
