"""Our own evaluations, computed again from the row of every case."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import polars as pl

from angiova.data.records import Severity, Split
from angiova.report.audit.finding import AuditFinding
from angiova.report.audit.run_folder import AuditedRun

TOLERANCE: Final = 1e-6
# Findings of an evaluation that say that its figures cannot be; others say that the model is bad, which may be true.
IMPOSSIBLE: Final = frozenset(
    {"scores-perfect", "scores-constant", "predictions-identical", "prediction-is-target", "patients-trained-on"}
)
_CODES: Final = {"patients-trained-on": "train-test-overlap"}


def scores(run: AuditedRun) -> Iterator[AuditFinding]:
    """Carry over what the evaluation itself found impossible, and find it again where its findings were removed."""
    if run.evaluation is None:
        return
    found = [finding for finding in run.evaluation.findings if finding.code in IMPOSSIBLE]
    for finding in found:
        code = _CODES.get(finding.code, finding.code)
        where = f"evaluation/evaluation.json: findings: {finding.where}"
        yield AuditFinding(code, Severity.ERROR, where, finding.message, (), finding.remedy)
    if run.cases is None or any(finding.code.startswith("scores-") for finding in found):
        return
    for kind, dice in _dice_by_kind(run.cases).items():
        if len(dice) > 1 and min(dice) == max(dice) > 0:
            message = f"all {len(dice)} scores of kind {kind} are the same, and no finding says so"
            lines = (f"Dice {dice[0]:g} in every row of kind {kind}",)
            yield AuditFinding("scores-constant", Severity.ERROR, "evaluation/frames.csv: dice", message, lines)


def cases(run: AuditedRun) -> Iterator[AuditFinding]:
    """Check the Dice of each case against its counts of pixels."""
    if run.cases is None:
        return
    compared = run.cases.filter(pl.col("outcome") == "compared")
    computed = compared.with_columns(again=2 * pl.col("tp") / (2 * pl.col("tp") + pl.col("fp") + pl.col("fn")))
    wrong = computed.filter((pl.col("again") - pl.col("dice")).abs() > TOLERANCE)
    if wrong.height:
        row = wrong.row(0, named=True)
        yield AuditFinding(
            "case-dice",
            Severity.ERROR,
            "evaluation/frames.csv: dice",
            f"{wrong.height} of {compared.height} cases have another Dice than their pixels give",
            (
                f"{row['frame_id']}, {row['phrase']}: 2 x {row['tp']} / (2 x {row['tp']} + {row['fp']} + {row['fn']}) "
                f"= {row['again']:.6f}, stated {row['dice']:.6f}",
            ),
            "evaluate again from predictions.parquet",
        )


def means(run: AuditedRun) -> Iterator[AuditFinding]:
    """Check the mean Dice of each kind against the mean over its frames."""
    if run.cases is None or run.evaluation is None:
        return
    scored = run.cases.filter(pl.col("dice").is_not_null())
    by_frame = scored.group_by("kind", "frame_id").agg(pl.col("dice").mean())
    again = dict(by_frame.group_by("kind").agg(pl.col("dice").mean()).iter_rows())
    for kind, group in run.evaluation.kinds.items():
        if "dice" not in group.metrics:
            continue
        stated = group.metrics["dice"].frame.mean
        if kind not in again or abs(again[kind] - stated) > TOLERANCE:
            computed = f"{again[kind]:.6f}" if kind in again else "no case"
            where = f"evaluation/evaluation.json: kinds.{kind}.metrics.dice.frame.mean"
            message = f"the mean Dice of kind {kind} is not that of its cases"
            lines = (f"from frames.csv: {computed}; stated: {stated:.6f}",)
            yield AuditFinding("evaluation-mean", Severity.ERROR, where, message, lines, "evaluate again")


def leakage(run: AuditedRun) -> Iterator[AuditFinding]:
    """Carry over what the evaluated frames share with those trained on."""
    found = None if run.evaluation is None else run.evaluation.leakage
    if found is None or found.is_clean or run.evaluation is None or run.evaluation.split is Split.TRAIN:
        return
    lines = (
        f"shared patients: {found.num_shared_patients}",
        f"same file or pixels: {found.num_shared_files}",
        f"near-duplicates: {found.num_near_duplicates}",
    )
    message = f"frames evaluated as {run.evaluation.split} were trained on, or nearly"
    yield AuditFinding("train-test-overlap", Severity.ERROR, "evaluation/evaluation.json: leakage", message, lines)


def overlap(run: AuditedRun) -> Iterator[AuditFinding]:
    """Find evaluated frames that are the frames trained on, whatever the evaluation says about its split."""
    if run.cases is None or run.evaluation is None or run.evaluation.split is Split.TRAIN:
        return
    evaluated = _listing_sha256(run.cases["frame_id"].to_list())
    for name, split in run.record.data.splits.items():
        if name == _training_split(run) and split.frame_ids_sha256 == evaluated:
            message = f"the {split.frames:,} frames evaluated as {run.evaluation.split} are those trained on"
            lines = (f"SHA-256 of the frame ids of frames.csv = {evaluated} = data.splits.{name} of run.json",)
            yield AuditFinding("train-test-overlap", Severity.ERROR, "evaluation/frames.csv: frame_id", message, lines)


def _dice_by_kind(table: pl.DataFrame) -> dict[str, list[float]]:
    scored = table.filter(pl.col("dice").is_not_null())
    return {str(kind): rows["dice"].to_list() for (kind,), rows in scored.group_by("kind", maintain_order=True)}


def _training_split(run: AuditedRun) -> str:
    data = run.record.recipe.get("data")
    return str(data.get("train_split", "train")) if isinstance(data, dict) else "train"


def _listing_sha256(frame_ids: list[str]) -> str:
    return sha256("\n".join(sorted(set(frame_ids))).encode()).hexdigest()
