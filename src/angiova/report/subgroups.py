"""The result by patient, contrast phase, view and calibre, and how far the model's probabilities can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from angiova.evaluation.calibration import Calibration
from angiova.evaluation.result import Evaluation, GroupSummary
from angiova.report import formats
from angiova.report.charts.bars import Row, interval_chart
from angiova.report.charts.lines import Panel, Series, line_chart
from angiova.report.content import Block, Cell, Chart, Paragraph, Source, Table
from angiova.report.results import group_table
from angiova.report.text import Label, Text, capitalised
from angiova.report.values import EVALUATION_FILE, interval_of, of_evaluation, spread_of
from angiova.report.wording import say, say_if_known

# More rows than these are folded on the page.
LONG_TABLE: Final = 12


def subgroup_blocks(evaluation: Evaluation) -> Iterator[Block]:
    """Yield every division of the result that the evaluation holds, and say which it does not hold."""
    for name in ("patients", "phases", "views"):
        groups: dict[str, GroupSummary] = getattr(evaluation, name)
        if groups:
            yield from _groups(name, groups, evaluation)
        else:
            yield Paragraph(say(f"groups.{name}.none"), (Source(EVALUATION_FILE, name),))
    if evaluation.calibres:
        yield calibre_table(evaluation)
    yield from _calibration(evaluation)


def group_tables(evaluation: Evaluation) -> list[Table]:
    """Return the tables of the divisions alone, for the model card."""
    named: dict[str, Mapping[str, GroupSummary]] = {"phases": evaluation.phases, "views": evaluation.views}
    tables = [_table(name, groups, evaluation) for name, groups in named.items() if groups]
    return [*tables, calibre_table(evaluation)] if evaluation.calibres else tables


def calibre_table(evaluation: Evaluation) -> Table:
    """Return how much of the branches of each calibre was found."""
    names = ("kind", "class", "branches", "found", "share", "length", "recall", "interval")
    rows: list[tuple[Cell, ...]] = []
    for kind, classes in evaluation.calibres.items():
        for calibre, found in classes.items():
            field = f"calibres.{kind}.{calibre}"
            rows.append(
                (
                    capitalised(say(f"kind.{kind}")),
                    say(f"calibre.{calibre}"),
                    of_evaluation(formats.count(found.num_branches), found.num_branches, f"{field}.num_branches"),
                    of_evaluation(formats.count(found.num_found), found.num_found, f"{field}.num_found"),
                    of_evaluation(
                        formats.percent(found.num_found, found.num_branches),
                        found.num_found / found.num_branches if found.num_branches else None,
                        f"{field}.num_found",
                        f"{field}.num_branches",
                    ),
                    of_evaluation(formats.count(found.length_px), found.length_px, f"{field}.length_px"),
                    spread_of(found.recall.patient or found.recall.frame, _level(found.recall.patient, field)),
                    interval_of(found.recall.patient, f"{field}.recall.patient"),
                )
            )
    header = tuple(say(f"calibres.{name}") for name in names)
    return Table(header, tuple(rows), say("calibres.caption"), text_columns=(0, 1))


def _level(patient: object, field: str) -> str:
    return f"{field}.recall.{'frame' if patient is None else 'patient'}"


def _groups(name: str, groups: Mapping[str, GroupSummary], evaluation: Evaluation) -> Iterator[Block]:
    yield _table(name, groups, evaluation)
    rows = [row for key, group in groups.items() if (row := _row(name, key, group)) is not None]
    if len(rows) > 1:
        title = say(f"groups.{name}.chart", kind=_kind(evaluation))
        drawing = interval_chart(rows, say("groups.axis"), title, limits=(0.0, 1.0))
        yield Chart(f"{name}.svg", drawing, title, (Source(EVALUATION_FILE, name),))


def _table(name: str, groups: Mapping[str, GroupSummary], evaluation: Evaluation) -> Table:
    caption = say(f"groups.{name}.caption", kind=_kind(evaluation))
    return group_table(
        say(f"groups.{name}.name"),
        {_label(name, key): (f"{name}.{key}", group) for key, group in groups.items()},
        caption,
        folded=len(groups) > LONG_TABLE,
    )


def _row(name: str, key: str, group: GroupSummary) -> Row | None:
    """Return the mean Dice over frames of a group with one deviation around it; None where nothing was scored."""
    dice = group.metrics.get("dice")
    if dice is None:
        return None
    note = say("results.frames_only", n=dice.frame.n)
    mean, sd = dice.frame.mean, dice.frame.sd
    if sd is None:
        return Row(_label(name, key), mean, note=note)
    return Row(_label(name, key), mean, mean - sd, mean + sd, note=note)


def _label(name: str, key: str) -> Label:
    """Return a group's name in both languages where it is a word of ours, as it is where it is the user's."""
    return key if name == "patients" else say_if_known(f"groups.{name}.{key}", key)


def _kind(evaluation: Evaluation) -> Text | str:
    return formats.UNKNOWN if evaluation.main_kind is None else say(f"kind.{evaluation.main_kind}")


def _calibration(evaluation: Evaluation) -> Iterator[Block]:
    """Yield the reliability curve of each kind, with its expected calibration error."""
    if not evaluation.calibration:
        yield Paragraph(say("calibration.none"), (Source(EVALUATION_FILE, "calibration"),))
        return
    panels = [_reliability(str(kind), found) for kind, found in evaluation.calibration.items()]
    drawn = [panel for panel in panels if len(panel.series[0].xs) > 1]
    if drawn:
        drawing = line_chart(drawn, say("calibration.axis"), say("calibration.chart"), columns=3, height=240.0)
        yield Chart("calibration.svg", drawing, say("calibration.caption"), (Source(EVALUATION_FILE, "calibration"),))
    header = tuple(say(f"calibration.{name}") for name in ("kind", "ece", "ece_foreground", "cases", "without"))
    rows = tuple(_calibration_row(str(kind), found) for kind, found in evaluation.calibration.items())
    yield Table(header, rows, say("calibration.table"))


def _reliability(kind: str, found: Calibration) -> Panel:
    known = [(b.mean_probability, b.num_vessel / b.num_pixels) for b in found.bins if b.mean_probability is not None]
    curve = Series(say("calibration.measured"), [p for p, _ in known], [share for _, share in known])
    perfect = Series(say("calibration.perfect"), [0.0, 1.0], [0.0, 1.0], "reference")
    ends = f"ECE {found.ece:.3f}"
    return Panel(capitalised(say(f"kind.{kind}")), (curve, perfect), (), ends, (0.0, 1.0), (0.0, 1.0))


def _calibration_row(kind: str, found: Calibration) -> tuple[Cell, ...]:
    field, foreground = f"calibration.{kind}", found.ece_foreground
    shown = formats.UNKNOWN if foreground is None else f"{foreground:.4f}"
    return (
        capitalised(say(f"kind.{kind}")),
        of_evaluation(f"{found.ece:.4f}", found.ece, f"{field}.ece"),
        of_evaluation(shown, foreground, f"{field}.ece_foreground"),
        of_evaluation(formats.count(found.num_cases), found.num_cases, f"{field}.num_cases"),
        of_evaluation(formats.count(found.num_without), found.num_without, f"{field}.num_without"),
    )
