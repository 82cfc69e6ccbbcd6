"""Parameters and checkpoints of our own runs, counted and hashed again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from angiova import __version__
from angiova.code_version import CHANGED, code_commit
from angiova.data.records import Severity
from angiova.errors import AngiovaError
from angiova.files import read_json, sha256_file
from angiova.report.audit.finding import AuditFinding
from angiova.report.audit.read_files import num_parameters
from angiova.report.audit.run_folder import AuditedRun
from angiova.run_record import Checkpoint, ModelPart

MODEL_NAME: Final = "model.safetensors"
COMPLETE_NAME: Final = "complete.json"
# A file may also hold buffers, which are no parameters.
TOLERANCE: Final = 0.01


def parts(run: AuditedRun) -> Iterator[AuditFinding]:
    """Check the parameters of each part against the recipe's model, built without weights."""
    expected = _expected_parts(run)
    for part in run.record.model_parts:
        if part.trainable > part.total:
            message = f"{part.trainable:,} of {part.total:,} parameters are trained"
            yield AuditFinding("parameters-trainable", Severity.ERROR, f"run.json: model_parts.{part.name}", message)
        elif part.name in expected and (part.total, part.trainable) != expected[part.name]:
            total, trainable = expected[part.name]
            message = f"the part {part.name} is not that of the recipe's model"
            lines = (
                f"recorded: {part.total:,} parameters, {part.trainable:,} trained",
                f"counted on the preset {run.record.model_preset}: {total:,}, {trainable:,} trained",
            )
            yield AuditFinding("parameters-part", Severity.ERROR, f"run.json: model_parts.{part.name}", message, lines)


def checkpoints(run: AuditedRun) -> Iterator[AuditFinding]:
    """Check every checkpoint that is there: its size and hash against the record, its values against the parts."""
    for checkpoint in run.record.checkpoints:
        folder = run.folder / checkpoint.path
        if folder.is_dir() and folder.resolve().is_relative_to(run.folder.resolve()):
            yield from _size(checkpoint, folder)
            yield from _listed(checkpoint, folder)
            yield from _values(run.record.model_parts, checkpoint, folder)


def _size(checkpoint: Checkpoint, folder: Path) -> Iterator[AuditFinding]:
    marker = folder / COMPLETE_NAME
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    total, plain = sum(sizes.values()), sum(size for path, size in sizes.items() if path.parent == folder)
    # Sums that a record may hold: with folders or without, before complete.json was written or after.
    if checkpoint.num_bytes not in {whole - part for whole in (total, plain) for part in (0, sizes.get(marker, 0))}:
        message = f"the checkpoint has {total:,} bytes, recorded {checkpoint.num_bytes:,}"
        where = f"run.json: checkpoints: {checkpoint.path}"
        yield AuditFinding("checkpoint-bytes", Severity.ERROR, where, message, (), "restore the checkpoint")


def _listed(checkpoint: Checkpoint, folder: Path) -> Iterator[AuditFinding]:
    """Check each file's hash against the list that marks the checkpoint complete, and the weights' against run.json."""
    remedy = "do not use this checkpoint; restore it from a copy"
    listing = read_json(folder / COMPLETE_NAME).get("files", {}) if (folder / COMPLETE_NAME).exists() else {}
    hashes = {name: sha256_file(folder / name) for name in listing if _is_plain_file(folder, name)}
    changed = [name for name, found in hashes.items() if found != listing[name].get("sha256")]
    weights = [name for name in hashes if name == MODEL_NAME]
    if changed:
        lines = tuple(f"{name}: {hashes[name]}, listed {listing[name].get('sha256')}" for name in changed)
        message = f"{len(changed)} files are not those that were saved"
        yield AuditFinding("checkpoint-hash", Severity.ERROR, checkpoint.path, message, lines, remedy)
    elif weights and hashes[MODEL_NAME] != checkpoint.sha256:
        lines = (f"file: {hashes[MODEL_NAME]}", f"run.json: {checkpoint.sha256}")
        message = "the weights are not those that the record names"
        yield AuditFinding("checkpoint-hash", Severity.ERROR, checkpoint.path, message, lines, remedy)


def _values(model_parts: list[ModelPart], checkpoint: Checkpoint, folder: Path) -> Iterator[AuditFinding]:
    path, total = folder / MODEL_NAME, sum(part.total for part in model_parts)
    if not path.is_file():
        return
    values = num_parameters(path)
    if abs(values - total) > TOLERANCE * total:
        yield AuditFinding(
            "checkpoint-parameters",
            Severity.ERROR,
            f"{checkpoint.path}/{MODEL_NAME}",
            f"the file holds {values:,} values, the model has {total:,} parameters",
            (f"{values:,} / {total:,} = {values / total if total else float('inf'):.3f}",),
            "count the whole model, never one shard of it",
        )


def _is_plain_file(folder: Path, name: str) -> bool:
    return Path(name).name == name and (folder / name).is_file()


def _expected_parts(run: AuditedRun) -> dict[str, tuple[int, int]]:
    """Return (total, trainable) of each part of the recipe's model, as this code builds it.

    Nothing where the model starts from a checkpoint, and nothing for a run of other code, whose presets may differ.
    """
    commit = code_commit()
    is_changed = commit is not None and commit.endswith(CHANGED)
    if is_changed or (run.record.angiova_version, run.record.code_commit) != (__version__, commit):
        return {}
    # torch is needed only where there is a model to count
    from angiova.training.config import parse_recipe
    from angiova.training.plan import plan_parts

    try:
        recipe = parse_recipe(dict(run.record.recipe), where="run.json: recipe")
        rows = plan_parts(recipe) if recipe.model.preset is not None else []
    except AngiovaError:  # a recipe of another version cannot be built by this one; nothing to compare with
        return {}
    return {row.name: (row.parameters, row.trainable) for row in rows}
