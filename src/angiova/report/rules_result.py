"""What the evaluation says: rules on patients, intervals, metrics, names and probabilities.

The limits that the rules compare with stand here with their reasons; every statement prints the figures that made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Final

from angiova.data.records import Origin, Split, TargetKind
from angiova.evaluation.result import Evaluation, GroupSummary, Interval, MetricSummary
from angiova.report import formats
from angiova.report.configuration import setting
from angiova.report.facts import RunFacts
from angiova.report.results import main_kind
from angiova.report.statement import Statement, evaluated, recorded, state
from angiova.report.text import capitalised
from angiova.report.wording import say, say_if_known

# Two observers of coronary angiograms differ by about this much in Dice; less is no difference worth a word.
CLOSE: Final = 0.05
# Twice that is seen by eye.
WIDE: Final = 0.10
# Half an interval that lets a five-point difference between two models be seen.
USEFUL_HALF_WIDTH: Final = 0.05
# Below this, more of the two masks is apart than in common.
USABLE_DICE: Final = 0.5
# Share of targets whose loss a reader would notice.
MANY_MISSED: Final = 0.05
# Calibration error that moves a 50 % threshold by more than rounding.
CALIBRATED: Final = 0.05


def _mean(metric: MetricSummary) -> float:
    """Return the mean over patients, or over frames where patients are unknown."""
    return metric.frame.mean if metric.patient is None else metric.patient.mean


def _main(facts: RunFacts) -> tuple[str, dict[str, MetricSummary]] | None:
    """Return the main kind and its metrics; None when nothing was scored, or nothing that was scored can be trusted."""
    evaluation = facts.evaluation
    kind = None if evaluation is None or not evaluation.is_trustworthy else main_kind(evaluation)
    return None if evaluation is None or kind is None else (kind, evaluation.kinds[kind].metrics)


def patients(facts: RunFacts) -> Iterator[Statement]:
    """Were the evaluated patients kept out of training, and are they real?"""
    evaluation = facts.evaluation
    if evaluation is None:
        yield state("evaluate", "next", recorded("evaluations"))
        return
    if facts.same_data and evaluation.split is not Split.TRAIN and evaluation.num_patients_in_training == 0:
        sources = evaluated("num_patients_in_training", "num_patients")
        yield state("unseen", "strength", sources, n=evaluation.num_patients, frames=evaluation.num_frames)
    if evaluation.num_patients is None:
        yield state("patients_unknown", "limit", evaluated("num_patients"))
        yield state("patient_ids", "next", evaluated("num_patients"))
    total, simulated = sum(evaluation.origins.values()), evaluation.origins.get(Origin.SIMULATED.value, 0)
    if simulated:
        yield state("simulated", "limit", evaluated("origins.simulated"), n=simulated, total=total)
        yield state("real_patients", "next", evaluated("origins.simulated"), n=simulated, total=total)


def certainty(facts: RunFacts) -> Iterator[Statement]:
    """Is the interval narrow enough to mean something, and how many patients would make it so?"""
    found = _main(facts)
    interval = None if found is None else found[1]["dice"].patient
    if found is None or interval is None or interval.low is None or interval.high is None:
        return
    half = (interval.high - interval.low) / 2
    field = f"kinds.{found[0]}.metrics.dice.patient"
    values = {"half": f"{half:.3f}", "n": interval.n, "limit": USEFUL_HALF_WIDTH}
    sources = evaluated(f"{field}.low", f"{field}.high", f"{field}.n")
    if half <= USEFUL_HALF_WIDTH:
        yield state("narrow", "strength", sources, **values)
    else:
        yield state("wide", "limit", sources, **values)
        yield state("more_patients", "next", sources, needed=_patients_for(interval, half), **values)


def _patients_for(interval: Interval, half: float) -> int:
    """Return how many patients make an interval useful: its width shrinks with the root of their number."""
    return ceil(interval.n * (half / USEFUL_HALF_WIDTH) ** 2)


def centreline(facts: RunFacts) -> Iterator[Statement]:
    """Are vessels followed along their length as well as their area is covered?"""
    found = _main(facts)
    if found is None:
        return
    kind, metrics = found
    dice, cldice = _mean(metrics["dice"]), _mean(metrics["cldice"])
    sources = evaluated(f"kinds.{kind}.metrics.cldice", f"kinds.{kind}.metrics.dice")
    values = {"kind": say(f"kind.{kind}"), "dice": f"{dice:.3f}", "cldice": f"{cldice:.3f}"}
    if cldice >= dice:
        yield state("followed", "strength", sources, **values)
    elif dice - cldice > CLOSE:
        yield state("gaps", "limit", sources, **values)
        yield state("close_gaps", "next", sources, **values)


def balance(facts: RunFacts) -> Iterator[Statement]:
    """Is too much or too little called vessel?"""
    found = _main(facts)
    if found is None:
        return
    kind, metrics = found
    precision, recall = _mean(metrics["precision"]), _mean(metrics["recall"])
    sources = evaluated(f"kinds.{kind}.metrics.precision", f"kinds.{kind}.metrics.recall")
    values = {"kind": say(f"kind.{kind}"), "precision": f"{precision:.3f}", "recall": f"{recall:.3f}"}
    if abs(precision - recall) <= CLOSE:
        yield state("balanced", "strength", sources, limit=CLOSE, **values)
    elif abs(precision - recall) > WIDE:
        code = "too_much" if recall > precision else "too_little"
        yield state(code, "limit", sources, **values)
        yield state("raise_threshold" if recall > precision else "lower_threshold", "next", sources, **values)


def thin_vessels(facts: RunFacts) -> Iterator[Statement]:
    """Are thin branches found as well as thick ones?"""
    found = _main(facts)
    if found is None or not {"recall_thin", "recall_thick"} <= found[1].keys():
        return
    kind, metrics = found
    thin, thick = _mean(metrics["recall_thin"]), _mean(metrics["recall_thick"])
    sources = evaluated(f"kinds.{kind}.metrics.recall_thin", f"kinds.{kind}.metrics.recall_thick")
    values = {"thin": f"{thin:.3f}", "thick": f"{thick:.3f}"}
    if thick - thin > WIDE:
        yield state("thin_lost", "limit", sources, **values)
        yield state("sharper", "next", sources, **values)
    elif thin >= thick - CLOSE:
        yield state("thin_found", "strength", sources, **values)


def missed(facts: RunFacts) -> Iterator[Statement]:
    """Which kinds of target are missed, and which are not usable at all?"""
    evaluation = facts.evaluation
    if evaluation is None or not evaluation.is_trustworthy:
        return
    for kind, group in evaluation.kinds.items():
        values = {"kind": capitalised(say(f"kind.{kind}")), "missed": group.num_missed, "targets": group.num_targets}
        sources = evaluated(f"kinds.{kind}.num_missed", f"kinds.{kind}.num_targets")
        present = _present(group)
        dice = group.metrics.get("dice")
        # That every answer lies somewhere is no strength where none lies right.
        if group.num_missed == 0 and present > 0 and dice is not None and _mean(dice) >= USABLE_DICE:
            yield state("none_missed", "strength", sources, present=present, **values)
        elif group.num_missed > MANY_MISSED * present:
            yield state("missed", "limit", sources, **values)
            yield state("raise_presence", "next", (*sources, *recorded("recipe.losses")), **values)
        yield from _unusable(kind, evaluation)


def _present(group: GroupSummary) -> int:
    """Return how many targets of a group are there to be found."""
    return group.num_targets - group.num_absent - group.num_false


def _unusable(kind: str, evaluation: Evaluation) -> Iterator[Statement]:
    """Find a kind of which even the upper end of the interval is below `USABLE_DICE`."""
    dice = evaluation.kinds[kind].metrics.get("dice")
    interval = None if dice is None else dice.patient
    if interval is None or interval.high is None or interval.high >= USABLE_DICE:
        return
    sources = evaluated(f"kinds.{kind}.metrics.dice.patient")
    values = {"kind": capitalised(say(f"kind.{kind}")), "dice": f"{interval.mean:.3f}", "high": f"{interval.high:.3f}"}
    yield state("unusable", "limit", sources, limit=USABLE_DICE, **values)
    yield state("learn_kind", "next", sources, **values)


def names(facts: RunFacts) -> Iterator[Statement]:
    """Does the model follow the name that it is asked for?"""
    chance = None if facts.evaluation is None or not facts.evaluation.is_trustworthy else facts.evaluation.chance
    if chance is None:
        return
    values = {"margin": f"{chance.margin:+.3f}", "interval": formats.interval(chance.interval)}
    sources = evaluated("chance.margin", "chance.interval")
    if chance.is_better_than_chance:
        yield state("names_followed", "strength", sources, **values)
    else:
        yield state("names_at_chance", "limit", sources, **values)
        repeats = setting(facts.record, "data.repeats") or formats.UNKNOWN
        yield state("teach_names", "next", (*sources, *recorded("recipe.data.repeats")), repeats=repeats, **values)


def calibration(facts: RunFacts) -> Iterator[Statement]:
    """Do the probabilities of pixels mean what they say?"""
    found, evaluation = _main(facts), facts.evaluation
    calibration = None if found is None or evaluation is None else evaluation.calibration.get(TargetKind(found[0]))
    value = None if calibration is None else calibration.ece_foreground
    if found is None or value is None:
        return
    sources = evaluated(f"calibration.{found[0]}.ece_foreground")
    if value > CALIBRATED:
        yield state("uncalibrated", "limit", sources, ece=f"{value:.3f}", limit=CALIBRATED)
        yield state("choose_threshold", "next", sources, ece=f"{value:.3f}")
    else:
        yield state("calibrated", "strength", sources, ece=f"{value:.3f}", limit=CALIBRATED)


def leakage(facts: RunFacts) -> Iterator[Statement]:
    """Do evaluated frames share files, pixels or near-duplicates with those trained on?"""
    found = None if facts.evaluation is None else facts.evaluation.leakage
    if found is None:
        return
    values = {"frames": formats.count(found.num_training_frames), "near": found.num_near_duplicates}
    values |= {"patients": found.num_shared_patients, "files": found.num_shared_files}
    if found.is_clean:
        yield state("nothing_shared", "strength", evaluated("leakage"), **values)
    else:
        yield state("shared", "limit", evaluated("leakage"), **values)
        yield state("split_again", "next", evaluated("leakage"), **values)


def pieces(facts: RunFacts) -> Iterator[Statement]:
    """Is the tree in one piece where the target is?"""
    found = _main(facts)
    if found is None or "b0_error" not in found[1]:
        return
    error = _mean(found[1]["b0_error"])
    if error >= 1:
        sources = evaluated(f"kinds.{found[0]}.metrics.b0_error")
        yield state("pieces", "limit", sources, kind=say(f"kind.{found[0]}"), error=f"{error:.1f}")


def divisions(facts: RunFacts) -> Iterator[Statement]:
    """Is a contrast phase or a view worse than the best one by more than the eye misses?"""
    evaluation = facts.evaluation
    if evaluation is None or not evaluation.is_trustworthy:
        return
    for name, groups in (("phases", evaluation.phases), ("views", evaluation.views)):
        shown = {key: group for key, group in groups.items() if _present(group) and "dice" in group.metrics}
        means = {key: group.metrics["dice"].frame.mean for key, group in shown.items()}
        if len(means) < 2:
            continue
        worst, best = min(means, key=lambda key: means[key]), max(means, key=lambda key: means[key])
        if means[best] - means[worst] > WIDE:
            sources = evaluated(f"{name}.{worst}.metrics.dice.frame", f"{name}.{best}.metrics.dice.frame")
            values: dict[str, object] = {
                "worst": say_if_known(f"groups.{name}.{worst}", worst),
                "best": say_if_known(f"groups.{name}.{best}", best),
                "low": f"{means[worst]:.3f}",
                "high": f"{means[best]:.3f}",
            }
            yield state(f"uneven_{name}", "limit", sources, **values)
            yield state(f"more_{name}", "next", sources, **values)
