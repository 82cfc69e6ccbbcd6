"""Whether a model knows which phrase means something in a frame: every segment is asked for in every frame.

    angiova import ARCADE/syntax data/arcade
    python benchmarks/phrases.py nano data/arcade OUT.json [--frames 60]

Frames are spread over the validation part, whose labels name every segment in view. Printed: how well the presence
score tells segments that are in view from those that are not (area under the ROC curve; also of the segments of the
frame's own tree alone, since the other tree is easy), how often a segment that is not in view gets an empty mask, and
how much of the catheter's mask lies on labelled vessels.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from robustness import tree_of
from sklearn.metrics import roc_auc_score

from angiova.data.manifest import Manifest
from angiova.data.prompts import question_for
from angiova.data.records import FrameRecord, Split
from angiova.data.syntax import CATHETER_PHRASE, RIGHT_SEGMENTS, SEGMENT_NAMES, segment_phrase
from angiova.files import write_json
from angiova.inference.answers import Answer
from angiova.inference.predictor import load

AT_ONCE = 13


@dataclass(frozen=True)
class Asked:
    """One segment asked for in one frame.

    Attributes:
        segment: its number.
        in_view: whether it is labelled.
        own_tree: whether it belongs to the tree that the frame shows.
        presence: the model's probability that it is there; 0 without a mask.
        is_empty: whether the answer has no pixel.
    """

    segment: str
    in_view: bool
    own_tree: bool
    presence: float
    is_empty: bool


def asked_of(record: FrameRecord, answers: dict[str, Answer]) -> list[Asked]:
    """Return what came of asking for each segment of a frame."""
    labelled = {target.segment for target in record.targets if target.segment is not None}
    is_right = bool(labelled & RIGHT_SEGMENTS)
    rows = []
    for segment, answer in answers.items():
        mask = answer.masks[0] if answer.masks else None
        rows.append(
            Asked(
                segment,
                segment in labelled,
                (segment in RIGHT_SEGMENTS) == is_right,
                0.0 if mask is None else mask.presence,
                mask is None or not mask.mask_HW.any(),
            )
        )
    return rows


def summary(rows: list[Asked]) -> dict[str, float]:
    """Return the figures of some of what was asked."""
    in_view = np.array([row.in_view for row in rows])
    empty = np.array([row.is_empty for row in rows])
    scores = np.array([row.presence for row in rows])
    return {
        "asked": len(rows),
        "in_view": int(in_view.sum()),
        "presence_auc": round(float(roc_auc_score(in_view, scores)), 4),
        "empty_where_not_in_view": round(float(empty[~in_view].mean()), 4),
        "drawn_where_in_view": round(float((~empty)[in_view].mean()), 4),
    }


def main() -> None:
    """Ask, count and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--device", default=None)
    options = parser.parse_args()
    manifest, model = Manifest(options.data), load(options.model, options.device)
    records = list(manifest.records(Split.VAL))
    count = min(options.frames, len(records))
    rows: list[Asked] = []
    on_vessel: list[float] = []
    segments = list(SEGMENT_NAMES)
    for record in (records[index * len(records) // count] for index in range(count)):
        image_HW = manifest.read_image(record)
        phrases = [CATHETER_PHRASE, *map(segment_phrase, segments)]
        answers = []
        for start in range(0, len(phrases), AT_ONCE):
            part = [question_for(phrase) for phrase in phrases[start : start + AT_ONCE]]
            answers += model.answer([image_HW], part, [0] * len(part))
        catheter = answers[0].masks[0].mask_HW if answers[0].masks else np.zeros_like(image_HW, bool)
        if catheter.any():
            on_vessel.append(float((catheter & tree_of(record)).sum() / catheter.sum()))
        rows += asked_of(record, dict(zip(segments, answers[1:], strict=True)))
    facts = {
        "all": summary(rows),
        "own_tree": summary([row for row in rows if row.own_tree]),
        "catheter": {"drawn": len(on_vessel), "share_on_vessels": round(float(np.mean(on_vessel)), 4)},
    }
    print(json.dumps(facts, indent=2))
    write_json(options.out, {"model": options.model, "frames": count, "torch": torch.__version__, **facts})


if __name__ == "__main__":
    main()
