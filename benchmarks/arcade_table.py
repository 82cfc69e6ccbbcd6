"""Score the predictions that `benchmarks/arcade.py` wrote, both by the same definitions, and print the table.

python benchmarks/arcade_table.py DATA OUT
"""

from __future__ import annotations

import argparse
from pathlib import Path

from angiova.data.manifest import Manifest
from angiova.data.predictions import read_predictions
from angiova.data.records import Split
from angiova.evaluation.cases import score_frame
from angiova.evaluation.evaluate import challenge_f1, evaluate
from angiova.evaluation.evaluate import summarise_group as summarise
from angiova.files import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    manifest, facts = Manifest(options.data), read_json(options.out / "training.json")
    nano = evaluate(manifest, Split.VAL, read_predictions(options.out / "nano.parquet"))
    answers = {(p.frame_id, p.phrase): p for p in read_predictions(options.out / "unet.parquet")}
    unet = summarise(
        [
            case
            for record in manifest.records(Split.VAL)
            for case in score_frame(record, answers)
            if case.kind.value == "vessel_tree"
        ]
    )
    tree = nano.kinds["vessel_tree"]
    print(f"{facts['device']}, {facts['repeats']} passes over the training frames\n")
    print("| | U-Net | nano |\n|---|---|---|")
    for metric in ("dice", "iou", "precision", "recall", "cldice"):
        row = [f"{g.metrics[metric].frame.mean:.4f} ± {g.metrics[metric].frame.sd:.4f}" for g in (unet, tree)]
        print(f"| tree {metric} | {' | '.join(row)} |")
    segments = challenge_f1(nano.cases)
    if segments is not None:
        print(f"| mean per-image F1 over named segments | - | {segments.frame.mean:.4f} |")
    if nano.chance is not None:
        print(f"\nnamed segments, chance level: {nano.chance}")
    print(f"| training seconds | {facts['unet_seconds']:.0f} | {facts['nano_seconds']:.0f} |")


if __name__ == "__main__":
    main()
