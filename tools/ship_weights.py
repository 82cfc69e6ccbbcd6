"""Put a trained model into the package: half the bytes, hashed, with its card and where it comes from.

    python tools/ship_weights.py RUN [--after RUN ...]

RUN is finished and evaluated; `--after` names the runs that it went on from, where its own record does not know them.
Weights are stored as float16 and computed in float32. What all of them were trained on goes along, so that an
evaluation of the shipped model knows whether it tests or repeats.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import polars as pl

from angiova.data.training_frames import write_training_frames
from angiova.files import sha256_file, write_json
from angiova.model.opening import checkpoint_folder, open_model
from angiova.report.model_card import write_model_card
from angiova.run_record import read_run, write_run
from angiova.shipped import HASH_NAME, SHIPPED_FOLDER
from angiova.training_history import HISTORY_NAME, History, history_of

MOST_BYTES = 64 * 2**20


def ship(run: Path, earlier: list[Path]) -> None:
    """Write the package's weights from a run's best checkpoint."""
    shutil.rmtree(SHIPPED_FOLDER, ignore_errors=True)
    model, processor = open_model(checkpoint_folder(run))
    model.half().save_pretrained(SHIPPED_FOLDER)
    processor.tokenizer.save_pretrained(SHIPPED_FOLDER)
    write_run(SHIPPED_FOLDER, read_run(run))
    shutil.copy(write_model_card(run), SHIPPED_FOLDER / "README.md")
    frames = pl.concat([known for each in (run, *earlier) if (known := history_of(each)) is not None]).unique()
    history = History(training_frames_sha256=write_training_frames(SHIPPED_FOLDER, frames.sort("frame_id")))
    write_json(SHIPPED_FOLDER / HISTORY_NAME, history.model_dump(mode="json"))
    write_json(SHIPPED_FOLDER / HASH_NAME, {"model.safetensors": sha256_file(SHIPPED_FOLDER / "model.safetensors")})
    num_bytes = sum(path.stat().st_size for path in SHIPPED_FOLDER.iterdir())
    assert num_bytes <= MOST_BYTES, f"{num_bytes:,} bytes are too many"
    print(f"{num_bytes:,} bytes in {SHIPPED_FOLDER}")


def main() -> None:
    """Read the arguments and ship."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--after", type=Path, action="append", default=[])
    options = parser.parse_args()
    ship(options.run, options.after)


if __name__ == "__main__":
    main()
