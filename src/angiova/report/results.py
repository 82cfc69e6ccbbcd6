"""The part of the report that says how well the model segments, from evaluation.json and frames.csv."""

from __future__ import annotations

from collections.abc import Iterator

from angiova.data.records import TargetKind
from angiova.data.syntax import SEGMENT_NAMES
from angiova.evaluation.metrics import METRICS, SHARE_METRICS
from angiova.evaluation.result import Evaluation, GroupSummary
from angiova.report import figures, formats
from angiova.report.content import Block, Figure, Notice, Paragraph, Section, Table
from angiova.report.facts import RunFacts
from angiova.report.wording import Words


def result_sections(facts: RunFacts, words: Words) -> Iterator[Section]:
    """Yield the evaluation's sections; a run that was not evaluated has one that says so."""
    if facts.evaluation is None:
        yield Section(words("results.title"), (Notice("warning", words("results.none")),))
        return
    yield Section(words("results.title"), (Paragraph(words("results.how")), *_kinds(facts.evaluation, words)))
    if facts.evaluation.segments:
        yield Section(words("segments.title"), tuple(_segments(facts.evaluation, words)))
    if facts.pictures:
        yield Section(words("pictures.title"), tuple(_pictures(facts, facts.evaluation, words)))
    if facts.frames is not None:
        yield Section(words("histograms.title"), tuple(_histograms(facts, words)))


def definition_section(evaluation: Evaluation, words: Words) -> Section:
    """Return the definitions that the evaluation itself recorded."""
    header = (words("definitions.name"), words("definitions.text"))
    rows = tuple((name, words.optional(f"definition.{name}") or text) for name, text in evaluation.definitions.items())
    return Section(words("definitions.title"), (Table(header, rows, text_columns=(0, 1)),))


def kind_table(kind: str, group: GroupSummary, words: Words) -> Table:
    """Return the table of one kind: every metric over patients and over frames."""
    header = (
        words("results.metric"),
        words("results.patient"),
        words("results.interval"),
        words("results.n"),
        words("results.frame"),
        words("results.n"),
    )
    return Table(
        header,
        tuple(_metric_row(name, group) for name in METRICS if name in group.metrics),
        _counts(kind, group, words),
    )


def segment_table(evaluation: Evaluation, words: Words) -> Table:
    """Return the table of named segments, with the chance level of each."""
    names = ("number", "targets", "missed", "false", "absent", "dice_patient", "dice_frame", "cldice", "chance")
    header = tuple(words(f"segments.{name}") for name in names)
    chance = {} if evaluation.chance is None else evaluation.chance.chance_by_segment
    rows = tuple(_segment_row(number, group, chance.get(number)) for number, group in evaluation.segments.items())
    return Table(header, rows, words("segments.caption"))


def phrase_table(evaluation: Evaluation, words: Words) -> Table:
    """Return Dice by the phrase that was asked."""
    names = ("targets", "missed", "false", "absent", "dice_patient", "dice_frame", "cldice")
    header = (words("phrases.phrase"), *(words(f"segments.{name}") for name in names))
    rows = tuple(_group_row(phrase, group) for phrase, group in evaluation.phrases.items())
    return Table(header, rows, words("phrases.caption"))


def main_kind(evaluation: Evaluation) -> str | None:
    """Return the first kind, the vessel tree before others, that has scores."""
    scored = [kind.value for kind in TargetKind if kind in evaluation.kinds and evaluation.kinds[kind].metrics]
    return scored[0] if scored else None


def _kinds(evaluation: Evaluation, words: Words) -> Iterator[Block]:
    for kind in TargetKind:
        if kind in evaluation.kinds:
            yield kind_table(kind.value, evaluation.kinds[kind.value], words)
    if len(evaluation.phrases) > len(evaluation.kinds) and not evaluation.segments:
        yield phrase_table(evaluation, words)


def _counts(kind: str, group: GroupSummary, words: Words) -> str:
    name = words(f"kind.{kind}")
    return words(
        "results.kind",
        kind=name[0].upper() + name[1:],
        scored=group.num_scored,
        targets=group.num_targets,
        missed=group.num_missed,
        false=group.num_false,
        absent=group.num_absent,
        unanswered=group.num_unanswered,
    )


