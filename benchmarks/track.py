"""The orders of tracking side by side on the labelled runs of a data set: masks, times, steadiness, speed, memory.

    python benchmarks/track.py MODEL DATA OUT.json [--split test] [--runs 10] [--phrase "coronary artery tree"]
        [--orders independent reference key_frames] [--key-frames 5] [--device cpu]

Every order gets the same key frames (spread over the opacified part) and the same prompt: the states of the training
answer's [SEG] after those frames. Each order runs in a process of its own, so that its peak of memory is its own. The
last row is the truth measured as an answer: true masks are not perfectly steady along estimated motion either.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage
from angiova.data.prompts import NAMED_ANSWER, Turn, question_for
from angiova.data.records import FrameRecord, Split
from angiova.data.rle import BoolMask, Rle
from angiova.data.syntax import TREE_PHRASE
from angiova.evaluation.motion import Motion, motions_of
from angiova.evaluation.presence import Edge
from angiova.evaluation.runs import RunValue, summarise_runs
from angiova.evaluation.scores import score_masks
from angiova.evaluation.statistics import Observation, summarise
from angiova.evaluation.temporal import RunMeasures, measure_run
from angiova.files import write_json
from angiova.inference.opacification import choose_opacified
from angiova.inference.opacification import measure_run as measure_opacification
from angiova.inference.predictor import PRESENCE_THRESHOLD, choose_device
from angiova.model.modeling import Sa2VAModel
from angiova.model.opening import checkpoint_folder, open_model
from angiova.model.processing import Sa2VAProcessor, standardise
from angiova.model.tracking import RunFrame, TrackOrder, track
from angiova.training.record import peak_device_bytes, peak_rss_bytes

FRAME_METRICS = ("dice", "cldice", "nsd")
RUN_METRICS = ("presence_f1", "consistency", "flicker", "area_flicker", "drift", "consistency_drift")
TRUTH = "truth"


@dataclass(frozen=True)
class Run:
    """One run of the data set: its records in the order of time, and which frames the language model sees."""

    records: list[FrameRecord]
    key_frames: list[int]

    def truth(self, phrase: str) -> dict[int, BoolMask]:
        """Return the masks of the phrase by index, where it is labelled."""
        masks = {i: [t.mask for t in record.targets if t.phrase == phrase] for i, record in enumerate(self.records)}
        return {index: rle.decode(rle.union(found)) for index, found in masks.items() if found}


@dataclass
class Tracked:
    """What one order answered and cost: masks of each run, seconds without reading files, peak bytes."""

    masks: list[list[Rle]] = field(default_factory=list)
    seconds: float = 0.0
    peak_bytes: int = 0


def runs_of(manifest: Manifest, split: Split, most: int, wanted: int) -> list[Run]:
    """Return the first runs of a split with their key frames."""
    records = sorted(manifest.records(split), key=lambda r: (r.patient or "", r.run, r.frame))
    groups = [list(run) for _, run in groupby(records, key=lambda r: (r.patient, r.run))][:most]
    return [Run(run, choose_opacified(measure_opacification(map(manifest.read_image, run)), wanted)) for run in groups]


def track_all(options: argparse.Namespace, order: TrackOrder, runs: Sequence[Run]) -> Tracked:
    """Track every run in one order; called in a process of its own."""
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    model, processor = open_model(checkpoint_folder(options.model))
    model = model.to(device).eval()
    manifest, found = Manifest(options.data), Tracked()
    for run in runs:
        images = [manifest.read_image(record) for record in run.records]
        started = time.perf_counter()
        masks = list(masks_of(model, processor, images, run.key_frames, order, options.phrase))
        found.seconds += time.perf_counter() - started
        found.masks.append([rle.encode(mask_HW) for mask_HW in masks])
    on_device = peak_device_bytes(device)
    found.peak_bytes = max(on_device) if on_device else peak_rss_bytes()
    return found


@torch.inference_mode()
def masks_of(
    model: Sa2VAModel,
    processor: Sa2VAProcessor,
    images: Sequence[GreyImage],
    key_frames: Sequence[int],
    order: TrackOrder,
    phrase: str,
) -> Iterator[BoolMask]:
    """Yield the mask of each frame, empty where the object is judged absent."""
    device = next(model.parameters()).device
    prompts = model.bridge(states_of(model, processor, [images[key] for key in key_frames], phrase, device))
    frames = [RunFrame(processor.segmenter_pixels(image).to(device), standardise(image).to(device)) for image in images]
    for found in track(model, frames, prompts, order, key_frames):
        is_there = bool(found.decoded.presence_N[0].sigmoid() >= PRESENCE_THRESHOLD) or not model.config.presence_gate
        mask_HW = (found.logits_NHW[0] > 0).cpu().numpy()
        yield mask_HW if is_there else np.zeros_like(mask_HW)


def states_of(
    model: Sa2VAModel, processor: Sa2VAProcessor, key_images: Sequence[GreyImage], phrase: str, device: torch.device
) -> torch.Tensor:
    """Return the [SEG] state (1, H) of the training answer about a run's key frames."""
    turn = Turn(question_for(phrase), NAMED_ANSWER.format(phrase) + ".", ())
    batch = processor.dialogues([[turn]], [processor.image_block(1) * len(key_images)])
    tiles = torch.cat([processor.tiles(image, max_tiles=1) for image in key_images])
    return model.seg_states(
        batch["input_ids"].to(device),
        batch["attention_mask"].to(device),
        tiles.to(device),
        [len(key_images)],
        torch.tensor([0], device=device),
    )


