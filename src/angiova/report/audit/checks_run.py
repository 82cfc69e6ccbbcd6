"""A run of ours against itself: steps, losses, time, parameters, files and scores, each computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from angiova.data.records import Severity
from angiova.report.audit import checks_evaluation, checks_weights
from angiova.report.audit.finding import Audit, AuditFinding, by_gravity, check_name
from angiova.report.audit.run_folder import AuditedRun, read_audited_run
from angiova.report.facts import FINISHED
from angiova.training.loss_summary import loss_facts

# The record rounds seconds to tenths and dates to whole seconds.
CLOCK_ROUNDING_S: Final = 2.0
LOSS_TOLERANCE: Final = 1e-3

RunCheck = Callable[[AuditedRun], Iterator[AuditFinding]]


def audit_run(folder: Path, *, weights: bool = True) -> Audit:
    """Audit a run folder of ours.

    Args:
        folder: the run.
        weights: also count the model and hash the checkpoints, which takes torch, and time for large ones.

    Raises:
        DataError: run.json is missing, or a file that is there is damaged.
    """
    run, checks = read_audited_run(folder), (*RUN_CHECKS, *(WEIGHT_CHECKS if weights else ()))
    findings = [finding for check in checks for finding in check(run)]
    sources = ["run.json"]
    sources += ["metrics.jsonl"] if run.training else []
    sources += ["evaluation/evaluation.json"] if run.evaluation is not None else []
    sources += ["evaluation/frames.csv"] if run.cases is not None else []
    names = tuple(map(check_name, checks))
    return Audit(str(folder), tuple(sources), names, by_gravity(findings))


def files(run: AuditedRun) -> Iterator[AuditFinding]:
    """Find files that the record names and the folder lacks."""
    if run.missing:
        message = f"{len(run.missing)} files that the run names are not there"
        remedy = "copy the run folder whole"
        yield AuditFinding("files-missing", Severity.ERROR, str(run.folder), message, tuple(run.missing), remedy)


def end(run: AuditedRun) -> Iterator[AuditFinding]:
    """Find a record that was never finished: what it says about its end is what it said at its start."""
    if run.record.finished is None:
        message = f"the record has no end (status {run.record.status}): the run goes on still, or was killed"
        remedy = "wait, or go on with: angiova train RECIPE --resume"
        yield AuditFinding("not-finished", Severity.WARNING, "run.json: finished", message, (), remedy)


def steps(run: AuditedRun) -> Iterator[AuditFinding]:
    """Check samples, micro-steps and optimizer steps against each other and against the recipe."""
    if not run.steps_by_recipe:
        return
    p, where = run.record.progress, "run.json: progress"
    micro, accumulation = run.setting("batch", "micro"), run.setting("batch", "accumulation")
    wrong = []
    if p.micro_steps != p.optimizer_steps * accumulation:
        wrong.append(
            f"{p.optimizer_steps:,} optimizer steps x {accumulation} accumulation = "
            f"{p.optimizer_steps * accumulation:,} micro-steps, recorded {p.micro_steps:,}"
        )
    if p.samples_seen != p.micro_steps * micro * run.num_devices:
        wrong.append(
            f"{p.micro_steps:,} micro-steps x {micro} micro-batch x {run.num_devices} devices = "
            f"{p.micro_steps * micro * run.num_devices:,} samples, recorded {p.samples_seen:,}"
        )
    if wrong:
        yield AuditFinding(
            "steps-arithmetic", Severity.ERROR, where, "samples, micro-steps and optimizer steps differ", tuple(wrong)
        )


def planned(run: AuditedRun) -> Iterator[AuditFinding]:
    """Check the steps planned against the training data, and the status against the steps taken."""
    p = run.record.progress
    split = run.record.data.splits.get(_training_split(run))
    if split is not None and run.steps_by_recipe:
        also = run.record.data.also
        samples = round(split.frames * run.setting("data", "repeats") / (1 - sum(other.share for other in also)))
        mixed = "".join(f", and {other.share:.0%} of all from {other.folder}" for other in also)
        if p.planned_optimizer_steps > samples // run.samples_per_step:
            yield AuditFinding(
                "steps-planned",
                Severity.ERROR,
                "run.json: progress.planned_optimizer_steps",
                f"the data do not fill {p.planned_optimizer_steps:,} optimizer steps",
                (
                    f"{split.frames:,} frames x {run.setting('data', 'repeats')} repeats{mixed} = {samples:,} samples",
                    f"{samples:,} / {run.samples_per_step} a step = {samples // run.samples_per_step:,} steps",
                ),
            )
    finished = run.record.status in FINISHED
    if p.optimizer_steps > p.planned_optimizer_steps or (finished and p.optimizer_steps < p.planned_optimizer_steps):
        message = f"a run that is {run.record.status} took {p.optimizer_steps:,} of {p.planned_optimizer_steps:,} steps"
        yield AuditFinding("status-steps", Severity.ERROR, "run.json: status", message)


def log(run: AuditedRun) -> Iterator[AuditFinding]:
    """Check that the log goes forward, ends where the record does, and counts samples as the recipe says."""
    where = "metrics.jsonl"
    taken = [int(line["optimizer_step"]) for line in run.training]
    back = [(a, b) for a, b in pairwise(taken) if b <= a]
    if back:
        lines = tuple(f"{b:,} after {a:,}" for a, b in back[:5])
        yield AuditFinding("log-order", Severity.ERROR, where, "logged steps do not go forward", lines)
    if taken and run.record.finished is not None and max(taken) > run.record.progress.optimizer_steps:
        message = f"the log has step {max(taken):,}, the record ends at {run.record.progress.optimizer_steps:,}"
        yield AuditFinding("log-end", Severity.ERROR, where, message)
    per_step = run.samples_per_step
    odd = [
        line for line in run.training if line.get("samples_seen") not in (None, int(line["optimizer_step"]) * per_step)
    ]
    if odd:
        step, seen = int(odd[0]["optimizer_step"]), odd[0]["samples_seen"]
        lines = (f"step {step:,} x {per_step} samples a step = {step * per_step:,}, logged {seen:,}",)
        message = f"{len(odd)} logged lines count other samples than the recipe gives"
        yield AuditFinding("log-samples", Severity.ERROR, where, message, lines)


def losses(run: AuditedRun) -> Iterator[AuditFinding]:
    """Check the weighted sum in every line, and the summary in the record against the lines."""
    weights = {name: loss.weight for name, loss in run.record.losses.items()}
    if not run.training or not weights:
        return
    for line in run.training:
        total = sum(weights[name] * value for name, value in line["losses"].items() if name in weights)
        stated = line.get("loss")
        if stated is not None and set(line["losses"]) == set(weights) and _differ(stated, total):
            message = f"at step {line['optimizer_step']:,} the losses do not add up to the total"
            parts = " + ".join(f"{weights[n]:g} x {v:.4g}" for n, v in line["losses"].items())
            arithmetic = (f"{parts} = {total:.5g}, logged {stated:.5g}",)
            yield AuditFinding("loss-sum", Severity.ERROR, "metrics.jsonl", message, arithmetic)
            return
    for name, found in loss_facts(run.training, weights).items():
        recorded = run.record.losses[name]
        if _differ(found.first, recorded.first) or _differ(found.last, recorded.last):
            lines = (
                f"from metrics.jsonl: {found.first:.5g} to {found.last:.5g}",
                f"recorded: {recorded.first:.5g} to {recorded.last:.5g}",
            )
            message = f"the record's first and last {name} are not those that were logged"
            yield AuditFinding("loss-summary", Severity.ERROR, f"run.json: losses.{name}", message, lines)


def clock(run: AuditedRun) -> Iterator[AuditFinding]:
    """Check the measured seconds against start and end."""
    seconds, clock_s = run.record.resources.seconds, run.clock_s
    total = seconds.get("total")
    if clock_s is None or total is None:
        return
    # `started` is noted after the model was set up, so the total may be longer than the clock by that.
    longest = clock_s + seconds.get("setup", 0.0) + CLOCK_ROUNDING_S
    shortest = 0.0 if run.resumed else clock_s - CLOCK_ROUNDING_S
    if not shortest <= total <= longest:
        yield AuditFinding(
            "clock",
            Severity.ERROR,
            "run.json: resources.seconds.total, started, finished",
            f"{total:,.1f} s were measured, but start and end are {clock_s:,.0f} s apart",
            (f"{run.record.finished} - {run.record.started} = {clock_s:,.0f} s",),
        )
    last = run.training[-1].get("seconds") if run.training else None
    if isinstance(last, int | float) and last > total + CLOCK_ROUNDING_S:
        message = f"the log ends after {last:,.1f} s, the run after {total:,.1f} s"
        yield AuditFinding("clock-log", Severity.ERROR, "metrics.jsonl: seconds", message)


def memory(run: AuditedRun) -> Iterator[AuditFinding]:
    """Check the peak memory of each device against what the device has."""
    device = run.record.machine.get("device_bytes")
    peaks = run.record.resources.peak_device_bytes
    if isinstance(device, int | float) and peaks and max(peaks) > device:
        message = f"a device of {device:,.0f} bytes cannot hold {max(peaks):,} bytes"
        yield AuditFinding("memory-device", Severity.ERROR, "run.json: resources.peak_device_bytes", message)


def _training_split(run: AuditedRun) -> str:
    data = run.record.recipe.get("data")
    return str(data.get("train_split", "train")) if isinstance(data, dict) else "train"


def _differ(a: float, b: float) -> bool:
    return abs(a - b) > LOSS_TOLERANCE * max(abs(a), abs(b), 1e-6)


RUN_CHECKS: Final[tuple[RunCheck, ...]] = (
    files,
    end,
    steps,
    planned,
    log,
    losses,
    clock,
    memory,
    checks_evaluation.scores,
    checks_evaluation.cases,
    checks_evaluation.means,
    checks_evaluation.leakage,
    checks_evaluation.overlap,
)
WEIGHT_CHECKS: Final[tuple[RunCheck, ...]] = (checks_weights.parts, checks_weights.checkpoints)
