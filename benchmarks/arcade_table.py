"""Score the predictions that `benchmarks/arcade.py` wrote, both by the same definitions, and print the table.

python benchmarks/arcade_table.py DATA OUT
"""

from __future__ import annotations

import argparse
from pathlib import Path

from angiova.data.manifest import Manifest
from angiova.data.predictions import read_predictions
from angiova.data.records import Split
from angiova.evaluation.evaluate import challenge_f1, evaluate
from angiova.run_record import read_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    manifest = Manifest(options.data)
    records = {name: read_run(options.out / name) for name in ("unet", "nano")}
    nano = evaluate(manifest, Split.VAL, read_predictions(options.out / "nano.parquet"))
    answers = read_predictions(options.out / "unet.parquet")
    phrases = tuple({answer.phrase for answer in answers})
    unet = evaluate(manifest, Split.VAL, answers, phrases).kinds["vessel_tree"]
    tree = nano.kinds["vessel_tree"]
    for name, record in records.items():
        print(f"{name}: {record.machine['device']}, {record.progress.samples_seen} samples")
    print("\n| | U-Net | nano |\n|---|---|---|")
    for metric in ("dice", "iou", "precision", "recall", "cldice"):
        row = [f"{g.metrics[metric].frame.mean:.4f} ± {g.metrics[metric].frame.sd:.4f}" for g in (unet, tree)]
        print(f"| tree {metric} | {' | '.join(row)} |")
    segments = challenge_f1(nano.cases)
    if segments is not None:
        print(f"| mean per-image F1 over named segments | - | {segments.frame.mean:.4f} |")
    seconds = [f"{record.resources.seconds['total']:.0f}" for record in records.values()]
    print(f"| training seconds | {' | '.join(seconds)} |")
    if nano.chance is not None:
        print(f"\nnamed segments, chance level: {nano.chance}")


if __name__ == "__main__":
    main()
