"""Checkpoints, every file of the run, and the whole of run.json, to which the figures of the report lead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from angiova.report import formats
from angiova.report.content import Cell, Paragraph, Section, Source, Table, Value
from angiova.report.text import Label
from angiova.report.values import of_run
from angiova.report.wording import say
from angiova.run_record import RUN_NAME, Checkpoint, RunRecord

# Folders that a run may hold and that are no part of its record.
FOLDED_FOLDERS: Final = ("data", "tensorboard", "predictions", "report_files")
# Written by the report itself, and different after it.
OWN_FILES: Final = frozenset({"report.html", "report.md", "report.json", "model_card.md"})


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of the run, or a folder with how many files it holds."""

    path: str
    num_files: int
    num_bytes: int


def list_files(run: Path) -> list[ListedFile]:
    """Return every file below the run folder except the report's own; data and its like as one line a folder."""
    found: list[ListedFile] = []
    for path in sorted(run.iterdir()):
        if path.name in OWN_FILES or path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir() and path.name in FOLDED_FOLDERS:
            if path.name != "report_files":
                files = [p for p in path.rglob("*") if p.is_file()]
                found.append(ListedFile(f"{path.name}/", len(files), sum(p.stat().st_size for p in files)))
        else:
            files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
            found += [ListedFile(p.relative_to(run).as_posix(), 1, p.stat().st_size) for p in files]
    return found


def checkpoint_section(record: RunRecord) -> Section:
    """Return every checkpoint with its size and hash."""
    title = say("checkpoints.title")
    if not record.checkpoints:
        return Section("checkpoints", title, (Paragraph(say("checkpoints.none"), (Source(RUN_NAME, "checkpoints"),)),))
    names = ("path", "role", "step", "size", "bytes", "validation", "sha256")
    header = tuple(say(f"checkpoints.{name}") for name in names)
    rows = tuple(_checkpoint_row(checkpoint, n) for n, checkpoint in enumerate(record.checkpoints))
    return Section("checkpoints", title, (Table(header, rows, text_columns=(0, 1, 5, 6)),))


def file_section(files: list[ListedFile]) -> Section:
    """Return every file of the run with its size."""
    header = tuple(say(f"files.{name}") for name in ("path", "files", "size"))
    rows = tuple((file.path, formats.count(file.num_files), formats.size(file.num_bytes)) for file in files)
    return Section("files", say("files.title"), (Paragraph(say("files.how")), Table(header, rows, anchors="f")))


def record_section(record: RunRecord) -> Section:
    """Return every field of run.json: where the links of the report's figures lead."""
    header = (say("configuration.field"), say("configuration.value"))
    rows = tuple((name, text) for name, text in record_fields(record))
    table = Table(header, rows, say("record.caption"), text_columns=(0, 1), folded=True, anchors="r")
    return Section("record", say("record.title"), (table,))


def record_fields(record: RunRecord) -> list[tuple[str, str]]:
    """Return every field of run.json by its dotted name, list entries by number."""
    return list(_fields(record.model_dump(mode="json"), ""))


def _fields(value: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _fields(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(entry, Mapping | list) for entry in value):
        for number, entry in enumerate(value):
            yield from _fields(entry, f"{name}.{number}")
    else:
        yield name, formats.plain(value)


def _checkpoint_row(checkpoint: Checkpoint, number: int) -> tuple[Cell, ...]:
    field = f"checkpoints.{number}"
    validation = ", ".join(f"{name} {value:.4f}" for name, value in checkpoint.validation.items())
    role: Label = say(f"checkpoints.{checkpoint.role}") if checkpoint.role in ("best", "last") else checkpoint.role
    return (
        of_run(checkpoint.path, checkpoint.path, f"{field}.path"),
        of_run(role, checkpoint.role, f"{field}.role"),
        of_run(formats.count(checkpoint.optimizer_step), checkpoint.optimizer_step, f"{field}.optimizer_step"),
        of_run(formats.size(checkpoint.num_bytes), checkpoint.num_bytes, f"{field}.num_bytes"),
        of_run(formats.count(checkpoint.num_bytes), checkpoint.num_bytes, f"{field}.num_bytes"),
        of_run(validation, None, f"{field}.validation") if validation else Value(formats.UNKNOWN),
        of_run(checkpoint.sha256, checkpoint.sha256, f"{field}.sha256"),
    )
