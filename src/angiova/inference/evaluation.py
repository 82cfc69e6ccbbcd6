"""Evaluating a checkpoint: real inference on every labelled frame of a split, then numbers from the predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord, Prediction, Split
from angiova.errors import ConfigError, DataError, ModelError
from angiova.evaluation.evaluate import evaluate
from angiova.evaluation.result import Evaluation
from angiova.evaluation.store import write_evaluation
from angiova.inference.predictor import Predictor, load
from angiova.run_record import EVALUATION_DIR, RUN_NAME, read_run, write_run


def evaluate_model(
    model: Path,
    dataset: Path,
    *,
    split: str,
    out: Path | None = None,
    device: str | None = None,
    batch: int = 4,
    base: Path | None = None,
) -> Evaluation:
    """Predict every labelled target of a split, measure, and write the result.

    Args:
        model: run or checkpoint folder.
        dataset: data set folder.
        split: part to evaluate on.
        out: folder to write; default: RUN/evaluation when `model` is a run.
        device: where to run; default: the best there is.
        batch: frames predicted together.
        base: where the base of an adapter lies now; default: where it lay in training.

    Raises:
        ConfigError: an option cannot be used.
        DataError: the split has no labelled frame.
    """
    if split not in list(Split):
        raise ConfigError(f"no split {split!r}", where="--split", remedy=f"one of: {', '.join(Split)}")
    if not model.exists():
        raise ModelError("no such model", where=model, remedy="give a run or checkpoint folder")
    is_run = (model / RUN_NAME).exists()
    if out is None and not is_run:
        raise ConfigError("a checkpoint has no run folder to write to", where="--out", remedy="say where, with --out")
    folder = out if out is not None else model / EVALUATION_DIR
    manifest = Manifest(dataset)
    records = [record for record in manifest.records(Split(split)) if record.targets]
    if not records:
        raise DataError(f"no labelled frame in split {split!r}", where=dataset, remedy="run `angiova split` first")
    predictions = list(_with_progress(load(model, device, base=base), manifest, records, batch))
    evaluation = evaluate(manifest, Split(split), predictions)
    write_evaluation(folder, manifest, evaluation, predictions)
    if is_run and out is None:
        record = read_run(model)
        record.evaluations = [EVALUATION_DIR]
        write_run(model, record)
    return evaluation


def _with_progress(
    predictor: Predictor, manifest: Manifest, records: list[FrameRecord], batch: int
) -> Iterator[Prediction]:
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TextColumn("frames, left"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=len(records))

        yield from predictor.predict(manifest, _counted(records, lambda: bar.advance(task)), batch)


def _counted(records: Iterable[FrameRecord], advance: Callable[[], None]) -> Iterator[FrameRecord]:
    for record in records:
        yield record
        advance()
