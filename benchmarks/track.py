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
from angiova.evaluation.tracked_runs import measure_tracked, rows_of, summarise_tracked, truth_of
from angiova.files import write_json
from angiova.inference.opacification import choose_opacified
from angiova.inference.opacification import measure_run as measure_opacification
from angiova.inference.predictor import PRESENCE_THRESHOLD, choose_device
from angiova.model.modeling import Sa2VAModel
from angiova.model.opening import checkpoint_folder, open_model
from angiova.model.processing import Sa2VAProcessor, standardise
from angiova.model.tracking import RunFrame, TrackOrder, track
from angiova.training.record import peak_device_bytes, peak_rss_bytes

TRUTH = "truth"


@dataclass(frozen=True)
class Run:
    """One run of the data set: its records in the order of time, and which frames the language model sees."""

    records: list[FrameRecord]
    key_frames: list[int]


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
    together = zip(runs, motions, masks, strict=True)
    return summarise_tracked(
        [
            measure_tracked(
                run.records[0].run, run.records, of_run, moved, truth_of(run.records, phrase), run.key_frames
            )
            for run, moved, of_run in together
        ]
    )


def rows(results: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the table in Markdown, with speed and memory at the end."""
    found = results.values()
    speeds = [f"{f['frames_per_second']:.2f}" if "frames_per_second" in f else "-" for f in found]
    peaks = [f"{f['peak_bytes'] / 1e9:.2f}" if "peak_bytes" in f else "-" for f in found]
    return rows_of(results, {"frames/s": speeds, "peak GB": peaks})


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
    truth = [{i: rle.decode(m) for i, m in truth_of(run.records, options.phrase).items()} for run in runs]
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
