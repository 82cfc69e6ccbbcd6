"""Strengths, limits and what to do next, each derived by a rule from recorded figures; nothing here is always said.

A rule is a function that looks at the figures and yields statements, or none. The limits that rules compare with stand
below with their reasons, and every statement prints the figures that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

from angiova.data.records import Origin, Split
from angiova.evaluation.result import Evaluation, Interval, MetricSummary
from angiova.report import formats
from angiova.report.configuration import setting
from angiova.report.content import Block, Notice, Paragraph, Section, Source
from angiova.report.facts import RunFacts
from angiova.report.losses import TOTAL, clipped_share, loss_curves
from angiova.report.phases import spikes
from angiova.report.results import main_kind
from angiova.report.text import Text, capitalised
from angiova.report.values import EVALUATION_FILE
from angiova.report.wording import say
from angiova.run_record import METRICS_NAME, RUN_NAME

Role = Literal["strength", "limit", "next"]

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
# Memory left over at this share could hold a larger micro-batch; above the other, one longer sample ends the run.
MEMORY_SPARE: Final = 0.6
MEMORY_TIGHT: Final = 0.95
# Most steps clipped: the limit, not the learning rate, sets their length.
MOSTLY: Final = 0.5
# Time between steps (data, validation, saving) that is worth more workers.
WAITING: Final = 0.25
ENOUGH_VALIDATIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that the figures say.

    Attributes:
        code: stable name of the rule's outcome.
        role: strength, limit, or what to do next.
    """

    code: str
    role: Role
    text: Text
    sources: tuple[Source, ...]


Rule = Callable[[RunFacts], Iterator[Statement]]


def statements(facts: RunFacts) -> list[Statement]:
    """Return everything that the rules find, in their order."""
    return [statement for rule in RULES for statement in rule(facts)]


def judgement_section(facts: RunFacts) -> Section:
    """Return the strengths and limits that follow from the figures."""
    found = statements(facts)
    blocks: list[Block] = [Paragraph(say("judgement.how"))]
    for role, level in (("strength", "good"), ("limit", "warning")):
        chosen = [statement for statement in found if statement.role == role]
        blocks.append(Paragraph(say(f"judgement.{role}s" if chosen else f"judgement.no_{role}s", n=len(chosen))))
        blocks += [Notice(level, s.text, s.sources) for s in chosen]  # type: ignore[arg-type]  # of the tuple above
    return Section("judgement", say("judgement.title"), tuple(blocks))


def next_section(facts: RunFacts) -> Section:
    """Return what to do next, as far as the figures say."""
    chosen = [statement for statement in statements(facts) if statement.role == "next"]
    blocks: list[Block] = [Notice("note", s.text, s.sources) for s in chosen]
    return Section("next", say("next.title"), tuple(blocks or [Paragraph(say("next.none"))]))


def _evaluated(*fields: str) -> tuple[Source, ...]:
    return tuple(Source(EVALUATION_FILE, field) for field in fields)


def _recorded(*fields: str) -> tuple[Source, ...]:
    return tuple(Source(RUN_NAME, field) for field in fields)


def _logged(*columns: str) -> tuple[Source, ...]:
    return tuple(Source(METRICS_NAME, column) for column in columns)


def _state(code: str, role: Role, sources: tuple[Source, ...], **values: object) -> Statement:
    return Statement(code, role, say(f"{role}.{code}", **values), sources)


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
        yield _state("evaluate", "next", _recorded("evaluations"))
        return
    if facts.same_data and evaluation.split is not Split.TRAIN and evaluation.num_patients_in_training == 0:
        sources = _evaluated("num_patients_in_training", "num_patients")
        yield _state("unseen", "strength", sources, n=evaluation.num_patients, frames=evaluation.num_frames)
    if evaluation.num_patients is None:
        yield _state("patients_unknown", "limit", _evaluated("num_patients"))
        yield _state("patient_ids", "next", _evaluated("num_patients"))
    total, simulated = sum(evaluation.origins.values()), evaluation.origins.get(Origin.SIMULATED.value, 0)
    if simulated:
        yield _state("simulated", "limit", _evaluated("origins.simulated"), n=simulated, total=total)
        yield _state("real_patients", "next", _evaluated("origins.simulated"), n=simulated, total=total)


def certainty(facts: RunFacts) -> Iterator[Statement]:
    """Is the interval narrow enough to mean something, and how many patients would make it so?"""
    found = _main(facts)
    interval = None if found is None else found[1]["dice"].patient
    if found is None or interval is None or interval.low is None or interval.high is None:
        return
    half = (interval.high - interval.low) / 2
    field = f"kinds.{found[0]}.metrics.dice.patient"
    values = {"half": f"{half:.3f}", "n": interval.n, "limit": USEFUL_HALF_WIDTH}
    sources = _evaluated(f"{field}.low", f"{field}.high", f"{field}.n")
    if half <= USEFUL_HALF_WIDTH:
        yield _state("narrow", "strength", sources, **values)
    else:
        yield _state("wide", "limit", sources, **values)
        yield _state("more_patients", "next", sources, needed=_patients_for(interval, half), **values)


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
    sources = _evaluated(f"kinds.{kind}.metrics.cldice", f"kinds.{kind}.metrics.dice")
    values = {"kind": say(f"kind.{kind}"), "dice": f"{dice:.3f}", "cldice": f"{cldice:.3f}"}
    if cldice >= dice:
        yield _state("followed", "strength", sources, **values)
    elif dice - cldice > CLOSE:
        yield _state("gaps", "limit", sources, **values)
        yield _state("close_gaps", "next", sources, **values)


