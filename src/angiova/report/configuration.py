"""How the run was set up: model, parts, devices, batch, learning rate, and the whole recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from angiova.report import formats
from angiova.report.content import Cell, Section, Source, Table, Value
from angiova.report.facts import RunFacts
from angiova.report.text import Label
from angiova.report.values import count, of_run
from angiova.report.wording import say
from angiova.run_record import METRICS_NAME, RUN_NAME, ModelPart, RunRecord


def configuration_section(facts: RunFacts) -> Section:
    """Return what was trained, with what, and every field of the recipe."""
    record = facts.record
    header = (say("configuration.field"), say("configuration.value"))
    summary = Table(header, tuple(_summary(facts)), text_columns=(0, 1))
    recipe = tuple((name, of_run(text, text, f"recipe.{name}")) for name, text in formats.flattened(record.recipe))
    whole = Table(header, recipe, say("configuration.recipe"), text_columns=(0, 1), folded=True)
    return Section("configuration", say("configuration.title"), (summary, part_table(record), whole))


def part_table(record: RunRecord) -> Table:
    """Return the parameters of each part, counted over the whole model."""
    header = tuple(say(f"model.{name}") for name in ("part", "total", "trainable", "share", "bytes"))
    rows = [_part_row(part, part.name, str(number)) for number, part in enumerate(record.model_parts)]
    rows.append(_part_row(whole_model(record), say("model.whole"), "*"))
    return Table(header, tuple(rows), say("model.caption"))


def whole_model(record: RunRecord) -> ModelPart:
    """Return the sum of all parts."""
    parts = record.model_parts
    return ModelPart(
        name="",
        total=sum(part.total for part in parts),
        trainable=sum(part.trainable for part in parts),
        num_bytes=sum(part.num_bytes for part in parts),
    )


def setting(record: RunRecord, path: str) -> Any:  # noqa: ANN401  (a recipe holds anything YAML can)
    """Return a field of the recipe by its dotted name, or None when the record has none."""
    value: object = record.recipe
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def num_devices(record: RunRecord) -> int:
    """Return how many devices trained."""
    return int(record.machine.get("num_devices") or 1)


def batch_sizes(record: RunRecord) -> tuple[int, int, int] | None:
    """Return micro-batch, accumulation and devices; None when the record does not have them."""
    micro, accumulation = setting(record, "batch.micro"), setting(record, "batch.accumulation")
    if not isinstance(micro, int) or not isinstance(accumulation, int):
        return None
    return micro, accumulation, num_devices(record)


def training_frames(record: RunRecord) -> int | None:
    """Return how many frames were trained on, those of data sets that were mixed in included."""
    split = record.data.splits.get(str(setting(record, "data.train_split") or "train"))
    return None if split is None else split.frames + sum(other.trained.frames for other in record.data.also)


def _summary(facts: RunFacts) -> Iterator[tuple[Cell, ...]]:
    record = facts.record
    yield say("configuration.architecture"), of_run(record.model_preset, record.model_preset, "model_preset")
    whole = whole_model(record)
    yield say("configuration.total"), of_run(formats.count(whole.total), whole.total, "model_parts.*.total")
    share = formats.percent(whole.trainable, whole.total)
    fields = ("model_parts.*.trainable", "model_parts.*.total")
    yield (
        say("configuration.trainable"),
        of_run(f"{formats.count(whole.trainable)} ({share})", whole.trainable, *fields),
    )
    yield say("configuration.devices"), _devices(record)
    yield say("configuration.strategy"), _strategy(record)
    yield say("configuration.precision"), _recipe_value(record, "precision")
    yield say("configuration.batch"), _batch(record)
    yield say("configuration.lr"), _recipe_value(record, "optimizer.lr")
    yield say("configuration.schedule"), _schedule(facts)
    yield say("configuration.passes"), _passes(record)
    yield say("configuration.repeats"), _recipe_value(record, "data.repeats")
    yield say("configuration.seed"), of_run(str(record.seed), record.seed, "seed")
    yield say("configuration.status"), of_run(record.status, record.status, "status")
    yield say("configuration.version"), of_run(record.angiova_version, record.angiova_version, "angiova_version")
    yield (
        say("configuration.commit"),
        of_run(record.code_commit or say("unrecorded"), record.code_commit, "code_commit"),
    )
    yield say("configuration.command"), of_run(" ".join(record.command), " ".join(record.command), "command")


def _devices(record: RunRecord) -> Value:
    number, name = num_devices(record), record.machine.get("device")
    text: Label = say("unrecorded") if name is None else f"{number} × {name}"
    return of_run(text, None if name is None else str(name), "machine.num_devices", "machine.device")


def _strategy(record: RunRecord) -> Value:
    strategy = record.machine.get("strategy")
    if strategy is not None:
        return of_run(str(strategy), str(strategy), "machine.strategy")
    text = say("configuration.one_device") if num_devices(record) == 1 else say("unrecorded")
    return of_run(text, None, "machine.num_devices")


def _batch(record: RunRecord) -> Value:
    sizes = batch_sizes(record)
    if sizes is None:
        return Value(say("unrecorded"))
    micro, accumulation, devices = sizes
    product = micro * accumulation * devices
    text = say("configuration.product", micro=micro, accumulation=accumulation, devices=devices, product=product)
    return of_run(text, product, "recipe.batch.micro", "recipe.batch.accumulation", "machine.num_devices")


def _schedule(facts: RunFacts) -> Value:
    """Say what the learning rate did, from the log: where it was highest and where it ended."""
    rates = [(line["lr"], line["optimizer_step"]) for line in facts.training if line.get("lr") is not None]
    if not rates:
        return Value(say("unrecorded"))
    peak, step = max(rates)
    text = say(
        "configuration.rates",
        first=formats.significant(rates[0][0]),
        peak=formats.significant(peak),
        step=formats.count(step),
        last=formats.significant(rates[-1][0]),
    )
    return Value(text, peak, (Source(METRICS_NAME, "lr"), Source(RUN_NAME, "recipe.optimizer")))


def _passes(record: RunRecord) -> Value:
    frames, seen = training_frames(record), record.progress.samples_seen
    if not frames:
        return Value(say("unrecorded"))
    text = say(
        "configuration.seen", samples=formats.count(seen), frames=formats.count(frames), passes=f"{seen / frames:.2f}"
    )
    return of_run(text, seen / frames, "progress.samples_seen", "data.splits")


def _recipe_value(record: RunRecord, path: str) -> Value:
    value = setting(record, path)
    if value is None:
        return Value(say("unrecorded"))
    return of_run(str(value), value if isinstance(value, int | float | str) else str(value), f"recipe.{path}")


def _part_row(part: ModelPart, name: Label, place: str) -> tuple[Cell, ...]:
    field = f"model_parts.{place}"
    share = part.trainable / part.total if part.total else None
    return (
        name,
        count(part.total, f"{field}.total"),
        count(part.trainable, f"{field}.trainable"),
        of_run(formats.percent(part.trainable, part.total), share, f"{field}.trainable", f"{field}.total"),
        of_run(formats.size(part.num_bytes), part.num_bytes, f"{field}.num_bytes"),
    )
