"""A comparison of models in the terminal."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from angiova.evaluation.comparing import Comparison, ModelMean, PairDifference
from angiova.report import formats

# A table that is written to a file or a narrow window keeps its lines whole.
TABLE_WIDTH: Final = 128


def print_comparison(comparison: Comparison) -> None:
    """Print one table: each model's means, then each pair's difference, to standard output."""
    console = Console(soft_wrap=True, width=max(Console().width, TABLE_WIDTH))
    units = ", ".join(f"{number} for {kind.value}" for kind, number in comparison.num_units.items())
    console.print(f"[bold]{comparison.split.value}[/], paired by {comparison.unit}: {units}")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for name in ("kind", "metric", "model or pair"):
        table.add_column(name, no_wrap=True)
    for name in ("mean, difference", "95 % interval", "p", "Holm", "dz", "for 0.01"):
        table.add_column(name, no_wrap=True, justify="right")
    for mean in comparison.means:
        table.add_row(*map(escape, _of_model(mean)))
    table.add_section()
    for pair in comparison.pairs:
        table.add_row(*map(escape, _of_pair(pair)))
    console.print(table)
    for line in _notes(comparison):
        console.print(line, style="dim", markup=False)
    for name in comparison.untrusted:
        console.print(f"error: {name}: its evaluation says that its figures cannot be right", style="bold red")


def _of_model(mean: ModelMean) -> tuple[str, ...]:
    interval = mean.interval
    shown = (f"{interval.mean:.4f}", formats.interval(interval))
    return mean.kind.value, mean.metric, mean.model, *shown, "", "", "", formats.count(mean.units_for_point)


def _of_pair(pair: PairDifference) -> tuple[str, ...]:
    names = f"{pair.first} - {pair.second}"
    shown = (f"{pair.difference.mean:+.4f}", formats.interval(pair.difference), f"{pair.p:.4f}", f"{pair.p_holm:.4f}")
    effect = formats.UNKNOWN if pair.effect_dz is None else f"{pair.effect_dz:+.2f}"
    return pair.kind.value, pair.metric, names, *shown, effect, formats.count(pair.units_for_point)


def _notes(comparison: Comparison) -> list[str]:
    notes = [
        "p: sign-flip permutation test; Holm: corrected for all "
        f"{comparison.num_tests} tests; dz: difference in its standard deviations; for 0.01: {comparison.unit}s needed "
        "for an interval, or to see a difference, of one point"
    ]
    if comparison.phrases is not None:
        notes.append(f"compared on what every model can be asked for: {', '.join(comparison.phrases)}")
    if comparison.unit == "frame":
        notes.append("no patient ids: frames were paired, on the user's statement that they are independent")
    left_out = sum(comparison.num_left_out.values())
    if left_out:
        notes.append(f"{left_out} {comparison.unit}s left out: not every model was scored on them")
    return notes
