"""Telling one model's weights from another's in a second, also when they fill 16 GB."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open

from angiova.model.convert.sources import SafetensorsSource


def fingerprint(folder: Path) -> str:
    """Return a SHA-256 over names, types, shapes and samples of every tensor in a folder's safetensors files.

    The first and last row of each tensor enter, whatever file it lies in, so the same weights in other shards have the
    same fingerprint, and a model that was trained further has another one. It is made to tell models apart, not to
    find a flipped bit: `complete.json` has the hashes of whole files.

    Raises:
        ModelError: there are no weights, or a file is damaged.
    """
    source = SafetensorsSource(folder)
    entries = {
        name: [str(spec.dtype), list(spec.shape), _sample(source.file_of[name], name, len(spec.shape))]
        for name, spec in source.specs.items()
    }
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _sample(path: Path, name: str, num_axes: int) -> str:
    """Return the hash of a tensor's first and last row; of all of it when it has no rows."""
    with safe_open(path, framework="pt") as opened:
        part = opened.get_slice(name)
        rows = torch.stack([part[0], part[-1]]) if num_axes else opened.get_tensor(name)
    return hashlib.sha256(rows.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
