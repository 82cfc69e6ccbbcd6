"""How fast the shipped model is here, and what it is worth on ARCADE's validation frames.

    python benchmarks/shipped.py [--frames 10]
    angiova import ARCADE/syntax data/arcade && angiova eval nano data/arcade --split val --allow-leakage --out OUT

The first prints the time to open the model and to answer one prompt about a simulated frame of 512 px, each frame
alone, and the most memory of the process. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

from angiova.data.manifest import Manifest
from angiova.data.prompts import question_for
from angiova.data.syntax import TREE_PHRASE
from angiova.simulate import simulate


def main() -> None:
    """Simulate frames, then time opening and answering."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder) / "data", num_runs=1, num_frames=options.frames, seed=1, size_px=512)
        manifest = Manifest(Path(folder) / "data")
        images = [manifest.read_image(record) for record in manifest.records()]
    started = time.perf_counter()
    from angiova.inference.predictor import load

    imported = time.perf_counter()
    model = load("nano", "cpu")
    opened = time.perf_counter()
    spent_s = []
    for image in images:
        before = time.perf_counter()
        model.answer([image], [question_for(TREE_PHRASE)], [0])
        spent_s.append(time.perf_counter() - before)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"imports {imported - started:.2f} s, opening {opened - imported:.2f} s, first answer {spent_s[0]:.2f} s")
    print(f"a frame {statistics.median(spent_s):.2f} s (median of {len(spent_s)}), peak memory {peak_gb:.2f} GB")


if __name__ == "__main__":
    main()
