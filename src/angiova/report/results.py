"""The part of the report that says how well the model segments, from evaluation.json and frames.csv."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import polars as pl

from angiova.data.records import TargetKind
from angiova.data.syntax import SEGMENT_NAMES
from angiova.evaluation.metrics import SHARE_METRICS, Unit
from angiova.evaluation.result import Evaluation, GroupSummary, MetricSummary
from angiova.report import formats
from angiova.report.charts.bars import Row, histogram_chart, interval_chart
from angiova.report.content import Block, Cell, Chart, Notice, Paragraph, Section, Source, Table, Value
from angiova.report.facts import RunFacts
from angiova.report.text import Label, Text, capitalised
from angiova.report.values import EVALUATION_FILE, FRAMES_FILE, interval_of, of_evaluation, spread_of
from angiova.report.wording import say, say_if_known


def evaluation_section(facts: RunFacts, subgroups: Callable[[Evaluation], Iterator[Block]]) -> Section:
    """Return every metric with its interval, by kind, segment and phrase, and then the `subgroups`."""
    evaluation, title = facts.evaluation, say("results.title")
    if evaluation is None:
        return Section("evaluation", title, (Notice("warning", say("results.none")),))
    blocks: list[Block] = [Paragraph(say("results.how"), (Source(EVALUATION_FILE, "definitions"),))]
    for kind in TargetKind:
        if kind in evaluation.kinds:
            blocks += _kind(kind.value, evaluation)
    if evaluation.segments:
        blocks += _segments(evaluation)
    if len(evaluation.phrases) > len(evaluation.kinds) and not evaluation.segments:
        blocks.append(phrase_table(evaluation))
    blocks += subgroups(evaluation)
    return Section("evaluation", title, tuple(blocks))


def distribution_section(facts: RunFacts) -> Section | None:
    """Return how each metric is spread over targets; None without frames.csv."""
    if facts.frames is None:
        return None
    blocks = tuple(_histograms(facts.frames))
    return Section("distributions", say("histograms.title"), blocks) if blocks else None


def definition_section(evaluation: Evaluation) -> Section:
    """Return the definitions that the evaluation itself recorded."""
    header = (say("definitions.name"), say("definitions.text"))
    rows = tuple(
        (name, Value(say_if_known(f"definition.{name}", text), text, (Source(EVALUATION_FILE, f"definitions.{name}"),)))
        for name, text in evaluation.definitions.items()
    )
    return Section("definitions", say("definitions.title"), (Table(header, rows, text_columns=(0, 1)),))


def kind_table(kind: str, group: GroupSummary) -> Table:
    """Return the table of one kind: every metric over patients and over frames."""
    header = (
        say("results.metric"),
        say("results.patient"),
        say("results.interval"),
        say("results.n"),
        say("results.frame"),
        say("results.n"),
    )
    rows = tuple(_metric_row(name, metric, f"kinds.{kind}.metrics.{name}") for name, metric in group.metrics.items())
    return Table(header, rows, _counts(kind, group))


def segment_table(evaluation: Evaluation) -> Table:
    """Return the table of named segments, with the chance level of each."""
    names = ("number", "targets", "missed", "false", "absent", "dice_patient", "dice_frame", "cldice", "chance")
    chance = {} if evaluation.chance is None else evaluation.chance.chance_by_segment
    rows = tuple(
        (*_group_row(segment_label(number), group, f"segments.{number}"), _chance_cell(chance, number))
        for number, group in evaluation.segments.items()
    )
    return Table(tuple(say(f"segments.{name}") for name in names), rows, say("segments.caption"))


def phrase_table(evaluation: Evaluation) -> Table:
    """Return Dice by the phrase that was asked."""
    groups: dict[Label, tuple[str, GroupSummary]] = {
        phrase: (f"phrases.{phrase}", group) for phrase, group in evaluation.phrases.items()
    }
    return group_table(say("phrases.phrase"), groups, say("phrases.caption"))


def group_table(
    name: Text, groups: Mapping[Label, tuple[str, GroupSummary]], caption: Text, *, folded: bool = False
) -> Table:
    """Return one row a group: counts, Dice and clDice.

    Args:
        name: heading of the first column.
        groups: by label, the field of evaluation.json and the group.
        caption: of the table.
        folded: shown closed.
    """
    names = ("targets", "missed", "false", "absent", "dice_patient", "dice_frame", "cldice")
    header = (name, *(say(f"segments.{column}") for column in names))
    rows = tuple(_group_row(label, group, field) for label, (field, group) in groups.items())
    return Table(header, rows, caption, folded=folded)


def main_kind(evaluation: Evaluation) -> str | None:
    """Return the first kind, the vessel tree before others, that has scores."""
    scored = [kind.value for kind in TargetKind if kind in evaluation.kinds and evaluation.kinds[kind].metrics]
    return scored[0] if scored else None


def segment_label(number: str) -> str:
    """Return a SYNTAX number with its name: 6 proximal LAD."""
    return f"{number} {SEGMENT_NAMES.get(number, '')}".strip()


def chance_sentences(evaluation: Evaluation) -> Iterator[Text]:
    """Yield what the comparison with chance shows, and a warning where it shows nothing."""
    chance = evaluation.chance
    if chance is None:
        return
    yield say(
        "headline.margin",
        asked=f"{chance.asked:.3f}",
        chance=f"{chance.chance:.3f}",
        margin=f"{chance.margin:.3f}",
        interval=formats.interval(chance.interval),
    )
    if not chance.is_better_than_chance:
        yield say("headline.nomargin")


def _kind(kind: str, evaluation: Evaluation) -> Iterator[Block]:
    """Yield the table of a kind, and its shares drawn with their intervals."""
    group = evaluation.kinds[kind]
    yield kind_table(kind, group)
    shares = {name for name, facts in evaluation.metric_facts.items() if facts.unit is Unit.SHARE}
    rows = [_interval_row(name, metric) for name, metric in group.metrics.items() if name in shares]
    if rows:
        name = capitalised(say(f"kind.{kind}"))
        drawing = interval_chart(rows, say("results.axis"), say("results.chart", kind=name), limits=(0.0, 1.0))
        sources = (Source(EVALUATION_FILE, f"kinds.{kind}.metrics"),)
        yield Chart(f"metrics-{kind.replace('_', '-')}.svg", drawing, say("results.chart_caption", kind=name), sources)


def _interval_row(name: str, metric: MetricSummary) -> Row:
    """Return a metric with its interval over patients; without patients, the mean over frames alone."""
    patient = metric.patient
    if patient is None:
        return Row(name, metric.frame.mean, note=say("results.frames_only", n=metric.frame.n))
    return Row(name, patient.mean, patient.low, patient.high, note=say("results.patients_n", n=patient.n))


def _counts(kind: str, group: GroupSummary) -> Text:
    return say(
        "results.kind",
        kind=capitalised(say(f"kind.{kind}")),
        scored=group.num_scored,
        targets=group.num_targets,
        missed=group.num_missed,
        false=group.num_false,
        absent=group.num_absent,
        unanswered=group.num_unanswered,
    )


def _metric_row(name: str, metric: MetricSummary, field: str) -> tuple[Cell, ...]:
    patient: Cell = formats.UNKNOWN
    if metric.patient is not None:
        patient = of_evaluation(formats.count(metric.patient.n), metric.patient.n, f"{field}.patient.n")
    return (
        name,
        spread_of(metric.patient, f"{field}.patient"),
        interval_of(metric.patient, f"{field}.patient"),
        patient,
        spread_of(metric.frame, f"{field}.frame"),
        of_evaluation(formats.count(metric.frame.n), metric.frame.n, f"{field}.frame.n"),
    )


def _group_row(name: Label, group: GroupSummary, field: str) -> tuple[Cell, ...]:
    dice, cldice = group.metrics.get("dice"), group.metrics.get("cldice")
    counted = ("num_targets", "num_missed", "num_false", "num_absent")
    counts = [of_evaluation(formats.count(getattr(group, c)), getattr(group, c), f"{field}.{c}") for c in counted]
    return (
        name,
        *counts,
        spread_of(None if dice is None else dice.patient, f"{field}.metrics.dice.patient", digits=3),
        spread_of(None if dice is None else dice.frame, f"{field}.metrics.dice.frame", digits=3),
        spread_of(None if cldice is None else cldice.frame, f"{field}.metrics.cldice.frame", digits=3),
    )


def _chance_cell(chance: dict[str, float], number: str) -> Cell:
    if number not in chance:
        return formats.UNKNOWN
    return of_evaluation(f"{chance[number]:.3f}", chance[number], f"chance.chance_by_segment.{number}")


def _segments(evaluation: Evaluation) -> Iterator[Block]:
    sources = (Source(EVALUATION_FILE, "chance"),)
    yield from (Paragraph(text, sources) for text in chance_sentences(evaluation))
    rows = [
        _segment_row(evaluation, number, dice)
        for number, group in evaluation.segments.items()
        if (dice := group.metrics.get("dice")) is not None
    ]
    if rows:
        chance_label = say("segments.chance_label") if evaluation.chance is not None else ""
        drawing = interval_chart(rows, say("segments.axis"), say("segments.chart"), chance_label, limits=(0.0, 1.0))
        yield Chart("segments.svg", drawing, say("segments.bars"), (Source(EVALUATION_FILE, "segments"), *sources))
    yield segment_table(evaluation)
    if evaluation.challenge_f1 is not None:
        spread = evaluation.challenge_f1.frame
        text = say("segments.challenge", value=formats.spread(spread), n=spread.n)
        yield Paragraph(text, (Source(EVALUATION_FILE, "challenge_f1.frame"),))


def _segment_row(evaluation: Evaluation, number: str, dice: MetricSummary) -> Row:
    """Return a segment's mean Dice over frames, one deviation around it, and its chance level."""
    mean, sd = dice.frame.mean, dice.frame.sd
    chance = None if evaluation.chance is None else evaluation.chance.chance_by_segment.get(number)
    note = say("results.frames_only", n=dice.frame.n)
    if sd is None:
        return Row(segment_label(number), mean, reference=chance, note=note)
    return Row(segment_label(number), mean, mean - sd, mean + sd, chance, note)


def _histograms(table: pl.DataFrame) -> Iterator[Chart]:
    for kind in TargetKind:
        rows = table.filter(kind=kind.value)
        values = {name: rows[name].drop_nulls().to_list() for name in SHARE_METRICS}
        known = {name: found for name, found in values.items() if found}
        if known.get("dice"):
            caption = say("histograms.caption", kind=say(f"kind.{kind.value}"))
            drawing = histogram_chart(known, say("histograms.axis"), caption)
            name = f"histograms-{kind.value.replace('_', '-')}.svg"
            yield Chart(name, drawing, caption, tuple(Source(FRAMES_FILE, column) for column in known))
