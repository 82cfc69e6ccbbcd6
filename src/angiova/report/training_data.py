"""What was trained on and what was evaluated on, split by split."""

from __future__ import annotations

from collections.abc import Iterator

from angiova.evaluation.result import Evaluation
from angiova.report import formats
from angiova.report.configuration import setting
from angiova.report.content import Block, Cell, Notice, Paragraph, Section, Source, Table
from angiova.report.facts import RunFacts
from angiova.report.text import Label
from angiova.report.values import EVALUATION_FILE, count, of_evaluation, of_run
from angiova.report.wording import say
from angiova.run_record import RUN_NAME, OtherDataFacts, SplitFacts


def data_section(facts: RunFacts) -> Section:
    """Return patients, runs, frames and samples of every split, and where they came from."""
    data = facts.record.data
    blocks: list[Block] = []
    if data.frames_are_independent:
        source = Source(RUN_NAME, "data.frames_are_independent")
        blocks.append(Notice("warning", say("notice.independent"), (source,)))
    blocks += [_split_table(facts), Table(_FIELD_HEADER, tuple(_origin(facts)), text_columns=(0, 1))]
    if facts.evaluation is not None:
        blocks += [_evaluated(facts), *_leakage(facts.evaluation)]
    return Section("data", say("data.title"), tuple(blocks))


_FIELD_HEADER = (say("configuration.field"), say("configuration.value"))


def _leakage(evaluation: Evaluation) -> Iterator[Block]:
    """Yield what the evaluated frames share with those trained on, or that nobody knows."""
    leakage, source = evaluation.leakage, (Source(EVALUATION_FILE, "leakage"),)
    if leakage is None:
        yield Paragraph(say("leakage.unknown"), source)
        return
    text = say(
        "leakage.counts",
        frames=formats.count(leakage.num_training_frames),
        patients=leakage.num_shared_patients,
        files=leakage.num_shared_files,
        near=leakage.num_near_duplicates,
    )
    yield Paragraph(text, source) if leakage.is_clean else Notice("error", text, source)


def _split_table(facts: RunFacts) -> Table:
    header = tuple(say(f"data.{name}") for name in ("split", "patients", "runs", "frames", "samples", "targets", "ids"))
    rows = [_split_row(name, split, facts) for name, split in facts.record.data.splits.items()]
    rows += [_mixed_row(number, other, facts) for number, other in enumerate(facts.record.data.also)]
    if facts.evaluation is not None and facts.evaluation.split.value not in facts.record.data.splits:
        rows.append(_evaluated_row(facts))
    return Table(header, tuple(rows), say("data.caption"), text_columns=(0, 6))


def _split_row(name: str, split: SplitFacts, facts: RunFacts) -> tuple[Cell, ...]:
    field = f"data.splits.{name}"
    is_trained = name == (setting(facts.record, "data.train_split") or "train")
    seen = facts.record.progress.samples_seen
    seen -= sum(round(other.share * seen) for other in facts.record.data.also)
    return (
        name,
        count(split.patients, f"{field}.patients"),
        count(split.runs, f"{field}.runs"),
        count(split.frames, f"{field}.frames"),
        count(seen, "progress.samples_seen") if is_trained else formats.UNKNOWN,
        count(split.targets, f"{field}.targets"),
        of_run(split.frame_ids_sha256, split.frame_ids_sha256, f"{field}.frame_ids_sha256"),
    )


def _mixed_row(number: int, other: OtherDataFacts, facts: RunFacts) -> tuple[Cell, ...]:
    field, trained = f"data.also.{number}", other.trained
    return (
        say("data.mixed", folder=other.folder, share=f"{other.share:.0%}"),
        count(trained.patients, f"{field}.trained.patients"),
        count(trained.runs, f"{field}.trained.runs"),
        count(trained.frames, f"{field}.trained.frames"),
        count(round(other.share * facts.record.progress.samples_seen), "progress.samples_seen"),
        count(trained.targets, f"{field}.trained.targets"),
        of_run(trained.frame_ids_sha256, trained.frame_ids_sha256, f"{field}.trained.frame_ids_sha256"),
    )


def _evaluated_row(facts: RunFacts) -> tuple[Cell, ...]:
    """Return the evaluated split, which training never opened, as the evaluation counted it."""
    evaluation, table = facts.evaluation, facts.frames
    assert evaluation is not None
    num_targets = sum(evaluation.origins.values())
    runs: Cell = formats.UNKNOWN if table is None else formats.count(table["run"].n_unique())
    return (
        say("data.evaluated_split", split=evaluation.split.value),
        of_evaluation(formats.count(evaluation.num_patients), evaluation.num_patients, "num_patients"),
        runs,
        of_evaluation(formats.count(evaluation.num_frames), evaluation.num_frames, "num_frames"),
        formats.UNKNOWN,
        of_evaluation(formats.count(num_targets), num_targets, "origins"),
        formats.UNKNOWN,
    )


def _origin(facts: RunFacts) -> Iterator[tuple[Cell, ...]]:
    data = facts.record.data
    yield say("data.folder"), of_run(data.folder, data.folder, "data.folder")
    yield say("data.manifest"), of_run(data.manifest_sha256, data.manifest_sha256, "data.manifest_sha256")
    for name in ("importer", "source", "licence"):
        value = getattr(data, name)
        text: Label = say("unrecorded") if value is None else str(value)
        yield say(f"data.{name}"), of_run(text, value, f"data.{name}")


def _evaluated(facts: RunFacts) -> Paragraph:
    evaluation = facts.evaluation
    assert evaluation is not None
    same = say("data.same" if facts.same_data else "data.other")
    text = say("data.evaluated", folder=evaluation.dataset, sha256=evaluation.manifest_sha256, same=same)
    return Paragraph(text, (Source(EVALUATION_FILE, "manifest_sha256"), Source(RUN_NAME, "data.manifest_sha256")))
