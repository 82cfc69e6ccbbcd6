"""The part of the report that says how the model was made, from run.json and metrics.jsonl."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from angiova.report import figures, formats
from angiova.report.content import Block, Figure, Notice, Paragraph, Section, Table
from angiova.report.facts import Line, RunFacts
from angiova.report.wording import Words
from angiova.run_record import Checkpoint, LossFacts, ModelPart, RunRecord


def loss_section(facts: RunFacts, words: Words) -> Section:
    """Return every loss from first to last with its curve, the learning rate and validation."""
    blocks: list[Block] = []
    if facts.record.losses:
        blocks.append(loss_table(facts.record.losses, words))
    if facts.training:
        blocks += _training_figures(facts.training, words)
    if facts.validation:
        drawing = figures.curves(_validation_curves(facts.validation), words("axis.steps"), "validation")
        blocks.append(Figure("validation.svg", drawing, words("validation.figure")))
    return Section(words("losses.title"), tuple(blocks or [Paragraph(words("losses.none"))]))


def loss_table(losses: dict[str, LossFacts], words: Words) -> Table:
    """Return each loss with its weight, and their weighted sum."""
    header = tuple(words(f"losses.{name}") for name in ("name", "weight", "first", "last", "drop"))
    first = sum(loss.weight * loss.first for loss in losses.values())
    last = sum(loss.weight * loss.last for loss in losses.values())
    rows = [(name, f"{loss.weight:g}", *_first_to_last(loss.first, loss.last)) for name, loss in losses.items()]
    total = (words("losses.total"), "", *_first_to_last(first, last))
    return Table(header, (*rows, total), words("losses.caption"))


def model_section(record: RunRecord, words: Words) -> Section:
    """Return the parameters of each part, counted over the whole model."""
    header = tuple(words(f"model.{name}") for name in ("part", "total", "trainable", "share", "bytes"))
    whole = whole_model(record, words("model.whole"))
    rows = tuple(_part_row(part) for part in (*record.model_parts, whole))
    return Section(words("model.title"), (Table(header, rows, words("model.caption")),))


def whole_model(record: RunRecord, name: str = "") -> ModelPart:
    """Return the sum of all parts."""
    parts = record.model_parts
    return ModelPart(
        name=name,
        total=sum(part.total for part in parts),
        trainable=sum(part.trainable for part in parts),
        num_bytes=sum(part.num_bytes for part in parts),
    )


def data_section(facts: RunFacts, words: Words) -> Section:
    """Return what was trained on, split by split, and what was evaluated on."""
    data, evaluation = facts.record.data, facts.evaluation
    header = tuple(words(f"data.{name}") for name in ("split", "frames", "patients", "targets", "ids"))
    rows = tuple(
        (name, formats.count(s.frames), formats.count(s.patients), formats.count(s.targets), s.frame_ids_sha256)
        for name, s in data.splits.items()
    )
    caption = words("data.caption", folder=data.folder, sha256=data.manifest_sha256)
    blocks: list[Block] = [Table(header, rows, caption, text_columns=(0, 4))]
    if data.frames_are_independent:
        blocks.insert(0, Notice("warning", words("notice.independent")))
    if evaluation is not None:
        same = words("data.same" if facts.same_data else "data.other")
        text = words("data.evaluated", folder=evaluation.dataset, sha256=evaluation.manifest_sha256, same=same)
        blocks.append(Paragraph(text))
    return Section(words("data.title"), tuple(blocks))


def cost_section(record: RunRecord, words: Words) -> Section:
    """Return time, memory and the machine, with the units of progress explained."""
    progress = record.progress
    rows = [*_progress_rows(record, words), *_resource_rows(record, words)]
    rows += [(name, formats.UNKNOWN if value is None else str(value)) for name, value in record.machine.items()]
    ratio = progress.samples_seen / progress.optimizer_steps if progress.optimizer_steps else None
    units = words(
        "cost.units",
        samples=formats.count(progress.samples_seen),
        micro=formats.count(progress.micro_steps),
        steps=formats.count(progress.optimizer_steps),
        ratio=formats.UNKNOWN if ratio is None else f"{ratio:.4g}",
    )
    table = Table((words("cost.what"), words("cost.value")), tuple(rows), text_columns=(0, 1))
    return Section(words("cost.title"), (Paragraph(units), table))


def checkpoint_section(record: RunRecord, words: Words) -> Section:
    """Return every checkpoint with its size and hash."""
    if not record.checkpoints:
        return Section(words("checkpoints.title"), (Paragraph(words("checkpoints.none")),))
    names = ("path", "role", "step", "size", "bytes", "validation", "sha256")
    header = tuple(words(f"checkpoints.{name}") for name in names)
    rows = tuple(_checkpoint_row(checkpoint) for checkpoint in record.checkpoints)
    return Section(words("checkpoints.title"), (Table(header, rows, text_columns=(0, 1, 5, 6)),))


def configuration_section(record: RunRecord, words: Words) -> Section:
    """Return how the run was started and its whole recipe."""
    header = (words("configuration.field"), words("configuration.value"))
    run = (
        (words("configuration.command"), " ".join(record.command)),
        (words("configuration.version"), record.angiova_version),
        (words("configuration.commit"), record.code_commit or formats.UNKNOWN),
        (words("configuration.seed"), str(record.seed)),
        (words("configuration.status"), record.status),
    )
    recipe = tuple(formats.flattened(record.recipe))
    return Section(
        words("configuration.title"),
        (
            Table(header, run, words("configuration.run"), text_columns=(0, 1)),
            Table(header, recipe, words("configuration.recipe"), text_columns=(0, 1)),
        ),
    )


def message_section(record: RunRecord, words: Words) -> Section:
    """Return what the run said in passing."""
    if not record.messages:
        return Section(words("messages.title"), (Paragraph(words("messages.none")),))
    rows = tuple((message,) for message in record.messages)
    return Section(words("messages.title"), (Table((words("messages.text"),), rows),))


def _training_figures(lines: Sequence[Line], words: Words) -> Iterator[Figure]:
    names = list(dict.fromkeys(name for line in lines for name in line["losses"]))
    panels = [_curve(words("losses.total_curve"), [(line["optimizer_step"], line.get("loss")) for line in lines])]
    panels += [_curve(name, [(line["optimizer_step"], line["losses"].get(name)) for line in lines]) for name in names]
    drawn = [panel for panel in panels if panel.values]
    if drawn:
        yield Figure("losses.svg", figures.curves(drawn, words("axis.steps"), "losses"), words("losses.figure"))
    rate = _curve(words("lr.title"), [(line["optimizer_step"], line.get("lr")) for line in lines], mark_ends=False)
    norm = _curve(words("norm.title"), [(line["optimizer_step"], line.get("grad_norm")) for line in lines])
    drawn = [panel for panel in (rate, norm) if panel.values]
    if drawn:
        yield Figure("learning-rate.svg", figures.curves(drawn, words("axis.steps"), "rate"), words("lr.figure"))


def _validation_curves(lines: Sequence[Line]) -> list[figures.Curve]:
    names = dict.fromkeys(name for line in lines for name in line["validation"])
    return [_curve(name, [(line["optimizer_step"], line["validation"].get(name)) for line in lines]) for name in names]


def _curve(title: str, points: Sequence[tuple[float, float | None]], *, mark_ends: bool = True) -> figures.Curve:
    known = [(step, value) for step, value in points if value is not None]
    return figures.Curve(title, [step for step, _ in known], [value for _, value in known], mark_ends)


def _first_to_last(first: float, last: float) -> tuple[str, str, str]:
    return formats.significant(first), formats.significant(last), formats.percent(first - last, first)


def _part_row(part: ModelPart) -> tuple[str, ...]:
    share = formats.percent(part.trainable, part.total)
    return part.name, formats.count(part.total), formats.count(part.trainable), share, formats.size(part.num_bytes)


def _progress_rows(record: RunRecord, words: Words) -> list[tuple[str, str]]:
    progress = record.progress
    return [
        (words("cost.started"), record.started),
        (words("cost.finished"), record.finished or formats.UNKNOWN),
        (words("cost.samples"), formats.count(progress.samples_seen)),
        (words("cost.micro"), formats.count(progress.micro_steps)),
        (words("cost.optimizer"), formats.count(progress.optimizer_steps)),
        (words("cost.planned"), formats.count(progress.planned_optimizer_steps)),
    ]


def _resource_rows(record: RunRecord, words: Words) -> list[tuple[str, str]]:
    resources = record.resources
    seconds = [(words("cost.seconds", name=name), formats.duration(s)) for name, s in resources.seconds.items()]
    rss = formats.size(resources.peak_rss_bytes) if resources.peak_rss_bytes else formats.UNKNOWN
    devices = [(words("cost.device", n=n), formats.size(peak)) for n, peak in enumerate(resources.peak_device_bytes)]
    return [*seconds, (words("cost.rss"), rss), *devices]


def _checkpoint_row(checkpoint: Checkpoint) -> tuple[str, ...]:
    validation = ", ".join(f"{name} {value:.4f}" for name, value in checkpoint.validation.items())
    return (
        checkpoint.path,
        checkpoint.role,
        formats.count(checkpoint.optimizer_step),
        formats.size(checkpoint.num_bytes),
        formats.count(checkpoint.num_bytes),
        validation or formats.UNKNOWN,
        checkpoint.sha256,
    )
