"""`angiova convert`: a Sa2VA model from one layout to another."""

from __future__ import annotations

from pathlib import Path

from angiova.errors import ConfigError, ModelError
from angiova.files import read_json, write_json
from angiova.model.configuration import Sa2VAConfig
from angiova.model.convert.folders import (
    RELEASED_CONFIG_NAME,
    Layout,
    layout_of,
    open_ours,
    open_released,
    read_config,
    read_tokenizer,
    write_ours,
    write_released,
)
from angiova.model.convert.lora import TrainedSource, found_alpha, load_tensors
from angiova.model.convert.names import links_of
from angiova.model.convert.sources import Linked, Source
from angiova.model.convert.writer import SHARD_BYTES, new_folder
from angiova.training_history import keep_history

TRAINING_SUFFIXES = (".pth", ".pt", ".bin")


def convert(
    source: Path,
    out: Path,
    to: str = Layout.OURS,
    base: Path | None = None,
    lora_alpha: float | None = None,
    tokenizer: Path | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Layout:
    """Write the model of `source` to the new folder `out`; tensors are read and written one at a time.

    Args:
        source: a folder in our layout or the released one, or a training file (`.pth`) of the reference.
        out: folder to write; it appears when it is complete.
        to: layout to write, "ours" or "released".
        base: the model that a training file started from, a folder in either layout.
        lora_alpha: LoRA's alpha, when a training file does not say it.
        tokenizer: folder of the tokenizer, when the model's own cannot be read.
        shard_bytes: largest file of tensors.

    Returns:
        The layout of the model that was read.

    Raises:
        ModelError: the source is damaged, or not all of it fits.
        ConfigError: an option is missing or wrong.
    """
    if to not in tuple(Layout):
        raise ConfigError(f"no layout {to!r}", where="--to", remedy=f"one of: {', '.join(Layout)}")
    folder = _model_folder(source, base)
    layout = layout_of(folder)
    words = read_tokenizer(tokenizer or folder)
    if layout is Layout.OURS:
        tensors, config = open_ours(folder)
    else:
        released, config = open_released(folder, words)
        tensors = Linked(released, links_of(config), to_ours=True)
    if source != folder:
        tensors = _trained(tensors, config, source, lora_alpha)
    kept = _kept_fields(folder, layout)
    with new_folder(out) as partial:
        if to == Layout.RELEASED:
            write_released(partial, tensors, config, words, kept, shard_bytes)
        else:
            if kept is not None:
                write_json(partial / RELEASED_CONFIG_NAME, kept)
            write_ours(partial, tensors, config, words, shard_bytes)
        if source == folder:  # nobody knows what a training file of the reference was trained on
            keep_history(folder, partial)
    return layout


def _model_folder(source: Path, base: Path | None) -> Path:
    """Return the folder that holds the whole model: the source itself, or the base of a training file."""
    if source.is_dir():
        if base is not None:
            raise ConfigError("only a training file has a base", where="--base", remedy="leave it out")
        return source
    if source.suffix not in TRAINING_SUFFIXES:
        raise ModelError("neither a folder nor a training file (.pth)", where=source, remedy="check the path")
    if base is None:
        raise ConfigError(
            f"{source.name} holds only what was trained",
            where="--base",
            remedy="give the folder of the model that training started from",
        )
    return base


def _trained(tensors: Source, config: Sa2VAConfig, file: Path, lora_alpha: float | None) -> Source:
    """Put the parts of a training file over a model, both in our layout."""
    links = links_of(config, tuple(tensors.specs))
    trained, rest = load_tensors(file)
    alpha = lora_alpha if lora_alpha is not None else found_alpha(rest)
    merged = TrainedSource(Linked(tensors, links, to_ours=False), trained, alpha, where=file)
    return Linked(merged, links, to_ours=True)


def _kept_fields(folder: Path, layout: Layout) -> dict[str, object] | None:
    """Return the released config.json that a model came with."""
    if layout is Layout.RELEASED:
        return read_config(folder)
    path = folder / RELEASED_CONFIG_NAME
    return read_json(path) if path.exists() else None
