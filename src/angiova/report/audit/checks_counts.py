"""Counts against each other: batches, samples, and iterations under each meaning of the word."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from angiova.data.records import Severity
from angiova.report.audit.claims import Evidence, IterationUnit, Training
from angiova.report.audit.finding import AuditFinding

_MEANINGS = {
    IterationUnit.MICRO_STEP: "a micro-step of one device",
    IterationUnit.OPTIMIZER_STEP: "an optimizer step",
    IterationUnit.SAMPLE: "a sample, over all devices",
}


def effective_batch(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check micro-batch x accumulation x devices against the effective batch."""
    t = evidence.claims.training
    micro, accumulation, devices = t.micro_batch_per_device, t.gradient_accumulation_steps, t.devices.count
    if not (micro and accumulation and devices and t.effective_batch):
        return
    product = micro * accumulation * devices
    if product != t.effective_batch:
        yield AuditFinding(
            "effective-batch",
            Severity.ERROR,
            evidence.where("training.effective_batch"),
            f"the effective batch is {product:g}, not {t.effective_batch:g}",
            (f"{micro:g} micro-batch x {accumulation:g} accumulation x {devices} devices = {product:g}",),
            "find out which of the four was used",
        )


def samples(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check frames x repeats against the samples."""
    t = evidence.claims.training
    if t.frames and t.repeats and t.samples and t.frames * t.repeats != t.samples:
        yield AuditFinding(
            "samples-frames",
            Severity.ERROR,
            evidence.where("training.samples", "training.frames", "training.repeats"),
            f"{t.frames:,g} frames repeated {t.repeats:g} times are not {t.samples:,g} samples",
            (f"{t.frames:,.0f} x {t.repeats:g} = {t.frames * t.repeats:,.0f}",),
            "find out which frames were left out or added",
        )
    if t.frames and t.videos and t.videos > t.frames:
        yield AuditFinding(
            "videos-frames",
            Severity.ERROR,
            evidence.where("training.videos", "training.frames"),
            f"{t.videos:g} videos cannot have {t.frames:g} frames together",
        )


def iterations(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check the iterations against samples x epochs, under each meaning that the word has."""
    t = evidence.claims.training
    expected = _expected(t)
    if t.iterations is None or not expected:
        return
    fitting = [unit for unit, (low, high) in expected.items() if low <= t.iterations <= high]
    lines = [_meaning(t, unit, bounds) for unit, bounds in expected.items()]
    where = evidence.where("training.iterations")
    if t.iteration_unit is not None:
        if t.iteration_unit not in fitting:
            message = f"{t.iterations:,g} iterations of {_MEANINGS[t.iteration_unit]} do not fit the samples"
            yield AuditFinding("iterations-count", Severity.ERROR, where, message, tuple(lines), _REMEDY)
    elif not fitting:
        message = f"{t.iterations:,g} iterations fit the samples under no meaning of the word"
        yield AuditFinding("iterations-count", Severity.ERROR, where, message, tuple(lines), _REMEDY)
    elif len(fitting) < len(expected):
        names = " or ".join(_MEANINGS[unit] for unit in fitting)
        message = f"it is not said what one of the {t.iterations:,g} iterations is; only {names} fits the samples"
        yield AuditFinding("iterations-ambiguous", Severity.WARNING, where, message, tuple(lines), _REMEDY)


_REMEDY = "say micro-steps, optimizer steps or samples, and how many times each sample was seen"


def _expected(t: Training) -> dict[IterationUnit, tuple[float, float]]:
    """Return the least and most iterations of each meaning; a last batch may be dropped or filled up."""
    seen = t.samples or (t.frames * (t.repeats or 1) if t.frames else None)
    micro, accumulation, devices = t.micro_batch_per_device, t.gradient_accumulation_steps, t.devices.count
    if not (seen and micro and accumulation and devices and t.epochs):
        return {}
    per_epoch = {
        IterationUnit.MICRO_STEP: seen / (micro * devices),
        IterationUnit.OPTIMIZER_STEP: seen / (micro * accumulation * devices),
    }
    bounds = {unit: (int(count) * t.epochs, ceil(count) * t.epochs) for unit, count in per_epoch.items()}
    step = micro * accumulation * devices
    bounds[IterationUnit.SAMPLE] = (seen // step * step * t.epochs, ceil(seen / step) * step * t.epochs)
    return bounds


def _meaning(t: Training, unit: IterationUnit, bounds: tuple[float, float]) -> str:
    """Return what the count would be, and how often each sample would have been seen, under one meaning."""
    low, high = bounds
    expected = f"{high:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
    assert t.iterations is not None
    passes = t.iterations / high * (t.epochs or 1) if high else 0.0
    return f"if one is {_MEANINGS[unit]}: {expected} are needed; {t.iterations:,.0f} would be {passes:.2f} passes"
