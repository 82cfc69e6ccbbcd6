"""Evaluating a checkpoint: real inference on every labelled frame of a split, then numbers from the predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from angiova.data.manifest import Manifest
from angiova.data.records import FrameRecord, Prediction, Split
from angiova.data.training_frames import describe_frames
from angiova.errors import ConfigError, DataError, ModelError
from angiova.evaluation.evaluate import evaluate
from angiova.evaluation.leakage import describe, find_leakage
from angiova.evaluation.result import Evaluation, LeakageFacts
from angiova.evaluation.store import write_evaluation
from angiova.inference.answers import Answerer
from angiova.inference.predictor import load
from angiova.run_record import EVALUATION_DIR, RUN_NAME, read_run, run_of, write_run
from angiova.shipped import resolved
from angiova.training_history import history_of


def evaluate_model(
    model: Path,
    dataset: Path,
    *,
    split: str,
    out: Path | None = None,
    device: str | None = None,
    batch: int = 4,
    allow_leakage: bool = False,
    base: Path | None = None,
) -> Evaluation:
    """Predict every labelled target of a split, measure, and write the result.

    A baseline is asked for its one phrase alone; the evaluation says which targets were left out.

    Args:
        model: run or checkpoint folder.
        dataset: data set folder.
        split: part to evaluate on.
        out: folder to write; default: RUN/evaluation when `model` is a run.
        device: where to run; default: the best there is.
        batch: frames predicted together.
        allow_leakage: measure frames that the model was trained on too; the result holds an error finding.
        base: where the base of an adapter lies now; default: where it lay in training.

    Raises:
        ConfigError: an option cannot be used.
        DataError: the split has no labelled frame, or shares something with what the model was trained on.
    """
    if split not in list(Split):
        raise ConfigError(f"no split {split!r}", where="--split", remedy=f"one of: {', '.join(Split)}")
    if not resolved(model).exists():
        raise ModelError("no such model", where=model, remedy="give a run or checkpoint folder")
    is_run = (model / RUN_NAME).exists()
    if out is None and not is_run:
        raise ConfigError("a checkpoint has no run folder to write to", where="--out", remedy="say where, with --out")
    folder = out if out is not None else model / EVALUATION_DIR
    manifest, predictor = Manifest(dataset), load(model, device, base=base)
    records = [r for r in (record.only(predictor.phrases) for record in manifest.records(Split(split))) if r.targets]
    if not records:
        what = "" if predictor.phrases is None else f" with {' or '.join(predictor.phrases)}"
        raise DataError(
            f"no labelled frame{what} in split {split!r}", where=dataset, remedy="run `angiova split` first"
        )
    leakage = check_leakage(model, manifest, Split(split), records, allowed=allow_leakage)
    predictor.keep_probabilities = True
    predictions = list(_with_progress(predictor, manifest, records, batch))
    evaluation = evaluate(manifest, Split(split), predictions, predictor.phrases, leakage)
    write_evaluation(folder, manifest, evaluation, predictions)
    if is_run and out is None:
        record = read_run(model)
        record.evaluations = [EVALUATION_DIR]
        write_run(model, record)
    return evaluation


def check_leakage(
    model: Path, manifest: Manifest, split: Split, records: list[FrameRecord], *, allowed: bool
) -> LeakageFacts | None:
    """Return what the records share with the training frames; None where these are not known.

    Raises:
        DataError: they share something, and that is not allowed.
    """
    leakage = _leakage(model, manifest, split, records)
    if leakage is not None and not leakage.is_clean and not allowed:
        remedy = "evaluate on other patients, or add --allow-leakage, which every report then says in red"
        raise DataError(describe(leakage), where=manifest.folder, remedy=remedy)
    return leakage


def _leakage(model: Path, manifest: Manifest, split: Split, records: list[FrameRecord]) -> LeakageFacts | None:
    """Return what the records share with the training frames; None where these are not known.

    The train split of the very data set trained on is left out: it is asked for by name, and a finding says what it is.
    """
    run = run_of(model)
    if run is not None and split is Split.TRAIN and read_run(run).data.manifest_sha256 == manifest.sha256():
        return None
    trained = history_of(model)
    return None if trained is None else find_leakage(trained, describe_frames(manifest, records))


def _with_progress(
    predictor: Answerer, manifest: Manifest, records: list[FrameRecord], batch: int
) -> Iterator[Prediction]:
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TextColumn("frames, left"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=len(records))

        yield from predictor.predict(manifest, _counted(records, lambda: bar.advance(task)), batch)


def _counted(records: Iterable[FrameRecord], advance: Callable[[], None]) -> Iterator[FrameRecord]:
    for record in records:
        yield record
        advance()
