"""A recipe's model and the baselines on the same data: same samples, same augmentation, same seeds, one table.

    python benchmarks/baselines.py RECIPE DATA OUT [--models recipe frangi unet dynunet] [--seeds 0] [--repeats 60]
        [--allow-leakage]

Each model is trained by `angiova train` with the data section and the batch of RECIPE, and evaluated by `angiova eval`
as it is at the end of training, so that none is chosen on the frames it is scored on. A run that is finished is not
trained again and one that was stopped is resumed, so the same command goes on where machine time ended. nnU-Net
augments and counts in its own way; name it in --models where it is installed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from angiova.evaluation.result import Evaluation
from angiova.evaluation.store import EVALUATION_NAME, read_evaluation
from angiova.run_record import RUN_NAME, RunRecord, read_run
from angiova.training.checkpoints import complete_checkpoints
from angiova.training.config import Recipe, load_recipe
from angiova.training.run_folder import CHECKPOINTS_DIR

RECIPES = Path(__file__).parents[1] / "recipes" / "baselines"
THE_RECIPE = "recipe"
METRICS = ("dice", "iou", "precision", "recall", "cldice")
KIND = "vessel_tree"
EVALUATION_DIR = "evaluation-last"


def train(recipe: Path, run: Path, overrides: Sequence[str]) -> None:
    """Train by the command that a user would type; resume what was stopped, leave alone what is finished."""
    started = (run / RUN_NAME).exists()
    if started and read_run(run).status == "finished":
        return
    resume = ["--resume"] if started and complete_checkpoints(run / CHECKPOINTS_DIR) else []
    arguments = [part for override in (f"output={run}", *overrides) for part in ("--set", override)]
    subprocess.run([sys.executable, "-m", "angiova", "train", str(recipe), *arguments, *resume], check=True)


def evaluate(run: Path, data: Path, split: str, options: Sequence[str] = ()) -> Evaluation:
    """Evaluate the last checkpoint by the command that a user would type, with more options where they are given."""
    out = run / EVALUATION_DIR
    if not (out / EVALUATION_NAME).exists():
        last = complete_checkpoints(run / CHECKPOINTS_DIR)[-1]
        command = [sys.executable, "-m", "angiova", "eval", str(last), str(data), "--split", split, "--out", str(out)]
        subprocess.run([*command, *options], check=True)
    return read_evaluation(out)


def same_data(recipe: Recipe, data: Path, repeats: int | None) -> list[str]:
    """Return the overrides that give a baseline the samples of the recipe."""
    return [
        f"data.folder={data}",
        f"data.train_split={recipe.data.train_split}",
        f"data.repeats={repeats or recipe.data.repeats}",
        f"data.augmentation={recipe.data.augmentation.model_dump_json()}",
        f"batch={recipe.batch.model_dump_json()}",
        "tensorboard=false",
    ]


def rows(runs: dict[str, list[tuple[RunRecord, Evaluation]]]) -> Iterator[str]:
    """Yield the table in Markdown; of several seeds, the mean and the range of their means."""
    yield "| | seeds | samples seen | seconds | " + " | ".join(f"tree {metric}" for metric in METRICS) + " |"
    yield "| --- " * (4 + len(METRICS)) + "|"
    for name, results in runs.items():
        samples = np.mean([record.progress.samples_seen for record, _ in results])
        seconds = np.mean([record.resources.seconds["total"] for record, _ in results])
        cells = [_cell([e.kinds[KIND].metrics[metric].frame.mean for _, e in results]) for metric in METRICS]
        yield f"| {name} | {len(results)} | {samples:,.0f} | {seconds:,.0f} | {' | '.join(cells)} |"


def _cell(values: Sequence[float]) -> str:
    spread = f" ({min(values):.4f} to {max(values):.4f})" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    names = [THE_RECIPE, *sorted(path.stem for path in RECIPES.glob("*.yaml"))]
    parser.add_argument("--models", nargs="+", choices=names, default=[THE_RECIPE, "frangi", "unet", "dynunet"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--repeats", type=int, help="passes over the training frames; default: the recipe's")
    parser.add_argument("--split", default="val")
    parser.add_argument(
        "--allow-leakage", action="store_true", help="ARCADE's own splits share near-copies; every report says so"
    )
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="for every model")
    options = parser.parse_args()
    common = [*same_data(load_recipe(options.recipe), options.data, options.repeats), *options.set]
    leakage = ["--allow-leakage"] if options.allow_leakage else []
    runs: dict[str, list[tuple[RunRecord, Evaluation]]] = {}
    for name in options.models:
        for seed in options.seeds:
            run = options.out / f"{name}-{seed}"
            train(options.recipe if name == THE_RECIPE else RECIPES / f"{name}.yaml", run, [*common, f"seed={seed}"])
            evaluation = evaluate(run, options.data, options.split, leakage)
            runs.setdefault(name, []).append((read_run(run), evaluation))
    print("\n".join(rows(runs)))


if __name__ == "__main__":
    main()