def balance(facts: RunFacts) -> Iterator[Statement]:
    """Is too much or too little called vessel?"""
    found = _main(facts)
    if found is None:
        return
    kind, metrics = found
    precision, recall = _mean(metrics["precision"]), _mean(metrics["recall"])
    sources = _evaluated(f"kinds.{kind}.metrics.precision", f"kinds.{kind}.metrics.recall")
    values = {"kind": say(f"kind.{kind}"), "precision": f"{precision:.3f}", "recall": f"{recall:.3f}"}
    if abs(precision - recall) <= CLOSE:
        yield _state("balanced", "strength", sources, limit=CLOSE, **values)
    elif abs(precision - recall) > WIDE:
        code = "too_much" if recall > precision else "too_little"
        yield _state(code, "limit", sources, **values)
        yield _state("raise_threshold" if recall > precision else "lower_threshold", "next", sources, **values)


def thin_vessels(facts: RunFacts) -> Iterator[Statement]:
    """Are thin branches found as well as thick ones?"""
    found = _main(facts)
    if found is None or not {"recall_thin", "recall_thick"} <= found[1].keys():
        return
    kind, metrics = found
    thin, thick = _mean(metrics["recall_thin"]), _mean(metrics["recall_thick"])
    sources = _evaluated(f"kinds.{kind}.metrics.recall_thin", f"kinds.{kind}.metrics.recall_thick")
    values = {"thin": f"{thin:.3f}", "thick": f"{thick:.3f}"}
    if thick - thin > WIDE:
        yield _state("thin_lost", "limit", sources, **values)
        yield _state("sharper", "next", sources, **values)
    elif thin >= thick - CLOSE:
        yield _state("thin_found", "strength", sources, **values)


def missed(facts: RunFacts) -> Iterator[Statement]:
    """Which kinds of target are missed, and which are not usable at all?"""
    evaluation = facts.evaluation
    if evaluation is None or not evaluation.is_trustworthy:
        return
    for kind, group in evaluation.kinds.items():
        values = {"kind": capitalised(say(f"kind.{kind}")), "missed": group.num_missed, "targets": group.num_targets}
        sources = _evaluated(f"kinds.{kind}.num_missed", f"kinds.{kind}.num_targets")
        present = group.num_targets - group.num_absent - group.num_false
        dice = group.metrics.get("dice")
        # That every answer lies somewhere is no strength where none lies right.
        if group.num_missed == 0 and present > 0 and dice is not None and _mean(dice) >= USABLE_DICE:
            yield _state("none_missed", "strength", sources, present=present, **values)
        elif group.num_missed > MANY_MISSED * present:
            yield _state("missed", "limit", sources, **values)
            yield _state("raise_presence", "next", (*sources, *_recorded("recipe.losses")), **values)
        yield from _unusable(kind, evaluation)


def _unusable(kind: str, evaluation: Evaluation) -> Iterator[Statement]:
    """Find a kind of which even the upper end of the interval is below `USABLE_DICE`."""
    dice = evaluation.kinds[kind].metrics.get("dice")
    interval = None if dice is None else dice.patient
    if interval is None or interval.high is None or interval.high >= USABLE_DICE:
        return
    sources = _evaluated(f"kinds.{kind}.metrics.dice.patient")
    values = {"kind": capitalised(say(f"kind.{kind}")), "dice": f"{interval.mean:.3f}", "high": f"{interval.high:.3f}"}
    yield _state("unusable", "limit", sources, limit=USABLE_DICE, **values)
    yield _state("learn_kind", "next", sources, **values)


def names(facts: RunFacts) -> Iterator[Statement]:
    """Does the model follow the name that it is asked for?"""
    chance = None if facts.evaluation is None or not facts.evaluation.is_trustworthy else facts.evaluation.chance
    if chance is None:
        return
    values = {"margin": f"{chance.margin:+.3f}", "interval": formats.interval(chance.interval)}
    sources = _evaluated("chance.margin", "chance.interval")
    if chance.is_better_than_chance:
        yield _state("names_followed", "strength", sources, **values)
    else:
        yield _state("names_at_chance", "limit", sources, **values)
        repeats = setting(facts.record, "data.repeats") or formats.UNKNOWN
        yield _state("teach_names", "next", (*sources, *_recorded("recipe.data.repeats")), repeats=repeats, **values)


