"""The parts of a model, for reports and for choosing what is trained."""

from __future__ import annotations

from torch import nn

from angiova.errors import ConfigError
from angiova.model.modeling import Sa2VAModel
from angiova.model.quantised import is_quantised, num_stored_bytes, num_weights
from angiova.run_record import ModelPart


def parts_of(model: Sa2VAModel) -> dict[str, list[nn.Module]]:
    """Return the modules of each named part; what is in no part counts as `segmenter_other` in `parameter_table`."""
    sam, vlm = model.segmenter, model.vlm
    parts: dict[str, list[nn.Module]] = {
        "vision_tower": [vlm.model.vision_tower],
        "projector": [vlm.model.multi_modal_projector],
        "language_model": [vlm.model.language_model.layers, vlm.model.language_model.norm],
        "vocabulary": [vlm.get_input_embeddings(), vlm.lm_head],
        "bridge": [model.bridge],
        "segmenter_encoder": [sam.vision_encoder],
        "segmenter_decoder": [sam.prompt_encoder, sam.mask_decoder],
        "segmenter_memory": [sam.memory_attention, sam.memory_encoder, sam.object_pointer_proj],
    }
    if model.refiner is not None:
        parts["refiner"] = [model.refiner]
    return parts


def parameter_table(model: Sa2VAModel) -> list[ModelPart]:
    """Count the parameters of each part, every tensor once, whole tensors (never one shard)."""
    rows = [_row(name, [p for m in modules for p in m.parameters()]) for name, modules in parts_of(model).items()]
    counted = {id(p) for modules in parts_of(model).values() for m in modules for p in m.parameters()}
    rest = [p for p in model.parameters() if id(p) not in counted]
    return [*rows, _row("segmenter_other", rest)]


def whole_as_part(model: nn.Module, name: str) -> ModelPart:
    """Count the parameters of a model that has no parts."""
    return _row(name, list(model.parameters()))


def part_parameters(model: Sa2VAModel, part: str) -> list[nn.Parameter]:
    """Return the parameters of a named part.

    Raises:
        ConfigError: the model has no such part.
    """
    parts = parts_of(model)
    if part not in parts:
        raise ConfigError(f"no part {part!r}", where="optimizer.lr_scale", remedy=f"one of: {', '.join(parts)}")
    return [parameter for module in parts[part] for parameter in module.parameters()]


def trained_parts(model: Sa2VAModel) -> dict[str, list[nn.Parameter]]:
    """Return the parameters of each part that are trained; parts without any are left out."""
    trained = {
        name: [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
        for name, modules in parts_of(model).items()
    }
    return {name: parameters for name, parameters in trained.items() if parameters}


def _row(name: str, parameters: list[nn.Parameter]) -> ModelPart:
    unique = list({id(p): p for p in parameters}.values())
    return ModelPart(
        name=name,
        total=sum(map(_whole_size, unique)),
        trainable=sum(_whole_size(p) for p in unique if p.requires_grad),
        num_bytes=sum(map(_whole_bytes, unique)),
    )


def _whole_size(parameter: nn.Parameter) -> int:
    """Return the number of elements over all devices.

    Below DeepSpeed's ZeRO-3 a parameter is empty between uses and keeps its whole size in `ds_numel`; FSDP's DTensor
    says its whole size by itself. Weights of four bits are packed in bytes.
    """
    if is_quantised(parameter):
        return num_weights(parameter)
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _whole_bytes(parameter: nn.Parameter) -> int:
    if is_quantised(parameter):
        return num_stored_bytes(parameter)
    return _whole_size(parameter) * parameter.element_size()
