"""Seconds of a training step of nano on a CPU, with and without `keep_freed_memory`, each in a fresh process.

python benchmarks/allocator.py
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

STEPS = 6


def measure(keep: bool) -> None:
    """Print the median seconds of a step and the share of time spent in the kernel."""
    import torch

    from angiova.allocator import keep_freed_memory
    from angiova.model.presets import build

    if keep:
        assert keep_freed_memory()
    torch.manual_seed(0)
    model, tokenizer = build("nano")
    context = [model.config.vlm_config.image_token_id] * model.config.tokens_per_tile
    ids = torch.tensor([context + tokenizer("segment the proximal LAD [SEG] [SEG] [SEG].").input_ids] * 2)
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "tiles": torch.randn(2, 3, 256, 256),
        "tile_counts": [1, 1],
        "frame_of_sequence": torch.arange(2),
        "segmenter_pixels": torch.randn(2, 3, 512, 512),
        "images": [torch.randn(1, 512, 512) for _ in range(2)],
        "labels": ids.clone(),
        "masks": [torch.rand(512, 512) > 0.9 for _ in range(6)],
    }
    seconds = []
    for _ in range(STEPS):
        started = time.monotonic()
        sum(model(**batch).losses.values()).backward()
        seconds.append(time.monotonic() - started)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    kernel = usage.ru_stime / (usage.ru_utime + usage.ru_stime)
    print(f"keep_freed_memory={keep}: {statistics.median(seconds[1:]):.2f} s a step, {kernel:.0%} in the kernel")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1] == "True")
    else:
        for choice in (False, True, False, True):
            subprocess.run([sys.executable, __file__, str(choice)], check=True)