def calibration(facts: RunFacts) -> Iterator[Statement]:
    """Do the probabilities of pixels mean what they say?"""
    found = getattr(facts.evaluation, "calibration", None)
    if found is None:
        return
    value = found.ece_foreground
    sources = _evaluated("calibration.ece_foreground")
    if value > CALIBRATED:
        yield _state("uncalibrated", "limit", sources, ece=f"{value:.3f}", limit=CALIBRATED)
        yield _state("choose_threshold", "next", sources, ece=f"{value:.3f}")
    else:
        yield _state("calibrated", "strength", sources, ece=f"{value:.3f}", limit=CALIBRATED)


def convergence(facts: RunFacts) -> Iterator[Statement]:
    """Was the loss still falling at the end, and was it steady?"""
    total = next((curve for curve in loss_curves(facts) if curve.name == TOTAL), None)
    phases = [] if total is None else total.phases
    if total is None or not phases:
        return
    last, sources = phases[-1], _logged("loss")
    values = {
        "first": formats.count(int(last.first_step)),
        "last": formats.count(int(last.last_step)),
        "change": f"{100 * abs(last.change):.0f} %",
    }
    if last.course == "falling":
        yield _state("still_falling", "limit", sources, **values)
        yield _state("train_longer", "next", (*sources, *_logged("lr")), rate=_last_rate(facts), **values)
    elif last.course == "rising":
        yield _state("rising", "limit", sources, **values)
        yield _state("lower_rate", "next", sources, **values)
    elif last.course == "level":
        yield _state("converged", "strength", sources, **values)
    number = len(spikes(total.values))
    if number:
        yield _state("spikes", "limit", sources, n=number, lines=len(total.values))
    else:
        yield _state("steady", "strength", sources, lines=len(total.values))


def _last_rate(facts: RunFacts) -> str:
    rates = [line["lr"] for line in facts.training if line.get("lr") is not None]
    return formats.significant(rates[-1]) if rates else formats.UNKNOWN


def clipping(facts: RunFacts) -> Iterator[Statement]:
    """Were most steps as long as the gradient limit, whatever the learning rate?"""
    share = clipped_share(facts)
    if share is not None and share > MOSTLY:
        clip = setting(facts.record, "optimizer.clip")
        sources = (*_logged("grad_norm"), *_recorded("recipe.optimizer.clip"))
        yield _state("clipped", "limit", sources, share=f"{100 * share:.0f} %", clip=clip)


def validation(facts: RunFacts) -> Iterator[Statement]:
    """Does validation say that training went on too long, or not long enough?"""
    looks = [(v["optimizer_step"], v["validation"]["score"]) for v in facts.validation if "score" in v["validation"]]
    sources = (*(_logged("validation.score") if looks else ()), *_recorded("recipe.validation.times"))
    if len(looks) < ENOUGH_VALIDATIONS:
        yield _state("validate_more", "next", sources, n=len(looks), needed=ENOUGH_VALIDATIONS)
        return
    best_step, best = max(looks, key=lambda look: look[1])
    last_step, last = looks[-1]
    values = {"best": f"{best:.3f}", "best_step": best_step, "last": f"{last:.3f}", "last_step": last_step}
    if best - last > CLOSE:
        yield _state("overfitted", "limit", sources, **values)
        yield _state("stop_earlier", "next", sources, **values)
    elif best_step == last_step:
        yield _state("still_improving", "next", sources, **values)


def resources(facts: RunFacts) -> Iterator[Statement]:
    """Was memory left over or short, and did steps wait?"""
    measured = facts.record.resources
    for n, device in enumerate(measured.devices):
        share = device.peak_reserved_bytes / device.total_bytes
        sources = _recorded(f"resources.devices.{n}.peak_reserved_bytes", f"resources.devices.{n}.total_bytes")
        if share < MEMORY_SPARE:
            yield _state("larger_micro_batch", "next", sources, n=n, share=f"{100 * share:.0f} %")
        elif share > MEMORY_TIGHT:
            yield _state("memory_tight", "limit", sources, n=n, share=f"{100 * share:.0f} %")
    steps, training = measured.optimizer_step, measured.seconds.get("training")
    if steps is None or not training or facts.record.interruptions:
        return
    waiting = 1 - steps.mean * steps.count / training
    if waiting > WAITING:
        sources = _recorded("resources.optimizer_step", "resources.seconds.training")
        yield _state("waiting", "next", sources, share=f"{100 * waiting:.0f} %")


def warnings_seen(facts: RunFacts) -> Iterator[Statement]:
    """Which warning came most often?"""
    counts = facts.record.warnings or {}
    if counts:
        text, times = max(counts.items(), key=lambda item: item[1])
        yield _state("warnings", "limit", _recorded("warnings"), n=sum(counts.values()), times=times, text=text)


RULES: Final[tuple[Rule, ...]] = (
    patients,
    certainty,
    centreline,
    balance,
    thin_vessels,
    missed,
    names,
    calibration,
    convergence,
    clipping,
    validation,
    resources,
    warnings_seen,
)
