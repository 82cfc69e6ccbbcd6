"""Folding an adapter into its base: a plain model that needs neither."""

from __future__ import annotations

from pathlib import Path

import torch

from angiova.errors import ConfigError, ModelError
from angiova.model.adapters import merge_adapter
from angiova.model.convert.writer import SHARD_BYTES, new_folder
from angiova.model.opening import checkpoint_folder, is_adapter, open_model
from angiova.training_history import keep_history

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def merge(source: Path, out: Path, base: Path | None = None, dtype: str = "bfloat16") -> None:
    """Write the model that an adapter and its base are together.

    Args:
        source: a run, or an adapter's folder.
        out: folder to write; it appears when it is complete.
        base: where the base lies now; default: where it lay during training.
        dtype: type of the weights written, one of `DTYPES`.

    Raises:
        ConfigError: there is no such type.
        ModelError: `source` is no adapter, or does not fit its base, or `out` is there already.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"no type {dtype!r}", where="--dtype", remedy=f"one of: {', '.join(DTYPES)}")
    folder = checkpoint_folder(source)
    if not is_adapter(folder):
        raise ModelError("this is a whole model; there is nothing to merge", where=folder)
    with new_folder(out) as partial:
        model, processor = open_model(folder, base)
        merge_adapter(model)
        model.to(DTYPES[dtype]).save_pretrained(partial, max_shard_size=SHARD_BYTES)
        processor.tokenizer.save_pretrained(partial)
        keep_history(folder, partial)
