"""Telling one model's weights from another's in a second, also when they fill 16 GB."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any, BinaryIO, Final

from angiova.errors import ModelError

SAMPLE_BYTES: Final = 4096
MAX_HEADER_BYTES: Final = 100_000_000


def fingerprint(folder: Path) -> str:
    """Return a SHA-256 over names, types, shapes and samples of every tensor in a folder's safetensors files.

    The first and last `SAMPLE_BYTES` bytes of each tensor enter, whatever file it lies in, so the same weights in other
    shards have the same fingerprint, and a model that was trained further has another one. It is made to tell models
    apart, not to find a flipped bit: `complete.json` has the hashes of whole files.

    Raises:
        ModelError: there are no weights, or a file is damaged.
    """
    entries: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as stream:
            entries |= _samples(stream, path)
    if not entries:
        raise ModelError("no safetensors file", where=folder, remedy="give the folder of a model")
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def read_header(stream: BinaryIO, path: Path) -> tuple[dict[str, Any], int]:
    """Return the header of a safetensors file and where its tensors start.

    Raises:
        ModelError: the header is damaged, or the file is shorter than it says.
    """
    try:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"header of {length} bytes")
        header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        needed = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    except (struct.error, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ModelError(f"not a safetensors file ({error})", where=path, remedy="copy it again") from None
    if path.stat().st_size != 8 + length + needed:
        raise ModelError("file is truncated or has bytes too many", where=path, remedy="copy it again")
    return header, 8 + length


def _samples(stream: BinaryIO, path: Path) -> dict[str, list[Any]]:
    header, start = read_header(stream, path)
    entries = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        digest = hashlib.sha256()
        for offset in sorted({begin, max(begin, end - SAMPLE_BYTES)}):
            stream.seek(start + offset)
            digest.update(stream.read(min(SAMPLE_BYTES, end - offset)))
        entries[name] = [entry["dtype"], entry["shape"], digest.hexdigest()]
    return entries
