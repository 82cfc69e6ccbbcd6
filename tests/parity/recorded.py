"""What the reference computed, read from a folder: `../shared/parity`, or the one that ANGIOVA_PARITY names."""

from __future__ import annotations

import json
import math
import os
import re
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(os.environ.get("ANGIOVA_PARITY", Path(__file__).resolve().parents[3] / "shared" / "parity"))
NO_FOLDER = f"numbers of the reference are not at {FOLDER}; set ANGIOVA_PARITY"

TINY, LARGE = 1e-4, 2e-4
MEMORY = 3e-4

_SMALL_TABLES = re.compile(r"(embed_tokens|_tokens?|point_embeddings\.\d+|not_a_point_embed|no_mask_embed)\.weight$")


@cache
def facts(name: str) -> Any:  # noqa: ANN401
    """Return a JSON file of the folder."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@cache
def tensors(name: str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file of the folder."""
    return load_file(FOLDER / f"{name}.safetensors")


def names(prefix: str) -> list[str]:
    """Return the recordings whose name begins so; one stand-in when there is no folder, for tests that then skip."""
    return sorted(path.stem for path in FOLDER.glob(f"{prefix}*.safetensors")) or ["no-folder"]


def pixels(name: str) -> np.ndarray:
    """Return a stored image, (H, W, 3) or, for masks, (H, W)."""
    return np.array(Image.open(FOLDER / "inputs" / (name if name.endswith(".png") else f"{name}.png")))


def model_of(recording: str) -> str:
    """Return the key of `configs.json` that a recording's name speaks of."""
    return next(key for key in facts("configs") if "sam2" in facts("configs")[key] and key.split("_")[0] in recording)


def tolerance_of(recording: str) -> float:
    return TINY if "tiny" in recording else LARGE


def weight(name: str, shape: list[int]) -> Tensor:
    """Return the weight that the folder's rule gives to a tensor of the released state dictionary."""
    seed = zlib.crc32((facts("manifest")["salt"] + name).encode())
    drawn = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    last = name.rsplit(".", 1)[-1]
    if last == "bias":
        return 0.02 * drawn
    if last in ("ls1", "ls2", "g_weight"):
        return 0.3 + 0.03 * drawn
    if last == "positional_encoding_gaussian_matrix":
        return drawn
    if _SMALL_TABLES.search(name):
        return 0.5 * drawn
    if last == "weight":
        return 1 + 0.1 * drawn if len(shape) == 1 else drawn / math.sqrt(math.prod(shape[1:]))
    return 0.1 * drawn


@dataclass(slots=True)
class Comparison:
    """Collects the largest deviation from the recording, and says which tensor exceeds its tolerance.

    Attributes:
        recording: what is compared.
        tolerance: largest difference, absolute up to 1 and relative to the largest recorded value above.
    """

    recording: str
    tolerance: float
    largest: float = 0.0

    def near(self, what: str, ours: Tensor, theirs: Tensor, tolerance: float | None = None) -> None:
        assert ours.shape == theirs.shape, f"{self.recording}/{what}: {tuple(ours.shape)} != {tuple(theirs.shape)}"
        scale = max(1.0, theirs.abs().max().item())
        deviation = (ours.double() - theirs.double()).abs().max().item() / scale
        self.largest = max(self.largest, deviation)
        print(f"{self.recording:<24}{what:<44}{deviation:.2e}")
        limit = self.tolerance if tolerance is None else tolerance
        assert deviation <= limit, f"{self.recording}/{what}: {deviation:.2e} > {limit:.0e}"

    def mask(self, what: str, logits: Tensor, packed: Tensor) -> None:
        """Compare a thresholded mask bit by bit; pixels may differ only where the logit is tiny."""
        theirs = torch.from_numpy(np.unpackbits(packed.numpy())[: logits.numel()].reshape(logits.shape)).bool()
        differs = (logits > 0) != theirs
        print(f"{self.recording:<24}{what:<44}{int(differs.sum())} pixels")
        furthest = logits[differs].abs().max().item() if differs.any() else 0.0
        assert furthest <= self.tolerance, f"{self.recording}/{what}: a pixel with logit {furthest:.1e} differs"
