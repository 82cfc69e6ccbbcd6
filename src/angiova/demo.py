"""`angiova demo`: the whole job on simulated patients, with nothing but what is installed."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from angiova.data.checks import check_dataset, print_findings
from angiova.data.manifest import Manifest
from angiova.data.records import Split
from angiova.data.splits import print_split, split_dataset
from angiova.data.syntax import TREE_PHRASE, segment_phrase
from angiova.errors import ConfigError, ExitCode
from angiova.inference.evaluation import evaluate_model
from angiova.inference.folder import predict_folder
from angiova.report.model_card import write_model_card
from angiova.report.page import write_report
from angiova.report.tables import print_evaluation
from angiova.run_record import RUN_NAME
from angiova.simulate import simulate
from angiova.training.config import load_recipe
from angiova.training.trainer import train

RECIPE = Path(__file__).parent / "recipes" / "demo.yaml"
NUM_PREDICTED = 4


@dataclass(frozen=True, slots=True)
class DemoSize:
    """How much of everything the demo does; `QUICK` shows that it works, not how well."""

    runs: int
    frames: int
    size_px: int
    overrides: tuple[str, ...] = ()


FULL = DemoSize(runs=60, frames=240, size_px=320)
QUICK = DemoSize(
    runs=8,
    frames=10,
    size_px=128,
    overrides=("data.workers=0", "validation.frames=1"),
)


def run_demo(out: Path, *, seed: int = 0, quick: bool = False) -> ExitCode:
    """Simulate patients, train on some, evaluate on others never trained on, predict, and write the report.

    Args:
        out: run folder; the data set goes to OUT/data, predictions to OUT/predictions.
        seed: source of all randomness.
        quick: reduced size.

    Raises:
        ConfigError: `out` holds something that the demo did not make.
    """
    started = time.monotonic()
    size, console = (QUICK if quick else FULL), Console()
    _clear(out)
    data = out / "data"
    console.rule("1/7 simulate")
    simulate(data, num_runs=size.runs, num_frames=size.frames, seed=seed, size_px=size.size_px)
    console.rule("2/7 check")
    print_findings(check_dataset(data))
    console.rule("3/7 split by patient")
    print_split(split_dataset(data, val=0.06, test=0.12, seed=seed, frames_are_independent=False, resplit=False))
    console.rule("4/7 fine-tune nano, the shipped model")
    overrides = [f"output={out}", f"data.folder={data}", f"seed={seed}", *size.overrides]
    code = train(load_recipe(RECIPE, overrides))
    if code is not ExitCode.DONE:
        console.print(f"stopped; go on with: angiova train {out / 'recipe.yaml'} --resume")
        return code
    console.rule("5/7 evaluate on patients never trained on")
    print_evaluation(evaluate_model(out, data, split=Split.TEST, batch=2))
    console.rule("6/7 predict")
    _predict_some(out, data)
    console.rule("7/7 report")
    for path in (*write_report(out), write_model_card(out)):
        console.print(f"wrote {path}", highlight=False)
    console.print(f"demo done in {(time.monotonic() - started) / 60:.1f} minutes; open {out / 'report.html'}")
    return ExitCode.DONE


def _clear(out: Path) -> None:
    """Remove what an earlier demo left; anything else is refused."""
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / RUN_NAME).exists() and not (out / "data").exists():
        raise ConfigError("folder holds something else than a demo", where=out, remedy="choose another folder")
    shutil.rmtree(out)


def _predict_some(out: Path, data: Path) -> None:
    """Answer two questions about a few test frames, the way a user would ask them."""
    manifest = Manifest(data)
    records = [record for record in manifest.records(Split.TEST) if len(record.targets) > 1][:NUM_PREDICTED]
    chosen = out / "predictions" / "images"
    chosen.mkdir(parents=True)
    for record in records:
        shutil.copy(manifest.image_path(record), chosen / f"{record.frame_id}.png")
    segments = [target.segment for record in records for target in record.targets if target.segment]
    prompts = [f"segment the {TREE_PHRASE}", f"segment the {segment_phrase(max(set(segments), key=segments.count))}"]
    predict_folder(out, chosen, out / "predictions", prompts=prompts)
