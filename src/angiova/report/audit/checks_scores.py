"""Scores and losses that cannot be, and a test set that was trained on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from angiova.data.records import Severity
from angiova.report.audit.claims import Evidence
from angiova.report.audit.finding import AuditFinding

# Metrics between 0 and 1 of which 1 is perfect; distances and errors have no upper end.
SHARES = re.compile(r"dice|f1|iou|jaccard|precision|recall|sensitivity|specificity|accuracy|nsd", re.IGNORECASE)
# Words by which a report says that its predictions are not a model's.
SIMULATED = re.compile(r"simulat|synthetic|dummy|mock|placeholder|demonstrat|模拟|示例|演示|虚拟", re.IGNORECASE)
ROUNDING = 5e-4


def perfect(evidence: Evidence) -> Iterator[AuditFinding]:
    """Find scores that are perfect or do not vary: they come from copied targets or from no model at all."""
    evaluation = evidence.claims.evaluation
    shares = {name: metric for name, metric in evaluation.metrics.items() if SHARES.search(name)}
    exact = {n: m for n, m in shares.items() if m.mean == 1.0}
    constant = {n: m for n, m in shares.items() if m.sd == 0.0 and (evaluation.test_samples or 2) > 1}
    said = evaluation.note if evaluation.note and SIMULATED.search(evaluation.note) else None
    if not (exact or constant or (said and shares)):
        return
    reasons = [
        *([f"perfect: {', '.join(exact)}"] if exact else []),
        *([f"standard deviation 0: {', '.join(constant)}"] if constant else []),
        *([f"the report's own note: {said}"] if said else []),
    ]
    lines = [f"{name}: {m.mean:g} ± {'?' if m.sd is None else f'{m.sd:g}'}" for name, m in shares.items()]
    count = "" if evaluation.test_samples is None else f" on {evaluation.test_samples:g} samples"
    yield AuditFinding(
        "scores-simulated",
        Severity.ERROR,
        evidence.where("evaluation.metrics"),
        f"these scores{count} are no measurement: {'; '.join(reasons)}",
        tuple(lines),
        "compute them again from the model's own masks; angiova keeps those beside every evaluation",
    )


def possible(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check ranges, and mean IoU against mean Dice.

    For one mask IoU = Dice / (2 - Dice). That is convex, so the mean IoU is at least the value at the mean Dice, and at
    most the mean Dice itself.
    """
    metrics = evidence.claims.evaluation.metrics
    for name, metric in metrics.items():
        if SHARES.search(name) and not 0 <= metric.mean <= 1:
            message = f"{name} of {metric.mean:g} lies outside 0 to 1"
            yield AuditFinding("score-range", Severity.ERROR, evidence.where(f"evaluation.metrics.{name}"), message)
    if "dice" not in metrics or "iou" not in metrics or not 0 <= metrics["dice"].mean <= 1:
        return
    dice, iou = metrics["dice"].mean, metrics["iou"].mean
    low = dice / (2 - dice)
    if not low - ROUNDING <= iou <= dice + ROUNDING:
        yield AuditFinding(
            "iou-dice",
            Severity.ERROR,
            evidence.where("evaluation.metrics.iou", "evaluation.metrics.dice"),
            f"a mean Dice of {dice:g} cannot go with a mean IoU of {iou:g}",
            (f"Dice / (2 - Dice) = {low:.4f} <= IoU <= Dice = {dice:.4f}",),
            "compute both from the same masks",
        )


def drops(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check the stated drop of each loss against its first and last value, within their rounding."""
    for name, loss in evidence.claims.losses.items():
        if loss.drop_percent is None or loss.first == 0:
            continue
        drop = 100 * (loss.first - loss.last) / loss.first
        # one unit of the second decimal, and what the fourth decimal of the losses can move
        rounding = 0.01 + 100 * 1e-4 / abs(loss.first)
        if abs(drop - loss.drop_percent) > rounding:
            yield AuditFinding(
                "loss-drop",
                Severity.ERROR,
                evidence.where(f"losses.{name}"),
                f"the loss {name} fell by {drop:.2f} %, not {loss.drop_percent:g} %",
                (f"({loss.first:g} - {loss.last:g}) / {loss.first:g} = {drop:.2f} %",),
            )


def overlap(evidence: Evidence) -> Iterator[AuditFinding]:
    """Find test patients or frames that were trained on."""
    evaluation = evidence.claims.evaluation
    shared = sorted(set(evaluation.train_ids) & set(evaluation.test_ids))
    if shared:
        yield AuditFinding(
            "train-test-overlap",
            Severity.ERROR,
            evidence.where("evaluation.test_ids", "evaluation.train_ids"),
            f"{len(shared)} of {len(set(evaluation.test_ids))} test ids were trained on",
            (", ".join(shared[:5]) + (" ..." if len(shared) > 5 else ""),),
            "evaluate on patients that were never trained on",
        )
