"""Tracking takes as much memory for a long run as for one of fifty frames."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models import small_model
from videos import write_video_file

SHORT = 50
MOST_GROWTH = 1.05
# The high-water mark of this very process image; getrusage would count the one that started it.
SCRIPT = """
import sys
from pathlib import Path
from angiova.inference.track import track_runs
checkpoint, source, out, mode = sys.argv[1:]
track_runs(Path(checkpoint), Path(source), Path(out), prompts=["[SEG]"], mode=mode, device="cpu")
print("PEAK", next(l.split()[1] for l in open("/proc/self/status") if l.startswith("VmHWM")))
"""


def peak_kib(checkpoint: Path, source: Path, out: Path, mode: str) -> int:
    command = [sys.executable, "-c", SCRIPT, *map(str, (checkpoint, source, out)), mode]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(finished.stdout.split("PEAK")[1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark is read from /proc")
@pytest.mark.parametrize(("mode", "long"), [("track", 1000), ("smooth", 300)])
def test_memory_is_flat_in_the_length_of_the_run(tmp_path: Path, mode: str, long: int) -> None:
    model, processor = small_model()
    model.save_pretrained(tmp_path / "model")
    processor.tokenizer.save_pretrained(tmp_path / "model")
    peaks = []
    for num_frames in (SHORT, long):
        source = write_video_file(tmp_path / f"{num_frames}.mp4", list(range(0, 40 * num_frames, 40)))
        peaks.append(peak_kib(tmp_path / "model", source, tmp_path / f"out{num_frames}", mode))
    assert peaks[1] <= MOST_GROWTH * peaks[0], peaks
