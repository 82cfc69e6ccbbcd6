"""Measuring what `angiova track` wrote of the runs of a data set, against that data set's labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from angiova.data.cine_runs import CineRun, runs_of_dataset
from angiova.data.manifest import Manifest
from angiova.data.records import Split
from angiova.data.rle import BoolMask, decode
from angiova.data.tracked import TrackedObject, read_masks
from angiova.errors import ConfigError, DataError
from angiova.evaluation.motion import motions_of
from angiova.evaluation.tracked_runs import (
    MeasuredRun,
    measure_tracked,
    phrase_of,
    rows_of,
    summarise_tracked,
    truth_of,
)
from angiova.export.tracked import MASKS_NAME
from angiova.files import write_json
from angiova.inference.track_record import finished

FORMAT: Final = "angiova-track-evaluation/1"
RESULT_NAME: Final = "evaluation.json"


def evaluate_tracked(folder: Path, dataset: Path, *, split: str, out: Path | None = None) -> dict[str, Any]:
    """Measure the tracked runs of a split, by run and patient, and write `evaluation.json`.

    Args:
        folder: what `angiova track` wrote.
        dataset: the data set that was tracked.
        split: the part to measure; runs that belong to it in part are not in it.
        out: folder to write; default: `folder`.

    Returns:
        What was written.

    Raises:
        ConfigError: there is no such split.
        DataError: no run of the split is there, or one was tracked from other files.
    """
    if split not in list(Split):
        raise ConfigError(f"no split {split!r}", where="--split", remedy=f"one of: {', '.join(Split)}")
    manifest = Manifest(dataset)
    runs = [run for run in runs_of_dataset(manifest) if {r.split for r in run.records} == {Split(split)}]
    tracked = [run for run in runs if (folder / run.name).exists()]
    if not tracked:
        remedy = "track that data set into this folder first, or choose another --split"
        raise DataError(f"no tracked run of split {split!r} of {dataset}", where=folder, remedy=remedy)
    by_prompt: dict[str, list[MeasuredRun]] = defaultdict(list)
    for run in tracked:
        for prompt, measured in _measured(folder / run.name, run, manifest):
            by_prompt[prompt].append(measured)
    result = {
        "format": FORMAT,
        "dataset": {"folder": str(dataset), "manifest_sha256": manifest.sha256()},
        "split": split,
        "not_tracked": [run.name for run in runs if run not in tracked],
        "results": {prompt: summarise_tracked(found) for prompt, found in by_prompt.items()},
        "runs": {prompt: {each.run: each.as_json() for each in found} for prompt, found in by_prompt.items()},
    }
    write_json((out or folder) / RESULT_NAME, result)
    return result


def table_of(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that sum up a result, a row a prompt."""
    numbers = [str(len(result["runs"][prompt])) for prompt in result["results"]]
    yield "means over patients with 95 % intervals"
    yield from rows_of(result["results"], {"runs": numbers})
    if result["not_tracked"]:
        yield f"not tracked, and in no mean: {', '.join(result['not_tracked'])}"


def _measured(folder: Path, run: CineRun, manifest: Manifest) -> Iterator[tuple[str, MeasuredRun]]:
    """Yield each prompt of a run with its measures, where what it asks for is labelled."""
    record = finished(folder)
    assert record is not None
    if record["source"]["sha256"] != run.sha256():
        raise DataError("was tracked from other files", where=folder, remedy="track the data set again")
    prompts, frames = read_masks(folder / MASKS_NAME)
    motions = list(motions_of(map(manifest.read_image, run.records)))
    key_frames = record["key_frames"]["frames"]
    for number, prompt in enumerate(prompts):
        truth = truth_of(run.records, phrase_of(prompt))
        if truth:
            masks = [_mask(objects[number]) for objects in frames]
            yield prompt, measure_tracked(run.name, run.records, masks, motions, truth, key_frames)


def _mask(tracked: TrackedObject) -> BoolMask:
    return decode(tracked.mask)
