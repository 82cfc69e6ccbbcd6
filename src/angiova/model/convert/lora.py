"""The reference's training files: the trained parts only, the language model's as LoRA under PEFT's names."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from angiova.errors import ConfigError, ModelError
from angiova.model.convert.names import check_tensors, listed
from angiova.model.convert.sources import Source

_PREFIXES: Final = (("mllm.model.", ""), ("language_model.base_model.model.", "language_model."))
_MODULE_COPY: Final = re.compile(r"\.modules_to_save\.default\.")
_ADAPTER: Final = re.compile(r"^(.*)\.lora_(A|B)\.(?:default\.)?weight$")
_ALPHA: Final = re.compile(r"\blora_alpha\s*=\s*([0-9.]+)")
_FOREIGN: Final = re.compile(r"GLOBAL (\S+)")
_CONTAINERS: Final = ("state_dict", "module", "model")
_LAYER: Final = re.compile(r"^(language_model\.model\.layers\.)(\d+)(\..*)$")
# What every training file of the reference holds in full, beside the language model's part.
_ALWAYS_TRAINED: Final = ("mlp1.", "text_hidden_fcs.", "grounding_encoder.sam2_model.sam_mask_decoder.")


class _LogBuffer:
    """Stands in for the log that mmengine stores beside the tensors; it keeps nothing and does nothing."""

    def __setstate__(self, state: object) -> None:
        """Forget the state."""


# numpy's own functions for its arrays and numbers, found without its private modules.
_RECONSTRUCT: Any = np.zeros(0).__reduce__()[0]
_SCALAR: Any = np.float64(0).__reduce__()[0]
# By these names torch's reader of tensors and plain values may make inert objects; nothing else is added to its list.
_INERT: tuple[tuple[Callable[..., Any], str], ...] = (
    (_LogBuffer, "mmengine.logging.history_buffer.HistoryBuffer"),
    (np.ndarray, "numpy.ndarray"),
    (np.dtype, "numpy.dtype"),
    *((type(np.dtype(kind)), f"numpy.dtypes.{type(np.dtype(kind)).__name__}") for kind in ("f8", "f4", "i8", "i4")),
    *((_RECONSTRUCT, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a `.pth` or `.pt` file, and what else lies beside them.

    Only tensors and plain values are read; a file that would run code is refused, never opened another way.

    Raises:
        ModelError: the file is missing, damaged, or holds other objects than tensors and plain values.
    """
    if not path.is_file():
        raise ModelError("file not found", where=path)
    try:
        with torch.serialization.safe_globals(list(_INERT)):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # torch raises whatever its archive and its reader of objects happen to
        foreign = _FOREIGN.search(str(error))
        what = "damaged or cut short" if foreign is None else f"holds more than tensors ({foreign[1]})"
        raise ModelError(
            what,
            where=path,
            remedy="copy it again"
            if foreign is None
            else "it could run code; where it was made, save torch.save({'state_dict': file['state_dict']}, new)",
        ) from None
    if not isinstance(content, Mapping):
        raise ModelError("is not a table of tensors", where=path)
    key = next((name for name in _CONTAINERS if isinstance(content.get(name), Mapping)), None)
    tensors = content if key is None else content[key]
    rest = {} if key is None else {name: value for name, value in content.items() if name != key}
    strange = [str(name) for name, value in tensors.items() if not isinstance(value, Tensor)]
    if strange or not tensors:
        raise ModelError(f"is not a table of tensors ({listed(strange) or 'empty'})", where=path)
    return dict(tensors), rest


def found_alpha(rest: Mapping[str, Any]) -> float | None:
    """Return LoRA's alpha as the training configuration inside a `.pth` states it, if it does so once."""
    meta = rest.get("meta")
    text = str(meta.get("cfg", "")) if isinstance(meta, Mapping) else ""
    values = {float(value) for value in _ALPHA.findall(text)}
    return values.pop() if len(values) == 1 else None


class TrainedSource:
    """A base model with the parts that training changed, under released names.

    LoRA is merged, W + alpha / r B A, in float32; every tensor keeps the kind that it has in the base.

    Args:
        base: the model that training started from, in the released layout.
        trained: content of a training file.
        alpha: LoRA's alpha; needed when the file has LoRA.
        where: the training file, for messages.

    Raises:
        ModelError: the file has tensors that the base has not, of another shape, or half of a LoRA pair.
        ConfigError: alpha is needed and not known.
    """

    def __init__(self, base: Source, trained: Mapping[str, Tensor], alpha: float | None, where: object) -> None:
        self._base, self.specs = base, base.specs
        self._replaced, self._pairs = _sorted_out(trained, where)
        self._alpha = alpha if alpha is not None else 0.0
        if self._pairs and alpha is None:
            raise ConfigError(
                "the file has LoRA weights, and does not say their alpha",
                where="--lora-alpha",
                remedy="give the value that it was trained with, e.g. 256",
            )
        self._check(where)

    def read(self, name: str) -> Tensor:
        """Return one tensor of the trained model."""
        dtype = self.specs[name].dtype
        weight = self._replaced[name] if name in self._replaced else self._base.read(name)
        if name in self._pairs:
            down_rI, up_Or = (matrix.float() for matrix in self._pairs[name])
            weight = weight.float() + self._alpha / down_rI.shape[0] * (up_Or @ down_rI)
        return weight.to(dtype)

    def _check(self, where: object) -> None:
        shapes = {name: tuple(tensor.shape) for name, tensor in self._replaced.items()}
        shapes |= {name: (up.shape[0], down.shape[1]) for name, (down, up) in self._pairs.items()}
        expected = set(shapes) | _siblings(self._pairs, self.specs)
        expected |= {name for name in self.specs if name.startswith(_ALWAYS_TRAINED)}
        known = {name: self.specs[name].shape for name in expected if name in self.specs}
        check_tensors(
            known,
            shapes,
            where=where,
            remedy="give the whole training file, and by --base the very model that training started from",
        )


def _siblings(pairs: Mapping[str, object], names: Collection[str]) -> set[str]:
    """Return the tensors that have LoRA if every layer has it where some layer has it."""
    adapted = {match[3] for name in pairs if (match := _LAYER.match(name))}
    return {name for name in names if (match := _LAYER.match(name)) and match[3] in adapted}


def _sorted_out(
    trained: Mapping[str, Tensor], where: object
) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
    """Return replaced tensors and LoRA pairs (down of shape (r, I), up of shape (O, r)), by released name."""
    replaced: dict[str, Tensor] = {}
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in trained.items():
        released = released_name(name)
        adapter = _ADAPTER.match(released)
        if adapter:
            halves.setdefault(f"{adapter[1]}.weight", {})[adapter[2]] = tensor
        elif ".original_module." not in released:  # PEFT's frozen copy of what modules_to_save replaces
            replaced[released] = tensor
    single = sorted(name for name, half in halves.items() if half.keys() != {"A", "B"})
    if single:
        raise ModelError(f"half of a LoRA pair is missing for {listed(single)}", where=where, remedy="copy it again")
    return replaced, {name: (half["A"], half["B"]) for name, half in halves.items()}


def released_name(name: str) -> str:
    """Return the released name of a tensor of a training file, LoRA's suffix kept."""
    for old, new in _PREFIXES:
        name = name.replace(old, new, 1) if name.startswith(old) else name
    name = _MODULE_COPY.sub(".", name).replace(".base_layer.", ".")
    return re.sub(r"\.gamma$", ".g_weight", name)
