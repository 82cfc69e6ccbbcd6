"""Opening the checkpoint of a baseline, told from a Sa2VA model by `model_type` in its config.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError

from angiova.baselines.baseline import Baseline
from angiova.baselines.frangi import FRANGI_TYPE, FrangiBaseline
from angiova.baselines.network import MODEL_TYPE, NetworkBaseline, SegmentationNetwork
from angiova.baselines.nnunet import MODEL_DIR, NNUNET_TYPE, NnunetBaseline, NnunetConfig
from angiova.errors import ModelError
from angiova.files import read_json

CONFIG_NAME: Final = "config.json"
Config = TypeVar("Config", bound=BaseModel)

BASELINE_TYPES: Final = (FRANGI_TYPE, MODEL_TYPE, NNUNET_TYPE)


def baseline_type(folder: Path) -> str | None:
    """Return the `model_type` of the baseline in a checkpoint folder; None when it holds none."""
    path = folder / CONFIG_NAME
    config = read_json(path) if path.exists() else None
    found = config.get("model_type") if isinstance(config, dict) else None
    return found if found in BASELINE_TYPES else None


def open_baseline(folder: Path, device: torch.device) -> Baseline | None:
    """Open a checkpoint folder; None when it holds no baseline.

    Raises:
        ModelError: its files are damaged.
    """
    match baseline_type(folder):
        case "angiova_frangi":
            return read_config(folder, FrangiBaseline)
        case "angiova_network":
            return NetworkBaseline(open_network(folder), device)
        case "angiova_nnunet":
            return NnunetBaseline(read_config(folder, NnunetConfig).phrase, folder / MODEL_DIR, device.type)
    return None


def open_network(folder: Path) -> SegmentationNetwork:
    """Open a network's checkpoint on the CPU.

    Raises:
        ModelError: a file is missing or damaged, or a weight is missing or left over.
    """
    try:
        network, info = SegmentationNetwork.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"checkpoint cannot be opened ({error})", where=folder) from None
    wrong = sorted(info["missing_keys"]) + sorted(info["unexpected_keys"])
    if wrong:
        raise ModelError(f"{len(wrong)} weights missing or unexpected, e.g. {wrong[0]}", where=folder)
    return network  # type: ignore[no-any-return]


def read_config(folder: Path, kind: type[Config]) -> Config:
    """Read the config.json of a checkpoint folder.

    Raises:
        ModelError: a field is missing, unknown or has a value it cannot have.
    """
    path = folder / CONFIG_NAME
    content: Any = read_json(path)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ModelError(f"field {field}: {first['msg']}", where=path, remedy="train again") from None
