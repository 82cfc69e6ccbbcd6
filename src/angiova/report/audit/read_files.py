"""Checkpoints on disk: sizes and the headers of safetensors files. No tensor is loaded, nothing unpickled."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Final

from angiova.errors import DataError
from angiova.report.audit.claims import Claims, parse_claims
from angiova.report.audit.reading import list_files

WEIGHT_SUFFIXES: Final = frozenset({".pth", ".pt", ".bin", ".ckpt", ".safetensors"})
MAX_HEADER_BYTES: Final = 100_000_000  # safetensors' own limit
_LENGTH_BYTES: Final = 8


def claims_of_files(folder: Path) -> Claims:
    """Return the weight files of a folder with their sizes, and the parameters of those that are safetensors.

    Raises:
        DataError: a header is damaged, or there are too many files.
    """
    paths = [path for path in list_files(folder) if path.suffix in WEIGHT_SUFFIXES]
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    sizes = {names[path]: path.stat().st_size for path in paths}
    counts = {names[path]: num_parameters(path) for path in paths if path.suffix == ".safetensors"}
    return parse_claims({"checkpoints": {"files": sizes, "parameters": counts}}, where=folder)


def num_parameters(path: Path) -> int:
    """Return how many values a safetensors file holds, from its header alone.

    Raises:
        DataError: the header is damaged, or describes other bytes than the file has.
    """
    header, num_data_bytes = _header(path)
    total, end = 0, 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            shape, offsets = [int(n) for n in entry["shape"]], [int(n) for n in entry["data_offsets"]]
        except (TypeError, KeyError, ValueError):
            raise DataError(f"tensor {name!r} has no shape or place", where=path, remedy="save it again") from None
        if len(offsets) != 2 or min(*offsets, *shape, 0) < 0:
            raise DataError(f"tensor {name!r} has an impossible shape or place", where=path, remedy="save it again")
        total, end = total + prod(shape), max(end, offsets[1])
    if end != num_data_bytes:
        message = f"the header describes {end:,} bytes of tensors, the file has {num_data_bytes:,}"
        raise DataError(message, where=path, remedy="the file is cut or damaged; save it again")
    return total


def _header(path: Path) -> tuple[dict[str, dict[str, list[int]]], int]:
    """Return the header and how many bytes of tensors follow it."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        if not 0 < length <= min(MAX_HEADER_BYTES, size - _LENGTH_BYTES):
            raise DataError(f"a header of {length:,} bytes cannot be", where=path, remedy="no safetensors file, or cut")
        text = stream.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError("the header is not JSON", where=path, remedy="save it again") from None
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        raise DataError("the header is no list of tensors", where=path, remedy="save it again")
    return header, size - _LENGTH_BYTES - length