def measured(
    runs: Sequence[Run], motions: Sequence[Sequence[Motion]], masks: Sequence[Sequence[BoolMask]], phrase: str
) -> dict[str, Any]:
    """Return every figure of one order, as JSON."""
    over_time, observations = [], []
    for run, moved, of_run in zip(runs, motions, masks, strict=True):
        truth = run.truth(phrase)
        over_time.append(measure_run(of_run, moved, truth, run.key_frames))
        observations += list(observed(run, truth, of_run))
    figures: dict[str, Any] = {
        metric: summarise([o for name, o in observations if name == metric]).model_dump()
        for metric in FRAME_METRICS
        if any(name == metric for name, _ in observations)
    }
    for metric in RUN_METRICS:
        figures[metric] = summary(runs, [getattr(measures, metric) for measures in over_time])
    return figures | edges(runs, over_time)


def observed(run: Run, truth: Mapping[int, BoolMask], masks: Sequence[BoolMask]) -> Iterator[tuple[str, Observation]]:
    """Yield the scores of each labelled frame; a frame without the object in truth and answer has none."""
    for index, target_HW in truth.items():
        record = run.records[index]
        values = score_masks(target_HW, masks[index], spacing_mm=record.spacing_mm).values
        for metric in FRAME_METRICS if values is not None else ():
            yield metric, Observation(record.frame_id, record.run, record.patient, values[metric])


def edges(runs: Sequence[Run], over_time: Sequence[RunMeasures]) -> dict[str, Any]:
    """Return errors of onset and offset, signed and absolute, and how often there is none and why."""
    figures: dict[str, Any] = {}
    for edge in ("onset", "offset"):
        found = [getattr(measures, edge) for measures in over_time]
        errors = [None if error is None else error.error_frames for error in found]
        figures[f"{edge}_error"] = summary(runs, errors)
        figures[f"{edge}_error_abs"] = summary(runs, [None if error is None else abs(error) for error in errors])
        kinds = [error.edge for error in found if error is not None]
        figures[f"{edge}_outcomes"] = {str(kind): kinds.count(kind) for kind in Edge if kind in kinds}
    return figures


def summary(runs: Sequence[Run], values: Sequence[float | None]) -> dict[str, Any]:
    """Return a figure over runs and patients, as JSON."""
    first = [run.records[0] for run in runs]
    found = summarise_runs([RunValue(r.run, r.patient, value) for r, value in zip(first, values, strict=True)])
    return {
        name: part if part is None or name == "num_without" else part.model_dump()
        for name, part in (("run", found.run), ("patient", found.patient), ("num_without", found.num_without))
    }


def rows(results: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the table in Markdown: means over patients with their 95 % intervals; speed and memory at the end."""
    shown = (*FRAME_METRICS, *RUN_METRICS, "onset_error_abs", "offset_error_abs")
    yield "| | " + " | ".join((*shown, "frames/s", "peak GB")) + " |"
    yield "| --- " * (len(shown) + 3) + "|"
    for name, figures in results.items():
        cells = [_cell(figures.get(metric)) for metric in shown]
        speed = f"{figures['frames_per_second']:.2f}" if "frames_per_second" in figures else "-"
        peak = f"{figures['peak_bytes'] / 1e9:.2f}" if "peak_bytes" in figures else "-"
        yield f"| {name} | {' | '.join(cells)} | {speed} | {peak} |"


def _cell(figure: Mapping[str, Any] | None) -> str:
    patient = None if figure is None else figure["patient"]
    if patient is None:
        return "-"
    interval = "" if patient["low"] is None else f" ({patient['low']:.3f} to {patient['high']:.3f})"
    without = f", {figure['num_without']} without" if figure and figure.get("num_without") else ""
    return f"{patient['mean']:.4f}{interval}{without}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", type=Split, choices=list(Split), default=Split.TEST)
    parser.add_argument("--runs", type=int, default=1000, help="at most")
    parser.add_argument("--phrase", default=TREE_PHRASE)
    parser.add_argument("--orders", nargs="+", type=TrackOrder, choices=list(TrackOrder), default=list(TrackOrder))
    parser.add_argument("--key-frames", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    manifest = Manifest(options.data)
    runs = runs_of(manifest, options.split, options.runs, options.key_frames)
    motions = [list(motions_of(map(manifest.read_image, run.records))) for run in runs]
    num_frames, results = sum(len(run.records) for run in runs), {}
    for order in options.orders:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            found = process.submit(track_all, options, order, runs).result()
        masks = [[rle.decode(mask) for mask in of_run] for of_run in found.masks]
        cost = {"frames_per_second": num_frames / found.seconds, "peak_bytes": found.peak_bytes}
        results[str(order)] = measured(runs, motions, masks, options.phrase) | cost
    truth = [run.truth(options.phrase) for run in runs]
    if all(len(known) == len(run.records) for known, run in zip(truth, runs, strict=True)):
        results[TRUTH] = measured(runs, motions, [list(known.values()) for known in truth], options.phrase)
    write_json(
        options.out,
        {
            "options": {k: str(v) for k, v in vars(options).items()},
            "runs": [run.records[0].run for run in runs],
            "results": results,
        },
    )
    print(f"{len(runs)} runs, {num_frames} frames, {options.phrase!r}, means over patients with 95 % intervals")
    print("\n".join(rows(results)))


if __name__ == "__main__":
    main()
