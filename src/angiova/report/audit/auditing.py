"""`angiova audit`: read whatever states something about a run, compute it again, list what contradicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from angiova.errors import DataError
from angiova.report.audit import (
    checks_counts,
    checks_parameters,
    checks_run,
    checks_scores,
    checks_sources,
    checks_time,
)
from angiova.report.audit.claims import Claims, Evidence, Reading, combine, parse_claims
from angiova.report.audit.finding import Audit, AuditFinding, by_gravity, check_name
from angiova.report.audit.read_config import claims_of_config, claims_of_deepspeed, is_deepspeed
from angiova.report.audit.read_files import WEIGHT_SUFFIXES, claims_of_files
from angiova.report.audit.read_log import claims_of_log, is_training_log
from angiova.report.audit.reading import list_files, read_yaml
from angiova.run_record import RUN_NAME

Check = Callable[[Evidence], Iterator[AuditFinding]]

CHECKS: Final[tuple[Check, ...]] = (
    checks_scores.perfect,
    checks_scores.possible,
    checks_scores.overlap,
    checks_parameters.total,
    checks_parameters.trainable_share,
    checks_parameters.trainable,
    checks_parameters.checkpoint_bytes,
    checks_parameters.memory,
    checks_time.timestamps,
    checks_time.units,
    checks_time.pace,
    checks_counts.iterations,
    checks_counts.effective_batch,
    checks_counts.samples,
    checks_scores.drops,
    checks_sources.disagreements,
)
_YAML: Final = frozenset({".yaml", ".yml"})
_LOGS: Final = frozenset({".log", ".txt"})


def audit(path: Path) -> Audit:
    """Audit a run folder of ours, a folder of somebody else's run, or a single file of one.

    Raises:
        DataError: nothing there states anything about a run, or a file is damaged.
    """
    if (path / RUN_NAME).exists():
        return checks_run.audit_run(path)
    if not path.exists():
        raise DataError("no such file or folder", where=path, remedy="name a run folder, a log or a YAML of figures")
    readings, logs = _read(path)
    if not any(reading.claims.model_dump(exclude_defaults=True) for reading in readings):
        raise DataError(
            "nothing here states anything about a run",
            where=path,
            remedy="give a run folder, training logs, or figures as YAML: docs/how-to/audit-a-run.md",
        )
    evidence = combine(readings)
    findings = [finding for check in CHECKS for finding in check(evidence)]
    findings += [finding for log in logs for finding in checks_sources.log_holes(log)]
    sources = tuple(reading.source for reading in readings)
    return Audit(str(path), sources, tuple(map(check_name, CHECKS)), by_gravity(findings))


def _read(path: Path) -> tuple[list[Reading], list[Path]]:
    """Return what each file states, a report's figures before logs, configurations and files; and the logs."""
    files = [path] if path.is_file() else list_files(path)
    name = {p: p.name if path.is_file() else p.relative_to(path).as_posix() for p in files}
    figures = {p: read_yaml(p) for p in files if p.suffix in _YAML}
    claimed = [Reading(name[p], parse_claims(v, where=p)) for p, v in figures.items() if p == path or _is_figures(v)]
    logs = [p for p in files if p.suffix in _LOGS and is_training_log(p)]
    readings = [*claimed, *(Reading(name[log], claims_of_log(log)) for log in logs)]
    readings += [Reading(name[p], claims_of_config(p)) for p in files if p.suffix == ".py"]
    readings += [Reading(name[p], claims_of_deepspeed(p)) for p in files if p.suffix == ".json" and is_deepspeed(p)]
    if path.is_dir() and any(p.suffix in WEIGHT_SUFFIXES for p in files):
        readings.append(Reading("files", claims_of_files(path)))
    return readings, logs


def _is_figures(values: object) -> bool:
    """Whether a YAML file among others holds figures; a run's folder may hold YAML of other programs."""
    return isinstance(values, Mapping) and not Claims.model_fields.keys().isdisjoint(values)
