"""How fast a model of real size tracks, in each order: frames a second after the prompt, first mask, peak memory.

    python benchmarks/track_speed.py OUT.json                    # internvl3-8b: InternVL3-8B and SAM2 hiera-large
    python benchmarks/track_speed.py OUT.json --small --frames 12  # nano, to see that it works on a CPU

Weights are random, made on the device in bfloat16: times and memory are the real ones, masks mean nothing. Frames are
noise and lie in memory as 8-bit grey: preparing them, and the masks' way back to the host, are in the time; reading
files and writing outputs are not. *First mask* is from key frames and question to the first masks on the host, the pass
for the `[SEG]` state included; random weights talk for --answer-tokens words at most. Each way is run once to warm up.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from angiova.data.pixels import GreyImage
from angiova.data.prompts import tokenizer_corpus
from angiova.files import write_json
from angiova.inference.cine import Spoken, follow
from angiova.inference.predictor import Predictor
from angiova.model import tracking
from angiova.model.modeling import Sa2VAModel
from angiova.model.presets import build_nano, preset_config
from angiova.model.processing import Sa2VAProcessor
from angiova.model.tokenizer import build_nano_tokenizer
from angiova.model.tracking import TrackOrder
from angiova.training.record import peak_device_bytes

SIDE_PX = 512
WARM_UP = 10


@dataclass(frozen=True)
class Way:
    """One way of tracking: an order, how many frames are encoded together, and how many objects are followed."""

    name: str
    order: TrackOrder
    together: int
    objects: int = 1
    compiled: bool = False


WAYS = (
    Way("the reference's order, a frame at a time", TrackOrder.REFERENCE, 1),
    Way("key frames as masks, a frame at a time", TrackOrder.KEY_FRAMES, 1),
    Way("track, a frame at a time", TrackOrder.PROMPTED, 1),
    Way("track, 8 frames encoded together", TrackOrder.PROMPTED, 8),
    Way("track, 16 frames encoded together", TrackOrder.PROMPTED, 16),
    Way("track, 8 together, 4 objects", TrackOrder.PROMPTED, 8, objects=4),
    Way("track, 8 together, image encoder compiled", TrackOrder.PROMPTED, 8, compiled=True),
)


def build(small: bool, device: torch.device) -> Predictor:
    """Return a predictor with random weights, made on the device."""
    with device:
        if small:
            model, tokenizer = build_nano(tile_px=64, segmenter_px=64)
        else:
            model = Sa2VAModel._from_config(preset_config("internvl3-8b"), dtype=torch.bfloat16)
            tokenizer = build_nano_tokenizer(tokenizer_corpus())
    return Predictor(model, Sa2VAProcessor(tokenizer, model.config), device)


def noise(num_frames: int, side_px: int) -> list[GreyImage]:
    """Return frames of 8-bit noise."""
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (num_frames, side_px, side_px), dtype=np.uint8))


def spoken_of(predictor: Predictor, objects: int) -> Spoken:
    """Return answers of one mask each, as a trained model gives them; random weights would say nothing to track."""
    generator = torch.Generator(predictor.device).manual_seed(0)
    shape = (objects, predictor.model.config.prompt_hidden_size)
    dtype = next(predictor.model.bridge.parameters()).dtype
    prompts_NP = torch.randn(shape, generator=generator, device=predictor.device, dtype=dtype)
    return Spoken(("[SEG]",) * objects, (1,) * objects, prompts_NP, tuple(range(objects)))


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def first_mask(predictor: Predictor, key_images: list[GreyImage], answer_tokens: int) -> float:
    """Return the seconds from key frames and question to the first masks on the host."""
    synchronise(predictor.device)
    started = time.perf_counter()
    batch = predictor.to_device(predictor.processor.run_prompts(key_images, ["segment the coronary artery tree"]))
    with predictor.computing():
        predictor.model.speak(
            **batch, eos_token_id=predictor.processor.eos_token_id, pad_token_id=0, max_new_tokens=answer_tokens
        )
    next(follow(predictor, key_images, spoken_of(predictor, 1), TrackOrder.PROMPTED, [0]))
    return time.perf_counter() - started


def run_all(predictor: Predictor, frames: list[GreyImage], key_frames: list[int], way: Way) -> int:
    """Track the frames in one way and return how many came back."""
    inside = [key for key in key_frames if key < len(frames)] or [0]
    return sum(1 for _ in follow(predictor, frames, spoken_of(predictor, way.objects), way.order, inside))


def measure(predictor: Predictor, frames: list[GreyImage], key_frames: list[int], way: Way) -> dict[str, Any]:
    """Return frames a second and peak memory of one way."""
    tracking.FRAMES_TOGETHER = way.together  # type: ignore[misc]
    device = predictor.device
    encoder = predictor.model.segmenter.vision_encoder
    compiled_s = 0.0
    if way.compiled:
        started = time.perf_counter()
        encoder.forward = torch.compile(encoder.forward, dynamic=False)
    run_all(predictor, frames[: max(WARM_UP, way.together + len(key_frames))], key_frames, way)
    synchronise(device)
    if way.compiled:
        compiled_s = time.perf_counter() - started
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    count = run_all(predictor, frames, key_frames, way)
    synchronise(device)
    seconds = time.perf_counter() - started
    peaks = peak_device_bytes(device)
    if way.compiled:
        del encoder.forward
    return {
        "way": way.name,
        "objects": way.objects,
        "frames": count,
        "frames_per_second": round(count / seconds, 2),
        "peak_gib": round(max(peaks) / 2**30, 2) if peaks else None,
        "first_call_s": round(compiled_s, 1),
    }


def measured(predictor: Predictor, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the facts of every way that the time left allows."""
    frames = noise(options.frames, 96 if options.small else SIDE_PX)
    key_frames = [(2 * part + 1) * len(frames) // 10 for part in range(5)]
    for _ in range(2):
        latency_s = first_mask(predictor, [frames[key] for key in key_frames], options.answer_tokens)
    yield {"way": "first mask", "seconds": round(latency_s, 3), "key_frames": 5, "answer_tokens": options.answer_tokens}
    for way in WAYS:
        if way.compiled and (predictor.device.type != "cuda" or time.monotonic() > options.compile_before):
            continue
        yield measure(predictor, frames, key_frames, way)
        gc.collect()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--small", action="store_true", help="nano, and frames of 96 px")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--answer-tokens", type=int, default=8, help="words before the mask, as trained answers have")
    parser.add_argument("--compile-within", type=float, default=60.0, help="start compiling only within these seconds")
    options = parser.parse_args()
    options.compile_before = time.monotonic() + options.compile_within
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    started = time.perf_counter()
    predictor = build(options.small, device)
    synchronise(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    facts = [{"way": "build", "seconds": round(time.perf_counter() - started, 1), "device": name}]
    for fact in facts:
        print(json.dumps(fact), flush=True)
    for fact in measured(predictor, options):
        print(json.dumps(fact), flush=True)
        facts.append(fact)
    write_json(options.out, {"torch": torch.__version__, "facts": facts})


if __name__ == "__main__":
    main()
