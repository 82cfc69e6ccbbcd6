"""What training says: rules on losses, gradients, validation, memory, waiting and warnings.

The limits that the rules compare with stand here with their reasons; every statement prints the figures that made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from angiova.report import formats
from angiova.report.configuration import setting
from angiova.report.facts import RunFacts
from angiova.report.losses import TOTAL, clipped_share, loss_curves
from angiova.report.phases import spikes
from angiova.report.statement import Statement, logged, recorded, state

# Two looks that differ by less are the same.
CLOSE: Final = 0.05
# Memory left over at this share could hold a larger micro-batch; above the other, one longer sample ends the run.
MEMORY_SPARE: Final = 0.6
MEMORY_TIGHT: Final = 0.95
# Most steps clipped: the limit, not the learning rate, sets their length.
MOSTLY: Final = 0.5
# Time between steps (data, validation, saving) that is worth more workers.
WAITING: Final = 0.25
ENOUGH_VALIDATIONS: Final = 3


def convergence(facts: RunFacts) -> Iterator[Statement]:
    """Was the loss still falling at the end, and was it steady?"""
    total = next((curve for curve in loss_curves(facts) if curve.name == TOTAL), None)
    phases = [] if total is None else total.phases
    if total is None or not phases:
        return
    last, sources = phases[-1], logged("loss")
    values = {
        "first": formats.count(int(last.first_step)),
        "last": formats.count(int(last.last_step)),
        "change": f"{100 * abs(last.change):.0f} %",
    }
    if last.course == "falling":
        yield state("still_falling", "limit", sources, **values)
        yield state("train_longer", "next", (*sources, *logged("lr")), rate=_last_rate(facts), **values)
    elif last.course == "rising":
        yield state("rising", "limit", sources, **values)
        yield state("lower_rate", "next", sources, **values)
    elif last.course == "level":
        yield state("converged", "strength", sources, **values)
    number = len(spikes(total.values))
    if number:
        yield state("spikes", "limit", sources, n=number, lines=len(total.values))
    else:
        yield state("steady", "strength", sources, lines=len(total.values))


def _last_rate(facts: RunFacts) -> str:
    rates = [line["lr"] for line in facts.training if line.get("lr") is not None]
    return formats.significant(rates[-1]) if rates else formats.UNKNOWN


def clipping(facts: RunFacts) -> Iterator[Statement]:
    """Were most steps as long as the gradient limit, whatever the learning rate?"""
    share = clipped_share(facts)
    if share is not None and share > MOSTLY:
        clip = setting(facts.record, "optimizer.clip")
        sources = (*logged("grad_norm"), *recorded("recipe.optimizer.clip"))
        yield state("clipped", "limit", sources, share=f"{100 * share:.0f} %", clip=clip)


def validation(facts: RunFacts) -> Iterator[Statement]:
    """Does validation say that training went on too long, or not long enough?"""
    looks = [(v["optimizer_step"], v["validation"]["score"]) for v in facts.validation if "score" in v["validation"]]
    sources = (*(logged("validation.score") if looks else ()), *recorded("recipe.validation.times"))
    if len(looks) < ENOUGH_VALIDATIONS:
        yield state("validate_more", "next", sources, n=len(looks), needed=ENOUGH_VALIDATIONS)
        return
    best_step, best = max(looks, key=lambda look: look[1])
    last_step, last = looks[-1]
    values = {"best": f"{best:.3f}", "best_step": best_step, "last": f"{last:.3f}", "last_step": last_step}
    if best - last > CLOSE:
        yield state("overfitted", "limit", sources, **values)
        yield state("stop_earlier", "next", sources, **values)
    elif best_step == last_step:
        yield state("still_improving", "next", sources, **values)


def resources(facts: RunFacts) -> Iterator[Statement]:
    """Was memory left over or short, and did steps wait?"""
    measured = facts.record.resources
    for n, device in enumerate(measured.devices):
        share = device.peak_reserved_bytes / device.total_bytes
        sources = recorded(f"resources.devices.{n}.peak_reserved_bytes", f"resources.devices.{n}.total_bytes")
        if share < MEMORY_SPARE:
            yield state("larger_micro_batch", "next", sources, n=n, share=f"{100 * share:.0f} %")
        elif share > MEMORY_TIGHT:
            yield state("memory_tight", "limit", sources, n=n, share=f"{100 * share:.0f} %")
    steps, training = measured.optimizer_step, measured.seconds.get("training")
    if steps is None or not training or facts.record.interruptions:
        return
    waiting = 1 - steps.mean * steps.count / training
    if waiting > WAITING:
        sources = recorded("resources.optimizer_step", "resources.seconds.training")
        yield state("waiting", "next", sources, share=f"{100 * waiting:.0f} %")


def warnings_seen(facts: RunFacts) -> Iterator[Statement]:
    """Which warning came most often?"""
    counts = facts.record.warnings or {}
    if counts:
        text, times = max(counts.items(), key=lambda item: item[1])
        yield state("warnings", "limit", recorded("warnings"), n=sum(counts.values()), times=times, text=text)
