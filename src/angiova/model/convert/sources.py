"""Where tensors come from: files read one tensor at a time, and views that rename, join or replace on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from angiova.errors import ModelError
from angiova.files import read_json
from angiova.model.convert.names import Link

INDEX_NAME: Final = "model.safetensors.index.json"
SINGLE_NAME: Final = "model.safetensors"
DTYPES: Final = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
DTYPE_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape and kind of a tensor that has not been read."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """Size in a file."""
        return prod(self.shape) * self.dtype.itemsize

    def meta(self) -> Tensor:
        """Return a tensor of this kind that takes no memory."""
        return torch.empty(self.shape, dtype=self.dtype, device="meta")


class Source(Protocol):
    """Named tensors that are read one at a time."""

    @property
    def specs(self) -> Mapping[str, Spec]:
        """Shape and kind of every tensor."""

    def read(self, name: str) -> Tensor:
        """Return one tensor."""


class SafetensorsSource:
    """A folder of safetensors, in one file or in shards; only headers are read on opening.

    Args:
        folder: the folder; with an index every file it names must be whole and hold what it says.

    Raises:
        ModelError: there are no safetensors, or a file is missing, damaged or of an unknown kind.
    """

    def __init__(self, folder: Path) -> None:
        self.file_of: dict[str, Path] = {}
        self.specs: dict[str, Spec] = {}
        for path in _files_of(folder):
            for name, spec in _header(path).items():
                if name in self.specs:
                    raise ModelError(f"tensor {name} is in two files", where=path, remedy="remove the one too many")
                self.specs[name], self.file_of[name] = spec, path
        _check_index(folder, self.file_of)

    def read(self, name: str) -> Tensor:
        """Return one tensor; its file is closed again, so that its pages leave the memory with the tensor."""
        with safe_open(self.file_of[name], framework="pt") as opened:
            tensor: Tensor = opened.get_tensor(name)
        return tensor


class MemorySource:
    """Tensors at hand."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self.specs = {name: Spec(tuple(t.shape), t.dtype) for name, t in tensors.items()}

    def read(self, name: str) -> Tensor:
        """Return one tensor."""
        return self._tensors[name]


class Renamed:
    """A source under other names; tensors without one are left out.

    Args:
        source: the tensors.
        rename: the new name of a tensor, or None.
    """

    def __init__(self, source: Source, rename: Callable[[str], str | None]) -> None:
        self._source = source
        self._old = {new: old for old in source.specs if (new := rename(old)) is not None}
        self.specs = {new: source.specs[old] for new, old in self._old.items()}

    def read(self, name: str) -> Tensor:
        """Return one tensor by its new name."""
        return self._source.read(self._old[name])


class Joined:
    """Several sources as one; where two have a tensor the later one counts."""

    def __init__(self, *sources: Source) -> None:
        self._source_of = {name: source for source in sources for name in source.specs}
        self.specs = {name: source.specs[name] for name, source in self._source_of.items()}

    def read(self, name: str) -> Tensor:
        """Return one tensor."""
        return self._source_of[name].read(name)


class Linked:
    """A source in the layout on the other side of its links.

    Args:
        source: tensors under the names of one side; all of them must be there.
        links: see `Link`.
        to_ours: whether the source has the released layout.
    """

    def __init__(self, source: Source, links: Sequence[Link], *, to_ours: bool) -> None:
        self._source, self._to_ours = source, to_ours
        self._place: dict[str, tuple[Link, int]] = {}
        self.specs: dict[str, Spec] = {}
        for link in links:
            inputs = [source.specs[name].meta() for name in (link.released if to_ours else link.ours)]
            outputs = link.way.unfold(inputs) if to_ours else link.way.fold(inputs)
            for position, name in enumerate(link.ours if to_ours else link.released):
                self._place[name] = (link, position)
                self.specs[name] = Spec(tuple(outputs[position].shape), outputs[position].dtype)

    def read(self, name: str) -> Tensor:
        """Return one tensor of the other layout."""
        link, position = self._place[name]
        if self._to_ours:
            return link.way.unfold([self._source.read(part) for part in link.released])[position]
        return link.way.fold([self._source.read(part) for part in link.ours])[position]


def _files_of(folder: Path) -> list[Path]:
    """Return the files of a model, as transformers chooses them: beside model.safetensors none counts.

    A checkpoint of ours holds further ones, for resuming.
    """
    index, whole = folder / INDEX_NAME, folder / "model.safetensors"
    if index.exists():
        files = [folder / name for name in sorted(set(_weight_map(index).values()))]
    elif whole.exists():
        files = [whole]
    else:
        files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError("no safetensors in this folder", where=folder, remedy="give a folder with model.safetensors")
    return files


def _weight_map(index: Path) -> dict[str, str]:
    content = read_json(index)
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ModelError("field 'weight_map' is not a table of file names", where=index)
    outside = [name for name in names.values() if Path(name).name != name]
    if outside:
        raise ModelError(f"names a file outside the folder: {outside[0]}", where=index, remedy="do not use this folder")
    return names


def _header(path: Path) -> dict[str, Spec]:
    """Return the tensors of a file; the library refuses a file whose length is not what the header says."""
    try:
        with safe_open(path, framework="pt") as opened:
            parts = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118  (not a mapping)
            kinds = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in parts.items()}
    except FileNotFoundError:
        raise ModelError("file not found", where=path, remedy="complete the folder; a shard is missing") from None
    except (OSError, SafetensorError) as error:
        raise ModelError(f"damaged or cut short ({error})", where=path, remedy="copy or download it again") from None
    unknown = sorted({kind for _, kind in kinds.values()} - DTYPES.keys())
    if unknown:
        raise ModelError(f"tensors of kind {unknown[0]} are not supported", where=path, remedy="save it as bfloat16")
    return {name: Spec(shape, DTYPES[kind]) for name, (shape, kind) in kinds.items()}


def _check_index(folder: Path, file_of: Mapping[str, Path]) -> None:
    index = folder / INDEX_NAME
    if not index.exists():
        return
    named = _weight_map(index)
    wrong = sorted(name for name in named.keys() | file_of.keys() if _path_name(file_of, name) != named.get(name))
    if wrong:
        raise ModelError(
            f"does not agree with its shards about {wrong[0]}", where=index, remedy="copy the folder again"
        )


def _path_name(file_of: Mapping[str, Path], name: str) -> str | None:
    return file_of[name].name if name in file_of else None
