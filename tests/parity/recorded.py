"""What the reference computed, read from a folder: `../shared/parity`, or the one that ANGIOVA_PARITY names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from angiova.model.configuration import Sa2VAConfig, reference_settings
from angiova.model.convert.names import from_released
from angiova.model.convert.reference_config import config_from_released
from angiova.model.modeling import Sa2VAModel
from angiova.model.tokenizer import IMG_CONTEXT, SEG
from byte_tokenizer import build_byte_tokenizer
from released import fill

FOLDER = Path(os.environ.get("ANGIOVA_PARITY", Path(__file__).resolve().parents[3] / "shared" / "parity"))
NO_FOLDER = f"numbers of the reference are not at {FOLDER}; set ANGIOVA_PARITY"

TINY, LARGE = 1e-4, 2e-4
MEMORY = 3e-4


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


def plan() -> Any:  # noqa: ANN401
    """Return which inputs the recordings used: pictures, runs with their lengths, and what was asked and answered."""
    return facts("inputs/plan") if (FOLDER / "inputs/plan.json").exists() else {"images": [], "ab": [], "video": {}}


def frames_of(run: str, indices: Iterable[int] | None = None) -> list[str]:
    """Return the names of frames of a run, all by default."""
    return [f"{run}_{index:02d}" for index in (range(plan()["video"][run]) if indices is None else indices)]


def pixels(name: str) -> np.ndarray:
    """Return a stored image, (H, W, 3) or, for masks, (H, W)."""
    return np.array(Image.open(FOLDER / "inputs" / (name if name.endswith(".png") else f"{name}.png")))


def model_of(recording: str) -> str:
    """Return the key of `configs.json` that a recording's name speaks of."""
    return next(key for key in facts("configs") if "sam2" in facts("configs")[key] and key.split("_")[0] in recording)


def tolerance_of(recording: str) -> float:
    return TINY if "tiny" in recording else LARGE


@cache
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Return the recordings' tokenizer."""
    described = facts("prompts")["byte_tokenizer"]
    return build_byte_tokenizer(described["specials"], described["eos"], described["pad"])


def config_of(model: str) -> Sa2VAConfig:
    """Return our configuration of a recorded model, with the reference's behaviour."""
    specials = facts("prompts")["byte_tokenizer"]["specials"]
    image, seg = (256 + specials.index(token) for token in (IMG_CONTEXT, SEG))
    config = config_from_released(facts("configs")[model], image, seg)
    for name, value in reference_settings().items():
        setattr(config, name, value)
    return config


@cache
def official_weights(model: str) -> dict[str, Tensor]:
    """Return the released state dictionary that the folder's rule gives."""
    salt = facts("manifest")["salt"]
    return {name: fill(name, shape, salt) for name, shape in facts(f"keys_{model}").items()}


@cache
def network(model: str) -> Sa2VAModel:
    """Return our model with the recorded one's weights, in evaluation mode."""
    config = config_of(model)
    ours = Sa2VAModel(config)
    ours.load_state_dict(from_released(official_weights(model), config), strict=True)
    return ours.eval()


@contextmanager
def shifted_presence(model: Sa2VAModel, shift: float) -> Iterator[Sa2VAModel]:
    """Add `shift` to the bias of the presence score, as some recordings do, and take it away again."""
    bias = model.segmenter.mask_decoder.pred_obj_score_head.proj_out.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias.add_(shift)
    try:
        yield model
    finally:
        with torch.no_grad():
            bias.copy_(before)


@dataclass(slots=True)
class Comparison:
    """Compares with a recording, says which tensor exceeds the tolerance, and prints every deviation (`pytest -s`).

    Attributes:
        recording: what is compared.
        tolerance: largest difference, absolute up to 1 and relative to the largest recorded value above.
    """

    recording: str
    tolerance: float

    def near(self, what: str, ours: Tensor, theirs: Tensor, tolerance: float | None = None) -> None:
        assert ours.shape == theirs.shape, f"{self.recording}/{what}: {tuple(ours.shape)} != {tuple(theirs.shape)}"
        scale = max(1.0, theirs.abs().max().item())
        deviation = (ours.double() - theirs.double()).abs().max().item() / scale
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
