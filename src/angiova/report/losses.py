"""The losses: from first to last, their curves, their phases, and how steady they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from angiova.report import formats
from angiova.report.charts.lines import Panel, Series, line_chart
from angiova.report.configuration import setting
from angiova.report.content import Block, Cell, Chart, Paragraph, Section, Source, Table, Value
from angiova.report.facts import RunFacts
from angiova.report.phases import Phase, find_phases, smoothed, spikes
from angiova.report.text import Label
from angiova.report.values import of_log, of_run
from angiova.report.wording import say
from angiova.run_record import METRICS_NAME, LossFacts

TOTAL: Final = "total"
# The smoothed curve is a running mean over this share of the logged lines, and at least three of them.
SMOOTHING: Final = 0.05


@dataclass(frozen=True, slots=True)
class LossCurve:
    """One loss as it was logged.

    Attributes:
        name: as in the log; the weighted sum is called total.
        column: its column of metrics.jsonl.
    """

    name: str
    column: str
    steps: list[float]
    values: list[float]

    @property
    def phases(self) -> list[Phase]:
        """The phases of its course; see `angiova.report.phases`."""
        return find_phases(self.steps, self.values)


def loss_curves(facts: RunFacts) -> list[LossCurve]:
    """Return the total and every part, as far as they were logged."""
    lines = facts.training
    total = [(float(line["optimizer_step"]), line["loss"]) for line in lines if line.get("loss") is not None]
    curves = [_curve(TOTAL, "loss", total)]
    for name in dict.fromkeys(name for line in lines for name in line["losses"]):
        points = [(float(line["optimizer_step"]), line["losses"][name]) for line in lines if name in line["losses"]]
        curves.append(_curve(name, f"losses.{name}", points))
    return [curve for curve in curves if curve.values]


def loss_section(facts: RunFacts) -> Section:
    """Return every loss from first to last, its curve and phases, the learning rate, and validation."""
    curves = loss_curves(facts)
    blocks: list[Block] = []
    if facts.record.losses:
        blocks.append(_loss_table(facts.record.losses, {curve.name: curve for curve in curves}))
    if curves and len(curves[0].values) > 1:
        blocks += _loss_charts(curves)
        blocks += _phase_tables(curves)
        blocks.append(_stability_table(curves))
    blocks += _rate_blocks(facts)
    if facts.validation:
        blocks.append(_validation_chart(facts) if len(facts.validation) > 1 else _validation_table(facts))
    return Section("losses", say("losses.title"), tuple(blocks or [Paragraph(say("losses.none"))]))


def clipped_share(facts: RunFacts) -> float | None:
    """Return the share of logged steps whose gradient was clipped; None when norm or limit is not recorded."""
    norms = [line["grad_norm"] for line in facts.training if line.get("grad_norm") is not None]
    limit = setting(facts.record, "optimizer.clip")
    if not norms or not isinstance(limit, int | float):
        return None
    return sum(bool(norm > limit) for norm in norms) / len(norms)


def _curve(name: str, column: str, points: Sequence[tuple[float, float]]) -> LossCurve:
    return LossCurve(name, column, [step for step, _ in points], [value for _, value in points])


def _loss_table(losses: dict[str, LossFacts], curves: dict[str, LossCurve]) -> Table:
    """Return each loss with its weight, and their weighted sum."""
    header = tuple(say(f"losses.{name}") for name in ("name", "weight", "first", "last", "best", "drop"))
    rows: list[tuple[Cell, ...]] = []
    for name, loss in losses.items():
        field = f"losses.{name}"
        rows.append(
            (
                name,
                of_run(f"{loss.weight:g}", loss.weight, f"{field}.weight"),
                *_first_to_last(loss.first, loss.last, f"{field}.first", f"{field}.last", curves.get(name)),
            )
        )
    first = sum(loss.weight * loss.first for loss in losses.values())
    last = sum(loss.weight * loss.last for loss in losses.values())
    fields = ("losses.*.first", "losses.*.last")
    rows.append((say("losses.total"), "", *_first_to_last(first, last, *fields, curves.get(TOTAL))))
    return Table(header, tuple(rows), say("losses.caption"))


def _first_to_last(
    first: float, last: float, first_field: str, last_field: str, curve: LossCurve | None
) -> tuple[Cell, ...]:
    return (
        of_run(formats.significant(first), first, first_field),
        of_run(formats.significant(last), last, last_field),
        _best(curve),
        _drop(first, last, curve, first_field, last_field),
    )


def _drop(first: float, last: float, curve: LossCurve | None, *fields: str) -> Value:
    """Return how far a loss fell; one logged line says nothing about that."""
    if not first or (curve is not None and len(curve.values) < 2):
        return Value(formats.UNKNOWN)
    return of_run(formats.percent(first - last, first), (first - last) / first, *fields)


def _best(curve: LossCurve | None) -> Value:
    """Return the lowest logged value and its step."""
    if curve is None:
        return Value(formats.UNKNOWN)
    value, step = min(zip(curve.values, curve.steps, strict=True))
    text = say("losses.at_step", value=formats.significant(value), step=formats.count(int(step)))
    return of_log(text, value, curve.column)


def _loss_charts(curves: Sequence[LossCurve]) -> Iterator[Chart]:
    """Yield the total, large with its phases, then each part."""
    total, *parts = curves if curves[0].name == TOTAL else [curves[0], *curves]
    drawing = line_chart([_panel(total, with_fit=True)], say("axis.steps"), say("losses.total_chart"), height=290.0)
    source = (Source(METRICS_NAME, total.column),)
    yield Chart("loss-total.svg", drawing, say("losses.total_caption"), source)
    if parts:
        drawing = line_chart([_panel(part) for part in parts], say("axis.steps"), say("losses.part_chart"))
        sources = tuple(Source(METRICS_NAME, part.column) for part in parts)
        yield Chart("losses.svg", drawing, say("losses.part_caption"), sources)


def _panel(curve: LossCurve, with_fit: bool = False) -> Panel:
    phases = curve.phases
    window = max(3, round(SMOOTHING * len(curve.values)))
    series = [
        Series(say("losses.raw"), curve.steps, curve.values, "raw"),
        Series(say("losses.smooth"), curve.steps, smoothed(curve.values, window), "smooth"),
    ]
    if with_fit and phases:
        xs = [step for phase in phases for step in (phase.first_step, phase.last_step)]
        ys = [value for phase in phases for value in (phase.start, phase.end)]
        series.append(Series(say("losses.fit"), xs, ys, "fit"))
    title: Label = say("losses.total_curve") if curve.name == TOTAL else curve.name
    marks = tuple(phase.first_step for phase in phases[1:])
    return Panel(title, tuple(series), marks, f"{curve.values[0]:.4g} → {curve.values[-1]:.4g}")


def _phase_tables(curves: Sequence[LossCurve]) -> Iterator[Block]:
    rows: list[tuple[Cell, ...]] = []
    for curve in curves:
        for number, phase in enumerate(curve.phases, 1):
            rows.append(_phase_row(curve, number, phase))
    if rows:
        header = tuple(
            say(f"phases.{name}") for name in ("loss", "number", "steps", "course", "fit", "change", "scatter")
        )
        yield Paragraph(say("phases.how"))
        yield Table(header, tuple(rows), say("phases.caption"), text_columns=(0, 2, 3))


def _phase_row(curve: LossCurve, number: int, phase: Phase) -> tuple[Cell, ...]:
    name: Label = say("losses.total_curve") if curve.name == TOTAL else curve.name
    steps = f"{formats.count(int(phase.first_step))} – {formats.count(int(phase.last_step))}"
    fit = f"{formats.significant(phase.start)} → {formats.significant(phase.end)}"
    return (
        name,
        str(number),
        steps,
        say(f"phases.{phase.course}"),
        of_log(fit, phase.end, curve.column),
        of_log(f"{100 * phase.change:+.1f} %", phase.change, curve.column),
        of_log(f"{100 * phase.scatter:.0f} %", phase.scatter, curve.column),
    )


def _stability_table(curves: Sequence[LossCurve]) -> Table:
    """Return spikes of each loss, and how far its last phase scatters."""
    header = tuple(say(f"stability.{name}") for name in ("loss", "lines", "spikes", "last"))
    rows = []
    for curve in curves:
        found = spikes(curve.values)
        last = curve.phases[-1].scatter if curve.phases else None
        text: Label = formats.UNKNOWN if last is None else f"{100 * last:.0f} %"
        rows.append(
            (
                say("losses.total_curve") if curve.name == TOTAL else curve.name,
                formats.count(len(curve.values)),
                of_log(formats.count(len(found)), len(found), curve.column),
                of_log(text, last, curve.column),
            )
        )
    return Table(header, tuple(rows), say("stability.caption"))


def _rate_blocks(facts: RunFacts) -> Iterator[Block]:
    panels = []
    for key, column in (("lr.title", "lr"), ("norm.title", "grad_norm")):
        points = [
            (float(line["optimizer_step"]), line[column]) for line in facts.training if line.get(column) is not None
        ]
        if len(points) > 1:
            series = Series(say(key), [x for x, _ in points], [y for _, y in points])
            panels.append(Panel(say(key), (series,)))
    if panels:
        drawing = line_chart(panels, say("axis.steps"), say("lr.chart"), columns=2)
        yield Chart(
            "learning-rate.svg",
            drawing,
            say("lr.caption"),
            (Source(METRICS_NAME, "lr"), Source(METRICS_NAME, "grad_norm")),
        )
    share = clipped_share(facts)
    if share is not None:
        text = say("norm.clipped", share=f"{100 * share:.0f} %", clip=setting(facts.record, "optimizer.clip"))
        yield Paragraph(text, (Source(METRICS_NAME, "grad_norm"),))


def _validation_table(facts: RunFacts) -> Table:
    """Return the only look at validation as a table: one point makes no curve."""
    look = facts.validation[0]
    rows = tuple(
        (name, of_log(f"{value:.4f}", value, f"validation.{name}")) for name, value in look["validation"].items()
    )
    header = (say("validation.metric"), say("validation.value"))
    return Table(header, rows, say("validation.once", step=formats.count(look["optimizer_step"])))


def _validation_chart(facts: RunFacts) -> Chart:
    lines = facts.validation
    names = list(dict.fromkeys(name for line in lines for name in line["validation"]))
    panels = []
    for name in names:
        points = [(float(v["optimizer_step"]), v["validation"][name]) for v in lines if name in v["validation"]]
        ends = f"{points[0][1]:.4g} → {points[-1][1]:.4g}"
        panels.append(Panel(name, (Series(name, [x for x, _ in points], [y for _, y in points]),), (), ends))
    drawing = line_chart(panels, say("axis.steps"), say("validation.chart"))
    sources = tuple(Source(METRICS_NAME, f"validation.{name}") for name in names)
    return Chart("validation.svg", drawing, say("validation.caption"), sources)