def _metric_row(name: str, group: GroupSummary) -> tuple[str, ...]:
    metric = group.metrics[name]
    num_patients = None if metric.patient is None else metric.patient.n
    return (
        name,
        formats.spread(metric.patient),
        formats.interval(metric.patient),
        formats.count(num_patients),
        formats.spread(metric.frame),
        formats.count(metric.frame.n),
    )


def _group_row(name: str, group: GroupSummary) -> tuple[str, ...]:
    dice, cldice = group.metrics.get("dice"), group.metrics.get("cldice")
    counts = (group.num_targets, group.num_missed, group.num_false, group.num_absent)
    return (
        name,
        *map(formats.count, counts),
        formats.spread(None if dice is None else dice.patient, digits=3),
        formats.spread(None if dice is None else dice.frame, digits=3),
        formats.spread(None if cldice is None else cldice.frame, digits=3),
    )


def _segment_row(number: str, group: GroupSummary, chance: float | None) -> tuple[str, ...]:
    row = _group_row(segment_label(number), group)
    return (*row, formats.UNKNOWN if chance is None else f"{chance:.3f}")


def segment_label(number: str) -> str:
    """Return a SYNTAX number with its name: 6 proximal LAD."""
    return f"{number} {SEGMENT_NAMES.get(number, '')}".strip()


def _segments(evaluation: Evaluation, words: Words) -> Iterator[Block]:
    yield from (Paragraph(text) for text in chance_sentences(evaluation, words))
    bars = [
        figures.Bar(segment_label(number), dice.frame.mean, dice.frame.sd, _chance(evaluation, number))
        for number, group in evaluation.segments.items()
        if (dice := group.metrics.get("dice")) is not None
    ]
    if bars:
        drawing = figures.segment_bars(bars, words("segments.axis"), words("segments.chance_label"), "segments")
        yield Figure("segments.svg", drawing, words("segments.bars"))
    yield segment_table(evaluation, words)
    if evaluation.challenge_f1 is not None:
        spread = evaluation.challenge_f1.frame
        yield Paragraph(words("segments.challenge", value=formats.spread(spread), n=spread.n))


def chance_sentences(evaluation: Evaluation, words: Words) -> Iterator[str]:
    """Yield what the comparison with chance shows, and a warning where it shows nothing."""
    chance = evaluation.chance
    if chance is None:
        return
    yield words(
        "headline.margin",
        asked=f"{chance.asked:.3f}",
        chance=f"{chance.chance:.3f}",
        margin=f"{chance.margin:.3f}",
        interval=formats.interval(chance.interval),
    )
    if not chance.is_better_than_chance:
        yield words("headline.nomargin")


def _chance(evaluation: Evaluation, number: str) -> float | None:
    return None if evaluation.chance is None else evaluation.chance.chance_by_segment.get(number)


def _pictures(facts: RunFacts, evaluation: Evaluation, words: Words) -> Iterator[Block]:
    yield Paragraph(words("pictures.how"))
    for number, picture in enumerate(evaluation.pictures, 1):
        if picture.file in facts.pictures:
            caption = words(
                "picture.caption",
                role=words(f"picture.{picture.role}"),
                frame=picture.frame_id,
                phrase=picture.phrase,
                dice=f"{picture.dice:.3f}",
                cldice=f"{picture.cldice:.3f}",
            )
            yield Figure(f"comparison-{number}.png", facts.pictures[picture.file], caption)


def _histograms(facts: RunFacts, words: Words) -> Iterator[Block]:
    for kind in TargetKind:
        rows = facts.frames.filter(kind=kind.value) if facts.frames is not None else None
        values = {} if rows is None else {name: rows[name].drop_nulls().to_list() for name in SHARE_METRICS}
        values = {name: shares for name, shares in values.items() if shares}
        if values.get("dice"):
            name = f"histograms-{kind.value.replace('_', '-')}"
            drawing = figures.histograms(values, words("histograms.axis"), name)
            yield Figure(f"{name}.svg", drawing, words("histograms.caption", kind=words(f"kind.{kind.value}")))
