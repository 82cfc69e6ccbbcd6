"""Adapters: what was trained of a model, and nothing else, bound to the base that it was trained on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoModel

from angiova.errors import ModelError
from angiova.files import atomic_path, read_json, write_json
from angiova.model.convert.names import check_tensors, shapes_of
from angiova.model.fingerprint import fingerprint
from angiova.model.modeling import Sa2VAModel
from angiova.model.parts import parts_of
from angiova.model.quantised import is_quantised
from angiova.model.trainable import LoraSettings, TrainableSettings
from angiova.model.vocabulary import merge_new_rows, train_new_rows

ADAPTER_NAME: Final = "adapter.json"
WEIGHTS_NAME: Final = "adapter.safetensors"
ADAPTER_FORMAT: Final = 1
NUM_NEW_TOKENS: Final = 5  # [SEG] <p> </p> <vp> </vp>, consecutive in every vocabulary


class Base(BaseModel):
    """The model that an adapter belongs to.

    Attributes:
        folder: where it lay when the adapter was trained.
        fingerprint: of its weights, see `angiova.model.fingerprint`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    fingerprint: str


class AdapterRecord(BaseModel):
    """Content of `adapter.json`.

    Attributes:
        format: version of this layout.
        base: the model it belongs to.
        trainable: what was trained.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = ADAPTER_FORMAT
    base: Base
    trainable: TrainableSettings


def select_trainable(model: Sa2VAModel, settings: TrainableSettings) -> None:
    """Freeze the model, then make trainable what the settings name; LoRA layers and new rows are put in place.

    Prompts of points, boxes and masks stay frozen always: Sa2VA does not use them.
    """
    model.requires_grad_(False)
    parts = parts_of(model)
    for name in ("vision_tower", "projector", "bridge", "segmenter_encoder", "segmenter_memory", "refiner"):
        if getattr(settings, name):
            _unfreeze(parts.get(name, []))
    if settings.segmenter_decoder:
        _unfreeze([model.segmenter.mask_decoder])
    if settings.segmenter_memory:
        _unfreeze_memory_vectors(model.segmenter)
    if settings.segmenter_encoder:
        model.segmenter.no_memory_embedding.requires_grad_(True)
        _unfreeze([model.segmenter.prompt_encoder.no_mask_embed, model.segmenter.prompt_encoder.not_a_point_embed])
    if settings.language_model == "full":
        _unfreeze(parts["language_model"])
    elif settings.language_model == "lora":
        _add_lora(model, settings.lora)
    _choose_vocabulary(model, settings.vocabulary)


def adapter_tensors(model: Sa2VAModel) -> dict[str, Tensor]:
    """Return what is trained, by name; a tensor shared by two modules appears once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


