"""Folding an adapter into its base: a plain model that needs neither."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from angiova.errors import ConfigError, ModelError
from angiova.model.adapters import merge_adapter
from angiova.model.opening import checkpoint_folder, is_adapter, open_model

SHARD_SIZE = "5GB"


DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def merge(source: Path, out: Path, base: Path | None = None, dtype: str = "bfloat16") -> None:
    """Write the model that an adapter and its base are together.

    Args:
        source: a run, or an adapter's folder.
        out: folder to write; it appears when it is complete.
        base: where the base lies now; default: where it lay during training.
        dtype: type of the weights written, one of `DTYPES`.

    Raises:
        ConfigError: `out` exists, or there is no such type.
        ModelError: `source` is no adapter, or does not fit its base.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"no type {dtype!r}", where="--dtype", remedy=f"one of: {', '.join(DTYPES)}")
    if out.exists():
        raise ConfigError("already exists", where=out, remedy="choose another folder")
    folder = checkpoint_folder(source)
    if not is_adapter(folder):
        raise ModelError("this is a whole model; there is nothing to merge", where=folder)
    model, processor = open_model(folder, base)
    merge_adapter(model)
    partial = out.with_name(f".{out.name}.partial")
    try:
        model.to(DTYPES[dtype]).save_pretrained(partial, max_shard_size=SHARD_SIZE)
        processor.tokenizer.save_pretrained(partial)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
