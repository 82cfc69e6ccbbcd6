"""A run folder of ours as the audit reads it: run.json, every logged line, the scored cases, the checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from angiova.errors import DataError
from angiova.evaluation.result import Evaluation
from angiova.report.facts import Line, read_facts
from angiova.run_record import EVALUATION_DIR, METRICS_NAME, RunRecord


@dataclass(frozen=True, slots=True)
class AuditedRun:
    """A run folder.

    Attributes:
        folder: where it lies.
        record: run.json.
        training: the lines of metrics.jsonl logged in training.
        evaluation: evaluation.json, where there is one.
        cases: frames.csv, where there is one.
        missing: files that the record names and the folder lacks.
    """

    folder: Path
    record: RunRecord
    training: list[Line]
    evaluation: Evaluation | None
    cases: pl.DataFrame | None
    missing: list[str]

    @property
    def resumed(self) -> bool:
        """Whether the run was interrupted and taken up again."""
        return bool(self.record.interruptions) or any(m.startswith("resumed ") for m in self.record.messages)

    @property
    def steps_by_recipe(self) -> bool:
        """Whether steps are those of the recipe's batches; a baseline without losses has a trainer of its own."""
        model = self.record.recipe.get("model")
        return bool(self.record.losses) or not (isinstance(model, dict) and model.get("baseline"))

    @property
    def samples_per_step(self) -> int:
        """Samples of one optimizer step, over all devices."""
        return self.setting("batch", "micro") * self.setting("batch", "accumulation") * self.num_devices

    @property
    def num_devices(self) -> int:
        """Devices that trained."""
        return int(self.record.machine.get("num_devices") or 1)

    @property
    def clock_s(self) -> float | None:
        """Seconds from start to end; None while the run is not finished.

        Raises:
            DataError: one of them is no date.
        """
        if self.record.finished is None:
            return None
        return (self._date("finished") - self._date("started")).total_seconds()

    def setting(self, section: str, name: str) -> int:
        """Return a whole number of the recipe.

        Raises:
            DataError: the recipe in run.json does not have it.
        """
        values = self.record.recipe.get(section)
        value = values.get(name) if isinstance(values, dict) else None
        if not isinstance(value, int):
            raise DataError(
                f"field recipe.{section}.{name} is no whole number",
                where=self.folder / "run.json",
                remedy="restore run.json; a run of ours always has it",
            )
        return value

    def _date(self, field: str) -> datetime:
        text = str(getattr(self.record, field))
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise DataError(f"field {field}: {text!r} is no date", where=self.folder / "run.json") from None


def read_audited_run(folder: Path) -> AuditedRun:
    """Read a run folder.

    Raises:
        DataError: run.json is missing, or a file that is there is damaged.
    """
    facts = read_facts(folder)
    run = AuditedRun(folder, facts.record, facts.training, facts.evaluation, facts.frames, facts.missing)
    unneeded = (f"{EVALUATION_DIR}/comparisons", *(() if run.steps_by_recipe else (METRICS_NAME,)))
    return replace(run, missing=[name for name in facts.missing if not name.startswith(unneeded)])
