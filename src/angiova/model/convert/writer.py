"""Checkpoint folders written tensor by tensor: the memory it takes is that of the largest tensor, not of the model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from angiova.errors import ModelError
from angiova.files import write_json
from angiova.model.convert.sources import DTYPE_NAMES, INDEX_NAME, SINGLE_NAME, Source, Spec

SHARD_BYTES: Final = 5 * 10**9


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `out` that becomes `out` at the end, or vanishes on failure or Ctrl-C.

    Raises:
        ModelError: `out` is there already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError("is there already", where=out, remedy="give a folder that does not exist yet")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_tensors(folder: Path, source: Source, shard_bytes: int = SHARD_BYTES) -> None:
    """Write all tensors of a source as safetensors, the index last; the same files that transformers would write.

    Args:
        folder: an empty folder.
        source: the tensors.
        shard_bytes: largest shard; a single tensor may exceed it.
    """
    shards = _shards(source.specs, shard_bytes)
    if len(shards) == 1:
        write_safetensors(folder / SINGLE_NAME, source, shards[0])
        return
    file_of: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file_name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_safetensors(folder / file_name, source, names)
        file_of |= dict.fromkeys(names, file_name)
    total = sum(spec.num_bytes for spec in source.specs.values())
    write_json(folder / INDEX_NAME, {"metadata": {"total_size": total}, "weight_map": dict(sorted(file_of.items()))})


def write_safetensors(path: Path, source: Source, names: Sequence[str]) -> None:
    """Write the named tensors to one file (format: https://github.com/huggingface/safetensors), one at a time.

    Raises:
        ModelError: a tensor is not what its source announced.
    """
    ordered = sorted(names, key=lambda name: (-source.specs[name].dtype.itemsize, name))  # as the library orders them
    with path.open("wb") as stream:
        stream.write(_header_bytes([(name, source.specs[name]) for name in ordered]))
        for name in ordered:
            tensor, spec = source.read(name), source.specs[name]
            if Spec(tuple(tensor.shape), tensor.dtype) != spec:
                raise ModelError(f"{name} is {list(tensor.shape)} {tensor.dtype}, not as announced", where=path.name)
            stream.write(_bytes_of(tensor))
        stream.flush()
        os.fsync(stream.fileno())


def main_dtype(specs: Mapping[str, Spec]) -> torch.dtype:
    """Return the floating-point kind of most values."""
    num_bytes: dict[torch.dtype, int] = {}
    for spec in specs.values():
        if spec.dtype.is_floating_point:
            num_bytes[spec.dtype] = num_bytes.get(spec.dtype, 0) + spec.num_bytes
    return max(num_bytes, key=lambda dtype: num_bytes[dtype])


def _shards(specs: Mapping[str, Spec], shard_bytes: int) -> list[list[str]]:
    """Fill one shard after the other, in the order of the source."""
    shards: list[list[str]] = [[]]
    room = shard_bytes
    for name, spec in specs.items():
        if shards[-1] and spec.num_bytes > room:
            shards.append([])
            room = shard_bytes
        shards[-1].append(name)
        room -= spec.num_bytes
    return shards


def _header_bytes(specs: Sequence[tuple[str, Spec]]) -> bytes:
    """Return the length of the header as eight bytes and the header, padded to a multiple of eight."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, spec in specs:
        end = start + spec.num_bytes
        header[name] = {"dtype": DTYPE_NAMES[spec.dtype], "shape": list(spec.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes_of(tensor: Tensor) -> memoryview:
    values: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return memoryview(values)
