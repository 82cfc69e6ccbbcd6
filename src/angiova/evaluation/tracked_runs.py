"""Tracked runs beside their truth: frames, steadiness, presence, onset and drift, by run and by patient.

One object is measured at a time. A frame without the object in truth and answer has no Dice; a run that a figure does
not exist for is counted, and in no mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from angiova.data import rle
from angiova.data.prompts import QUESTIONS
from angiova.data.records import FrameRecord
from angiova.data.rle import BoolMask, Rle
from angiova.evaluation.motion import Motion
from angiova.evaluation.presence import Edge, EdgeError
from angiova.evaluation.runs import RunValue, summarise_runs
from angiova.evaluation.scores import score_masks
from angiova.evaluation.statistics import Observation, summarise
from angiova.evaluation.temporal import RunMeasures, measure_run

FRAME_METRICS: Final = ("dice", "cldice", "nsd")
RUN_METRICS: Final = ("presence_f1", "consistency", "flicker", "area_flicker", "drift", "consistency_drift")
EDGE_METRICS: Final = ("onset_error_abs", "offset_error_abs")


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One object in one run.

    Attributes:
        run: the run.
        patient: its patient, where known.
        over_time: its measures over time.
        scores: for each frame metric the values of the labelled frames that have one.
    """

    run: str
    patient: str | None
    over_time: RunMeasures
    scores: Mapping[str, list[Observation]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return every figure as JSON; means over frames of what is measured frame by frame."""
        means = {name: sum(o.value for o in found) / len(found) for name, found in self.scores.items() if found}
        frames = {str(frame): value for frame, value in self.over_time.dice_of_frame.items()}
        return means | asdict(self.over_time) | {"dice_of_frame": frames}


def phrase_of(prompt: str) -> str:
    """Return the phrase that a prompt asks for in any of the usual words, or the prompt itself."""
    ends = [question.split("{}") for question in QUESTIONS]
    fitting = [
        prompt[len(before) : len(prompt) - len(after)]
        for before, after in ends
        if prompt.startswith(before) and prompt.endswith(after)
    ]
    return min(fitting, key=len)


def truth_of(records: Sequence[FrameRecord], phrase: str) -> dict[int, Rle]:
    """Return the true masks of a phrase by index of the frame, where it is labelled; of several observers the union."""
    found = {i: [t.mask for t in record.targets if t.phrase == phrase] for i, record in enumerate(records)}
    return {index: rle.union(masks) for index, masks in found.items() if masks}


def measure_tracked(
    name: str,
    records: Sequence[FrameRecord],
    masks: Sequence[BoolMask],
    motions: Sequence[Motion],
    truth: Mapping[int, Rle],
    key_frames: Sequence[int],
) -> MeasuredRun:
    """Measure one object in one run.

    Args:
        name: the run.
        records: its frames in the order of time; none where nothing is labelled.
        masks: masks (H, W) of all of them.
        motions: motions between neighbouring frames, see `angiova.evaluation.motion`.
        truth: true masks by index of the frame; none where nothing is labelled.
        key_frames: frames that the model was prompted in.
    """
    true_masks = {index: rle.decode(mask) for index, mask in truth.items()}
    scores: dict[str, list[Observation]] = {metric: [] for metric in FRAME_METRICS}
    for index, target_HW in true_masks.items():
        record = records[index]
        values = score_masks(target_HW, masks[index], spacing_mm=record.spacing_mm).values
        if values is None:  # absent from both
            continue
        for metric in FRAME_METRICS:
            scores[metric].append(Observation(record.frame_id, record.run, record.patient, values[metric]))
    over_time = measure_run(masks, motions, true_masks, key_frames)
    return MeasuredRun(name, records[0].patient if records else None, over_time, scores)


def summarise_tracked(runs: Sequence[MeasuredRun]) -> dict[str, Any]:
    """Return every figure over runs and patients, as JSON."""
    frames = {metric: [o for run in runs for o in run.scores.get(metric, [])] for metric in FRAME_METRICS}
    figures: dict[str, Any] = {metric: summarise(found).model_dump() for metric, found in frames.items() if found}
    for metric in RUN_METRICS:
        figures[metric] = _summary(runs, [getattr(run.over_time, metric) for run in runs])
    return figures | _edges(runs)


def rows_of(results: Mapping[str, Mapping[str, Any]], also: Mapping[str, Sequence[str]] | None = None) -> Iterator[str]:
    """Yield a table in Markdown, a row a result: means over patients with their 95 % intervals.

    Args:
        results: what `summarise_tracked` returned, by name.
        also: further columns, one cell a result.
    """
    more = dict(also or {})
    shown = (*FRAME_METRICS, *RUN_METRICS, *EDGE_METRICS)
    yield "| | " + " | ".join((*shown, *more)) + " |"
    yield "| --- " * (len(shown) + len(more) + 1) + "|"
    for place, (name, figures) in enumerate(results.items()):
        cells = [_cell(figures.get(metric)) for metric in shown] + [column[place] for column in more.values()]
        yield f"| {name} | {' | '.join(cells)} |"


def _edges(runs: Sequence[MeasuredRun]) -> dict[str, Any]:
    """Return errors of onset and offset, signed and absolute, and how often there is none and why."""
    figures: dict[str, Any] = {}
    for edge in ("onset", "offset"):
        found: list[EdgeError | None] = [getattr(run.over_time, edge) for run in runs]
        errors = [None if error is None else error.error_frames for error in found]
        figures[f"{edge}_error"] = _summary(runs, errors)
        figures[f"{edge}_error_abs"] = _summary(runs, [None if error is None else abs(error) for error in errors])
        kinds = [error.edge for error in found if error is not None]
        figures[f"{edge}_outcomes"] = {str(kind): kinds.count(kind) for kind in Edge if kind in kinds}
    return figures


def _summary(runs: Sequence[MeasuredRun], values: Sequence[float | None]) -> dict[str, Any]:
    found = summarise_runs([RunValue(run.run, run.patient, value) for run, value in zip(runs, values, strict=True)])
    return {
        "run": None if found.run is None else found.run.model_dump(),
        "patient": None if found.patient is None else found.patient.model_dump(),
        "num_without": found.num_without,
    }


def _cell(figure: Mapping[str, Any] | None) -> str:
    patient = None if figure is None else figure["patient"]
    if patient is None:
        return "-"
    interval = "" if patient["low"] is None else f" ({patient['low']:.3f} to {patient['high']:.3f})"
    without = f", {figure['num_without']} without" if figure and figure.get("num_without") else ""
    return f"{patient['mean']:.4f}{interval}{without}"
