"""The part of the report that sets the run beside others, from comparison.json of `angiova eval --compare`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from angiova.evaluation.comparing import COMPARISON_NAME, Comparison, ModelMean, PairDifference
from angiova.evaluation.result import Interval
from angiova.report import formats
from angiova.report.content import Block, Cell, Notice, Paragraph, Section, Source, Table, Value
from angiova.report.facts import RunFacts
from angiova.report.wording import say
from angiova.run_record import COMPARISON_DIR

COMPARISON_FILE: Final = f"{COMPARISON_DIR}/{COMPARISON_NAME}"


def compared_section(facts: RunFacts) -> Section | None:
    """Return each model's means and the paired differences; None where the run was not compared."""
    comparison = facts.comparison
    if comparison is None:
        return None
    how = say(f"compared.{comparison.unit}", tests=comparison.num_tests, split=comparison.split.value)
    blocks: list[Block] = [*_notices(facts, comparison), Paragraph(how, _sources("unit", "num_tests"))]
    if comparison.phrases is not None:
        phrases = say("compared.phrases", phrases=", ".join(comparison.phrases))
        blocks.append(Paragraph(phrases, _sources("phrases")))
    blocks += [_means(comparison), _pairs(comparison)]
    return Section("compared", say("compared.title"), tuple(blocks))


def _notices(facts: RunFacts, comparison: Comparison) -> Iterator[Notice]:
    if facts.evaluation_sha256 not in comparison.evaluation_sha256:
        yield Notice("error", say("compared.stale"), _sources("evaluation_sha256"))
    for name in comparison.untrusted:
        yield Notice("error", say("compared.untrusted", model=name), _sources("untrusted"))


def _means(comparison: Comparison) -> Table:
    header = tuple(say(f"compared.{name}") for name in ("kind", "metric", "model", "mean", "interval", "needed"))
    rows = tuple(_mean_row(mean, f"means.{index}") for index, mean in enumerate(comparison.means))
    return Table(header, rows, say("compared.means"), text_columns=(0, 1, 2))


def _mean_row(mean: ModelMean, field: str) -> tuple[Cell, ...]:
    interval = mean.interval
    return (
        say(f"kind.{mean.kind.value}"),
        mean.metric,
        mean.model,
        _value(f"{interval.mean:.4f}", interval.mean, f"{field}.interval.mean"),
        _interval(interval, f"{field}.interval"),
        _value(formats.count(mean.units_for_point), mean.units_for_point, f"{field}.units_for_point"),
    )


def _pairs(comparison: Comparison) -> Table:
    names = ("kind", "metric", "pair", "difference", "interval", "p", "holm", "dz", "needed")
    rows = tuple(_pair_row(pair, f"pairs.{index}") for index, pair in enumerate(comparison.pairs))
    return Table(tuple(say(f"compared.{name}") for name in names), rows, say("compared.pairs"), text_columns=(0, 1, 2))


def _pair_row(pair: PairDifference, field: str) -> tuple[Cell, ...]:
    effect = formats.UNKNOWN if pair.effect_dz is None else f"{pair.effect_dz:+.2f}"
    return (
        say(f"kind.{pair.kind.value}"),
        pair.metric,
        f"{pair.first} - {pair.second}",
        _value(f"{pair.difference.mean:+.4f}", pair.difference.mean, f"{field}.difference.mean"),
        _interval(pair.difference, f"{field}.difference"),
        _value(f"{pair.p:.4f}", pair.p, f"{field}.p"),
        _value(f"{pair.p_holm:.4f}", pair.p_holm, f"{field}.p_holm"),
        _value(effect, pair.effect_dz, f"{field}.effect_dz"),
        _value(formats.count(pair.units_for_point), pair.units_for_point, f"{field}.units_for_point"),
    )


def _interval(interval: Interval, field: str) -> Value:
    return Value(formats.interval(interval), None, _sources(f"{field}.low", f"{field}.high"))


def _value(text: str, raw: float | None, field: str) -> Value:
    return Value(text, raw, _sources(field))


def _sources(*fields: str) -> tuple[Source, ...]:
    return tuple(Source(COMPARISON_FILE, field) for field in fields)
