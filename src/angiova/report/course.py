"""The course of the run: when, how long, how fast, how much memory, and what went wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator

from angiova.report import formats
from angiova.report.configuration import num_devices
from angiova.report.content import Block, Cell, Paragraph, Section, Source, Table, Value
from angiova.report.facts import RunFacts
from angiova.report.text import Label
from angiova.report.values import count, of_log, of_run
from angiova.report.wording import say
from angiova.run_record import RUN_NAME, RunRecord, StepTime, Throughput

Row = tuple[Cell, ...]


def course_section(facts: RunFacts) -> Section:
    """Return times, pace, memory, interruptions, warnings, messages and the machine, as measured."""
    record = facts.record
    header = (say("course.what"), say("course.value"))
    machine = tuple((name, _machine_value(record, name)) for name in record.machine)
    blocks: list[Block] = [
        _units(record),
        Table(header, (*_times(record), *_pace(facts), *_memory(record), *_load(record)), text_columns=(0, 1)),
        *_interruptions(record),
        *_warnings(record),
        *_messages(record),
        Table(header, machine, say("course.machine"), text_columns=(0, 1), folded=True),
    ]
    return Section("course", say("course.title"), tuple(blocks))


def total_seconds(record: RunRecord) -> float | None:
    """Return the wall time of the run, over all sessions."""
    seconds = record.resources.seconds
    return seconds.get("total", sum(seconds.values())) if seconds else None


def cpu_share(record: RunRecord) -> float | None:
    """Return the share of all processor cores that the run kept busy."""
    cores, total, used = record.machine.get("cpu_cores"), total_seconds(record), record.resources.cpu_seconds
    if not isinstance(cores, int) or not cores or not total or used is None:
        return None
    return used / (total * cores)


def _units(record: RunRecord) -> Paragraph:
    p = record.progress
    ratio = p.samples_seen / p.optimizer_steps if p.optimizer_steps else None
    text = say(
        "course.units",
        samples=formats.count(p.samples_seen),
        micro=formats.count(p.micro_steps),
        steps=formats.count(p.optimizer_steps),
        ratio=formats.UNKNOWN if ratio is None else f"{ratio:.4g}",
    )
    return Paragraph(text, (Source(RUN_NAME, "progress"),))


def _times(record: RunRecord) -> Iterator[Row]:
    p = record.progress
    yield say("course.started"), of_run(record.started, record.started, "started")
    yield say("course.finished"), of_run(record.finished or say("unrecorded"), record.finished, "finished")
    for name, seconds in record.resources.seconds.items():
        value = of_run(formats.duration(seconds), seconds, f"resources.seconds.{name}")
        yield say("course.seconds", name=say(f"course.seconds_{name}") if name in _SECONDS else name), value
    yield say("course.samples"), count(p.samples_seen, "progress.samples_seen")
    yield say("course.micro"), count(p.micro_steps, "progress.micro_steps")
    yield say("course.optimizer"), count(p.optimizer_steps, "progress.optimizer_steps")
    yield say("course.planned"), count(p.planned_optimizer_steps, "progress.planned_optimizer_steps")


_SECONDS = ("setup", "training", "total")


def _pace(facts: RunFacts) -> Iterator[Row]:
    resources = facts.record.resources
    yield say("course.micro_step"), _step_time(resources.micro_step, "micro_step")
    yield say("course.optimizer_step"), _step_time(resources.optimizer_step, "optimizer_step")
    pairs = [(line["optimizer_step"], line["seconds"]) for line in facts.training if line.get("seconds") is not None]
    if len(pairs) > 1 and pairs[-1][0] > pairs[0][0] and pairs[-1][1] > pairs[0][1]:
        pace = (pairs[-1][1] - pairs[0][1]) / (pairs[-1][0] - pairs[0][0])
        yield say("course.log_pace"), of_log(f"{pace:.3f} s", pace, "seconds", "optimizer_step")
    yield from _speed(resources.throughput)


def _speed(speed: Throughput | None) -> Iterator[Row]:
    if speed is None:
        return
    field = "resources.throughput"
    seconds, samples = speed.device_seconds_per_sample, speed.samples_per_second
    yield (
        say("course.speed"),
        of_run(
            say("course.speed_value", samples=f"{samples:.2f}", seconds=f"{seconds:.4f}"),
            seconds,
            f"{field}.samples_per_second",
            f"{field}.device_seconds_per_sample",
        ),
    )
    share = speed.data_wait_share
    yield say("course.data_wait"), of_run(f"{100 * share:.1f} %", share, f"{field}.data_wait_share")
    if speed.flops_per_sample is not None:
        tera = f"{speed.flops_per_sample / 1e12:.3g} TFLOP"
        yield say("course.flops"), of_run(tera, speed.flops_per_sample, f"{field}.flops_per_sample")
    if speed.flop_utilisation is not None:
        text = f"{100 * speed.flop_utilisation:.1f} %"
        yield say("course.flop_utilisation"), of_run(text, speed.flop_utilisation, f"{field}.flop_utilisation")


def _step_time(time: StepTime | None, name: str) -> Value:
    field = f"resources.{name}"
    if time is None:
        return of_run(say("unrecorded"), None, field)
    text = say(
        "course.step_time",
        mean=f"{time.mean:.3f}",
        median=f"{time.median:.3f}",
        longest=f"{time.longest:.3f}",
        n=formats.count(time.count),
    )
    return of_run(text, time.mean, f"{field}.mean", f"{field}.median", f"{field}.longest")


def _memory(record: RunRecord) -> Iterator[Row]:
    resources = record.resources
    rss: Label = formats.size(resources.peak_rss_bytes) if resources.peak_rss_bytes else say("unrecorded")
    yield say("course.rss"), of_run(rss, resources.peak_rss_bytes or None, "resources.peak_rss_bytes")
    for n, device in enumerate(resources.devices):
        field = f"resources.devices.{n}"
        text = say(
            "course.device_memory",
            allocated=formats.size(device.peak_allocated_bytes),
            reserved=formats.size(device.peak_reserved_bytes),
            total=formats.size(device.total_bytes),
            share=formats.percent(device.peak_reserved_bytes, device.total_bytes),
        )
        fields = (f"{field}.peak_allocated_bytes", f"{field}.peak_reserved_bytes", f"{field}.total_bytes")
        yield say("course.device", n=n, name=device.name), of_run(text, device.peak_reserved_bytes, *fields)
    if not resources.devices:
        for n, peak in enumerate(resources.peak_device_bytes):
            value = of_run(formats.size(peak), peak, f"resources.peak_device_bytes.{n}")
            yield say("course.device", n=n, name=record.machine.get("device")), value
    yield say("course.balance"), _balance(record)


def _balance(record: RunRecord) -> Value:
    """Return how evenly memory lay on the devices: the least peak over the largest."""
    peaks = [device.peak_allocated_bytes for device in record.resources.devices]
    if num_devices(record) == 1:
        return of_run(say("course.one_device"), None, "machine.num_devices")
    if len(peaks) < 2:
        return of_run(say("unrecorded"), None, "resources.devices")
    return of_run(formats.percent(min(peaks), max(peaks)), min(peaks) / max(peaks), "resources.devices")


def _load(record: RunRecord) -> Iterator[Row]:
    share = cpu_share(record)
    text: Label = say("unrecorded") if share is None else f"{100 * share:.1f} %"
    fields = ("resources.cpu_seconds", "resources.seconds.total", "machine.cpu_cores")
    yield say("course.cpu"), of_run(text, share, *(fields if share is not None else fields[:1]))


def _interruptions(record: RunRecord) -> Iterator[Block]:
    header = tuple(say(f"course.{name}") for name in ("at_step", "stopped", "resumed"))
    rows = tuple(
        (
            count(stop.optimizer_step, f"interruptions.{n}.optimizer_step"),
            of_run(stop.stopped or say("course.killed"), stop.stopped, f"interruptions.{n}.stopped"),
            of_run(stop.resumed, stop.resumed, f"interruptions.{n}.resumed"),
        )
        for n, stop in enumerate(record.interruptions)
    )
    if rows:
        yield Table(header, rows, say("course.interruptions", n=len(rows)), text_columns=(1, 2))
    else:
        yield Paragraph(say("course.no_interruptions"), (Source(RUN_NAME, "interruptions"),))


def _warnings(record: RunRecord) -> Iterator[Block]:
    source = (Source(RUN_NAME, "warnings"),)
    if record.warnings is None:
        yield Paragraph(say("course.warnings_unrecorded"), source)
    elif not record.warnings:
        yield Paragraph(say("course.no_warnings"), source)
    else:
        ordered = sorted(record.warnings.items(), key=lambda item: -item[1])
        rows = tuple((text, Value(formats.count(times), times, source)) for text, times in ordered)
        caption = say("course.warnings", n=formats.count(sum(record.warnings.values())))
        yield Table((say("course.warning"), say("course.times")), rows, caption)


def _messages(record: RunRecord) -> Iterator[Block]:
    if record.messages:
        rows = tuple((of_run(text, text, f"messages.{n}"),) for n, text in enumerate(record.messages))
        yield Table((say("messages.text"),), rows, say("messages.title"))


def _machine_value(record: RunRecord, name: str) -> Value:
    value = record.machine[name]
    return of_run(formats.UNKNOWN if value is None else str(value), value, f"machine.{name}")
