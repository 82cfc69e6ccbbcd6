"""nano against a plain U-Net on ARCADE: same frames, same augmentation, same number of samples, same evaluation.

    python benchmarks/arcade.py DATA OUT [--repeats 60] [--stages unet nano predict]

DATA is ARCADE as imported by `angiova import`. Both models are evaluated as they are at the end of training, so that
neither is chosen on the frames it is scored on. Stages can be run one after the other on a machine that is lent for
minutes; `benchmarks/arcade_table.py` prints both side by side. For more baselines and seeds see
`benchmarks/baselines.py`, which this uses.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from baselines import CHECKPOINTS_DIR, RECIPES, train

from angiova.data.manifest import Manifest
from angiova.data.predictions import write_predictions
from angiova.data.records import Split
from angiova.inference.predictor import load
from angiova.training.checkpoints import complete_checkpoints

RECIPE_OF = {"nano": RECIPES.parent / "nano_arcade.yaml", "unet": RECIPES / "unet.yaml"}
BATCH = 16
STAGES = (*RECIPE_OF, "predict")


def predict(data: Path, run: Path, out: Path) -> None:
    """Answer every labelled phrase that the model knows on the validation frames with its last checkpoint."""
    manifest = Manifest(data)
    predictor = load(complete_checkpoints(run / CHECKPOINTS_DIR)[-1])
    write_predictions(out, predictor.predict(manifest, manifest.records(Split.VAL), BATCH))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    options = parser.parse_args()
    overrides = [
        f"data.folder={options.data}",
        f"data.repeats={options.repeats}",
        f"data.workers={options.workers}",
        f"batch.micro={BATCH}",
        "tensorboard=false",
        "validation.times=1",
    ]
    for name, recipe in RECIPE_OF.items():
        if name in options.stages:
            train(recipe, options.out / name, overrides)
    if "predict" in options.stages:
        for name in RECIPE_OF:
            predict(options.data, options.out / name, options.out / f"{name}.parquet")


if __name__ == "__main__":
    main()
