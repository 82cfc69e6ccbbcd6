"""How masks of the whole tree bear worse images: noise, blur, contrast, gamma, polarity, scale, fewer grey levels.

    angiova import ARCADE/syntax data/arcade
    python benchmarks/robustness.py nano data/arcade OUT.json [--frames 40]

Frames are spread over the validation part. Each is changed, asked once, and the answer held against the label; what a
change of scale did to the mask is undone first. Mean Dice and clDice, and the difference to the unchanged frames with
its standard error over frames. A frame that is answered with no mask scores 0.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage
from angiova.data.prompts import question_for
from angiova.data.records import FrameRecord, Split, TargetKind
from angiova.data.rle import BoolMask
from angiova.data.syntax import TREE_PHRASE
from angiova.evaluation.overlap import confusion, dice
from angiova.evaluation.topology import cldice
from angiova.files import write_json
from angiova.inference.predictor import Predictor, load

Change = Callable[[GreyImage, np.random.Generator], GreyImage]


@dataclass(frozen=True)
class Level:
    """One change of the images: its kind, how strong it is, and what it does."""

    kind: str
    strength: str
    change: Change


def _grey(values: np.ndarray) -> GreyImage:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def noise(deviation: float) -> Level:
    """Gaussian noise, in grey values."""

    def change(image: GreyImage, rng: np.random.Generator) -> GreyImage:
        return _grey(image + rng.normal(0, deviation, image.shape))

    return Level("noise", f"{deviation:g} of 255", change)


def blur(radius_px: float) -> Level:
    """Gaussian blur of a standard deviation in pixels."""
    kernel = ImageFilter.GaussianBlur(radius_px)
    return Level("blur", f"{radius_px:g} px", lambda image, _: np.asarray(Image.fromarray(image).filter(kernel)))


def contrast(factor: float) -> Level:
    """Grey values around their mean, times a factor."""
    return Level("contrast", f"x {factor:g}", lambda image, _: _grey((image - image.mean()) * factor + image.mean()))


def gamma(exponent: float) -> Level:
    """Grey values, as shares of 255, to the power of an exponent."""
    return Level("gamma", f"{exponent:g}", lambda image, _: _grey(255 * (image / 255.0) ** exponent))


def scale(factor: float) -> Level:
    """The whole frame at another number of pixels."""

    def change(image: GreyImage, _: np.random.Generator) -> GreyImage:
        size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))

    return Level("scale", f"x {factor:g}", change)


def levels(bits: int) -> Level:
    """Fewer grey levels."""
    step = 255 / (2**bits - 1)
    return Level("grey levels", f"{2**bits}", lambda image, _: _grey(np.rint(image / step) * step))


def polarity() -> Level:
    """Bright vessels on a dark ground, as in a subtracted or inverted image."""
    return Level("polarity", "inverted", lambda image, _: np.uint8(255) - image)


LEVELS = (
    Level("none", "", lambda image, _: image),
    *(noise(deviation) for deviation in (5, 10, 20, 40)),
    *(blur(radius) for radius in (1, 2, 4)),
    *(contrast(factor) for factor in (0.25, 0.5, 1.5)),
    *(gamma(exponent) for exponent in (0.5, 2.0)),
    *(scale(factor) for factor in (0.5, 0.75, 1.5, 2.0)),
    *(levels(bits) for bits in (5, 4, 3)),
    polarity(),
)


def tree_of(record: FrameRecord) -> BoolMask:
    """Return the labelled tree of a frame."""
    return rle.decode(next(t.mask for t in record.targets if t.kind is TargetKind.VESSEL_TREE))


def answered(model: Predictor, image: GreyImage, shape: tuple[int, int]) -> BoolMask:
    """Return the model's mask at the shape of the label; empty where it draws none."""
    [answer] = model.answer([image], [question_for(TREE_PHRASE)], [0])
    if not answer.masks:
        return np.zeros(shape, bool)
    mask = answer.masks[0].mask_HW
    if mask.shape == shape:
        return mask
    shares = Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).resize(shape[::-1], Image.Resampling.BOX)
    return np.asarray(shares) > 127


def measure(model: Predictor, frames: list[tuple[GreyImage, BoolMask]], level: Level) -> np.ndarray:
    """Return Dice and clDice of each frame, shape (frames, 2)."""
    rows = []
    for index, (image, target) in enumerate(frames):
        mask = answered(model, level.change(image, np.random.default_rng(index)), (target.shape[0], target.shape[1]))
        rows.append((dice(confusion(target, mask)), cldice(target, mask)) if mask.any() else (0.0, 0.0))
    return np.array(rows)


def summary(level: Level, scores_F2: np.ndarray, unchanged_F2: np.ndarray) -> dict[str, Any]:
    """Return means of a level, and its difference to the unchanged frames."""
    lost_F2 = scores_F2 - unchanged_F2
    error_2 = lost_F2.std(axis=0, ddof=1) / len(lost_F2) ** 0.5
    (mean_dice, mean_cldice), (lost_dice, lost_cldice) = scores_F2.mean(axis=0), lost_F2.mean(axis=0)
    return {
        "change": level.kind,
        "strength": level.strength,
        "dice": round(float(mean_dice), 4),
        "dice_difference": round(float(lost_dice), 4),
        "dice_standard_error": round(float(error_2[0]), 4),
        "cldice": round(float(mean_cldice), 4),
        "cldice_difference": round(float(lost_cldice), 4),
        "cldice_standard_error": round(float(error_2[1]), 4),
    }


def main() -> None:
    """Change, ask, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=40, help="at least 2, for a standard error")
    parser.add_argument("--device", default=None)
    options = parser.parse_args()
    manifest = Manifest(options.data)
    records = list(manifest.records(Split.VAL))
    count = min(options.frames, len(records))
    chosen = [records[index * len(records) // count] for index in range(count)]
    frames = [(manifest.read_image(record), tree_of(record)) for record in chosen]
    model = load(options.model, options.device)
    unchanged_F2 = measure(model, frames, LEVELS[0])
    rows = []
    for level in LEVELS:
        scores_F2 = unchanged_F2 if level is LEVELS[0] else measure(model, frames, level)
        rows.append(summary(level, scores_F2, unchanged_F2))
        print(json.dumps(rows[-1]), flush=True)
    write_json(options.out, {"model": options.model, "frames": len(frames), "torch": torch.__version__, "levels": rows})


if __name__ == "__main__":
    main()
