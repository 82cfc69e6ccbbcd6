"""Cases grouped by a name they share, and each group's counts and means."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from angiova.data.records import TargetKind
from angiova.evaluation.branches import CalibreClass
from angiova.evaluation.calibration import Calibration, calibration
from angiova.evaluation.cases import Case, Outcome
from angiova.evaluation.metrics import METRICS
from angiova.evaluation.result import CalibreSummary, GroupSummary
from angiova.evaluation.statistics import Observation, summarise


def main_kind(cases: Sequence[Case]) -> TargetKind | None:
    """Return the vessel tree, or else the first kind that has scores; None where nothing was scored."""
    scored = {case.kind for case in cases if case.scores is not None}
    return next((kind for kind in TargetKind if kind in scored), None)


def by_name(cases: Sequence[Case], names: Sequence[str | None]) -> dict[str, GroupSummary]:
    """Summarise groups of cases of the same name, in order of the names; None belongs to no group."""
    groups: dict[str, list[Case]] = {}
    for case, name in zip(cases, names, strict=True):
        if name is not None:
            groups.setdefault(name, []).append(case)
    return {name: summarise_group(groups[name]) for name in sorted(groups, key=_natural)}


def summarise_group(cases: Sequence[Case]) -> GroupSummary:
    """Return counts and the summary of every metric that any of one or more cases has."""
    scored = [case for case in cases if case.scores is not None]
    outcomes = Counter(case.outcome for case in cases)
    patients = {case.patient for case in scored}
    measured = {metric: observations(scored, metric) for metric in METRICS}
    return GroupSummary(
        num_targets=len(cases),
        num_scored=len(scored),
        num_missed=outcomes[Outcome.MISSED],
        num_false=outcomes[Outcome.FALSE],
        num_absent=outcomes[Outcome.ABSENT],
        num_unanswered=sum(not case.answered for case in cases),
        num_frames=len({case.frame_id for case in scored}),
        num_patients=None if None in patients else len(patients),
        metrics={metric: summarise(found) for metric, found in measured.items() if found},
    )


def by_calibre(cases: Sequence[Case]) -> dict[TargetKind, dict[CalibreClass, CalibreSummary]]:
    """Summarise the branches of each kind by calibre class; kinds and classes without any are left out."""
    found = {kind: _classes([case for case in cases if case.kind is kind]) for kind in TargetKind}
    return {kind: classes for kind, classes in found.items() if classes}


def by_probability(cases: Sequence[Case]) -> dict[TargetKind, Calibration]:
    """Return how far the probabilities of each kind can be trusted; kinds without probabilities are left out."""
    found = {}
    for kind in TargetKind:
        answered = [case for case in cases if case.kind is kind and case.answered]
        bins = [case.bins for case in answered if case.bins is not None]
        summary = calibration(bins, len(answered) - len(bins))
        if summary is not None:
            found[kind] = summary
    return found


def observations(cases: Sequence[Case], metric: str) -> list[Observation]:
    """Return one observation for each case that has the metric."""
    return [
        Observation(case.frame_id, case.run, case.patient, case.scores[metric])
        for case in cases
        if case.scores is not None and metric in case.scores
    ]


def _classes(cases: Sequence[Case]) -> dict[CalibreClass, CalibreSummary]:
    classes = {}
    for name in CalibreClass:
        counts = [case.branches[name] for case in cases if name in case.branches]
        if counts:
            classes[name] = CalibreSummary(
                num_branches=sum(count.num_branches for count in counts),
                num_found=sum(count.num_found for count in counts),
                length_px=sum(count.length_px for count in counts),
                covered_px=sum(count.covered_px for count in counts),
                recall=summarise(observations(cases, f"recall_{name}")),
            )
    return classes


def _natural(name: str) -> tuple[int, str]:
    """Sort SYNTAX numbers and other numbered names as 2 < 10 < 10a, and the rest by the alphabet."""
    digits = re.match(r"\d{1,9}", name)
    return (int(digits[0]) if digits else 0, name)
