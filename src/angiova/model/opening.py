"""Opening what `angiova train` left: a whole model, or an adapter on its base."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError

from angiova.errors import ModelError
from angiova.model.adapters import ADAPTER_NAME, attach_adapter, read_adapter
from angiova.model.modeling import Sa2VAModel
from angiova.model.processing import Sa2VAProcessor
from angiova.run_record import RUN_NAME, read_run
from angiova.shipped import resolved


def checkpoint_folder(model: Path) -> Path:
    """Return the checkpoint that `model` stands for: itself, the best one of a run, or the shipped one.

    Raises:
        ModelError: it is neither a run with a checkpoint nor a checkpoint.
    """
    model = resolved(model)
    if (model / "config.json").exists() or is_adapter(model):
        return model
    if not (model / RUN_NAME).exists():
        raise ModelError("neither a run nor a checkpoint", where=model, remedy="give a folder made by `angiova train`")
    kept = {checkpoint.role: model / checkpoint.path for checkpoint in read_run(model).checkpoints}
    if not kept:
        raise ModelError("the run has no checkpoint", where=model, remedy="train it to the end first")
    return kept.get("best", next(iter(kept.values())))


def is_adapter(folder: Path) -> bool:
    """Say whether a checkpoint folder holds an adapter."""
    return (folder / ADAPTER_NAME).exists()


def open_model(
    folder: Path, base: Path | None = None, dtype: torch.dtype | None = None
) -> tuple[Sa2VAModel, Sa2VAProcessor]:
    """Open a checkpoint folder on the CPU.

    Args:
        folder: a model's folder, or an adapter's.
        base: where the adapter's base lies now; default: where it lay when the adapter was trained.
        dtype: type of the weights; default: as stored, but float32 where float16 is: it saves space, not time.

    Raises:
        ModelError: a file is missing or damaged, a weight is missing or left over, or the base is another one.
    """
    if not is_adapter(folder):
        return _open_plain(folder, dtype)
    base = base or read_adapter(folder).base.folder
    if not base.exists():
        raise ModelError("the adapter's base is not here", where=base, remedy="say where it is with --base")
    model, processor = _open_plain(base, dtype)
    attach_adapter(model, folder, base)
    return model, processor


def _open_plain(folder: Path, dtype: torch.dtype | None) -> tuple[Sa2VAModel, Sa2VAProcessor]:
    try:
        model, info = Sa2VAModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype=dtype or "auto"
        )
        processor = Sa2VAProcessor.from_pretrained(folder, model.config)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"checkpoint cannot be opened ({error})", where=folder) from None
    wrong = sorted(info["missing_keys"]) + sorted(info["unexpected_keys"])
    if wrong:
        raise ModelError(f"{len(wrong)} weights missing or unexpected, e.g. {wrong[0]}", where=folder)
    return model.float() if dtype is None and model.dtype == torch.float16 else model, processor