def save_adapter(
    folder: Path,
    model: Sa2VAModel | dict[str, Tensor],
    base: Base,
    settings: TrainableSettings,
    dtype: torch.dtype | None = None,
) -> None:
    """Write `adapter.safetensors` and `adapter.json`, then reopen and compare every value.

    Args:
        folder: where to write; made when missing.
        model: a model after `select_trainable`, or its `adapter_tensors`.
        base: the model that it was before.
        settings: what was trained.
        dtype: type to store; None keeps each tensor's own.

    Raises:
        ModelError: what was written reads back differently.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = model if isinstance(model, dict) else adapter_tensors(model)
    tensors = {name: t.to("cpu", dtype or t.dtype).contiguous() for name, t in trained.items()}
    with atomic_path(folder / WEIGHTS_NAME) as partial:
        save_file(tensors, partial, metadata={"format": "pt"})
    record = AdapterRecord(base=base, trainable=settings)
    write_json(folder / ADAPTER_NAME, record.model_dump(mode="json"))
    reopened = _read_tensors(folder / WEIGHTS_NAME)
    different = [name for name, t in tensors.items() if name not in reopened or not torch.equal(t, reopened[name])]
    if different or len(reopened) != len(tensors):
        raise ModelError(f"{len(different)} tensors read back differently", where=folder, remedy="check the disk")


def read_adapter(folder: Path) -> AdapterRecord:
    """Return what `adapter.json` says.

    Raises:
        ModelError: it cannot be read, or is of a later format.
    """
    try:
        record = AdapterRecord.model_validate(read_json(folder / ADAPTER_NAME))
    except ValidationError as error:
        raise ModelError(f"adapter cannot be read ({error.errors()[0]['msg']})", where=folder / ADAPTER_NAME) from None
    if record.format != ADAPTER_FORMAT:
        raise ModelError(f"adapter format {record.format} is not known", where=folder, remedy="update angiova")
    return record


def check_base(record: AdapterRecord, found: Base) -> None:
    """Compare an adapter's base with the one at hand.

    Raises:
        ModelError: it is another one.
    """
    if found.fingerprint != record.base.fingerprint:
        raise ModelError(
            f"the adapter was trained on another base ({record.base.folder}, {record.base.fingerprint[:12]}; "
            f"this is {found.fingerprint[:12]})",
            where=found.folder,
            remedy="give the base that it was trained on",
        )


def attach_adapter(model: Sa2VAModel, folder: Path, base: Path) -> AdapterRecord:
    """Put the adapter in `folder` on `model`, which was opened from `base`.

    Raises:
        ModelError: the adapter belongs to another base, or a tensor is missing, left over or of another shape.
    """
    record = read_adapter(folder)
    check_base(record, Base(folder=base, fingerprint=fingerprint(base)))
    select_trainable(model, record.trainable)
    for parameter in model.parameters():
        if parameter.requires_grad:  # so that nothing is rounded before it is merged
            parameter.data = parameter.data.float()
    load_adapter_tensors(model, folder / WEIGHTS_NAME)
    return record


def load_adapter_tensors(model: Sa2VAModel, path: Path) -> None:
    """Fill everything that is trained from a file, or fail without changing anything.

    Raises:
        ModelError: a tensor is missing, left over or of another shape.
    """
    stored, wanted = _read_tensors(path), adapter_tensors(model)
    check_tensors(shapes_of(wanted), shapes_of(stored), where=path, remedy="copy the whole adapter again")
    for name, tensor in wanted.items():
        tensor.copy_(stored[name])


def merge_adapter(model: Sa2VAModel) -> None:
    """Fold LoRA updates and new rows into the plain weights; the model is then like any other."""
    layers: dict[str, Any] = {name: m for name, m in model.named_modules() if isinstance(m, LoraLayer)}
    for name, layer in layers.items():
        layer.merge(safe_merge=True)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, layer.get_base_layer())
    merge_new_rows(model)


def _unfreeze_memory_vectors(sam: Sam2VideoModel) -> None:
    """Train the memory's single vectors and the projection of pointer times, which SAM 2.1 alone has."""
    sam.memory_temporal_positional_encoding.requires_grad_(True)
    sam.no_object_pointer.requires_grad_(True)
    sam.temporal_positional_encoding_projection_layer.requires_grad_(True)
    if sam.occlusion_spatial_embedding_parameter is not None:
        sam.occlusion_spatial_embedding_parameter.requires_grad_(True)


def _add_lora(model: Sa2VAModel, lora: LoraSettings) -> None:
    targets = "|".join(map(re.escape, lora.targets))
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=rf"vlm\.model\.language_model\..*\.({targets})",
    )
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.is_loaded_in_4bit = any(map(is_quantised, model.parameters()))  # PEFT asks which layers to make
    try:
        inject_adapter_in_model(config, model)
    except ValueError as error:
        raise ModelError(f"no LoRA layer ({error})", where="trainable.lora.targets") from None
    finally:
        del model.is_loaded_in_4bit  # accelerate would take the model for one that transformers loaded
    for parameter in trainable:  # PEFT freezes everything that is not its own
        parameter.requires_grad_(True)


def _choose_vocabulary(model: Sa2VAModel, choice: str) -> None:
    matrices = [model.vlm.get_input_embeddings().weight, model.vlm.lm_head.weight]
    for matrix in matrices:
        matrix.requires_grad_(choice == "whole")
    if choice == "new_rows":
        train_new_rows(model, NUM_NEW_TOKENS)


def _unfreeze(modules: list[nn.Module]) -> None:
    for module in modules:
        module.requires_grad_(True)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"weights cannot be read ({error})", where=path) from None
