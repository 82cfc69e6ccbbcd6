"""The two halves of an assembled model: InternVL and SAM2 from their own folders, read one tensor at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled
from transformers.models.internvl.configuration_internvl import InternVLConfig
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoConfig, Sam2VideoMaskDecoderConfig

from angiova.errors import ModelError
from angiova.model.configuration import Sa2VAConfig
from angiova.model.convert.folders import read_config
from angiova.model.convert.lora import load_tensors
from angiova.model.convert.names import (
    RELEASED_SEGMENTER,
    SEGMENTER,
    check_tensors,
    links_of,
    meta_state,
    released_shapes,
    shapes_of,
)
from angiova.model.convert.sources import Linked, MemorySource, Renamed, SafetensorsSource, Source
from angiova.model.sam2_sizes import HIERA_SIZES, Sam2Version, sam2_config

_FILES: Final = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
_HEAD: Final = re.compile(r"^(?:model\.)?(?:language_model\.)?lm_head\.")
_TEXT: Final = re.compile(r"^(?:model\.)?language_model\.(?:model\.)?")
_WHOLE: Final = re.compile(r"^(?:model\.)?(vision_tower|multi_modal_projector)\.")
_MASK_DECODER: Final = "mask_decoder_config"


def local_folder(place: str) -> Path:
    """Return the local folder or file that `place` names, fetched from the Hugging Face hub if it is not one.

    Raises:
        ModelError: there is no such thing here, and the hub cannot be reached or does not have it.
    """
    if Path(place).exists():
        return Path(place)
    try:
        return Path(snapshot_download(place, allow_patterns=_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"no folder here, and not to be had from the Hugging Face hub ({reason})",
            where=place,
            remedy="give the folder of a downloaded model",
        ) from None


def open_vlm(folder: Path) -> tuple[Source, InternVLConfig]:
    """Return InternVL's tensors under their names in `Sa2VAModel`, and its configuration.

    A head that the files hold is a head of its own, whatever the configuration says.

    Raises:
        ModelError: the folder holds no InternVL in transformers' own layout.
    """
    fields = read_config(folder)
    if fields.get("model_type") != InternVLConfig.model_type:
        raise ModelError(
            f"model_type {fields.get('model_type')!r} is not transformers' own InternVL",
            where=folder,
            remedy="give a folder whose name ends in -hf, e.g. OpenGVLab/InternVL3-2B-hf",
        )
    config = InternVLConfig.from_pretrained(folder, local_files_only=True)
    source = Renamed(SafetensorsSource(folder), _vlm_name)
    if "vlm.lm_head.weight" in source.specs:  # the file knows better than its configuration
        config.tie_word_embeddings = False
    if "vlm.model.language_model.embed_tokens.weight" not in source.specs:
        raise ModelError("no embedding table among its tensors", where=folder, remedy="download the folder again")
    return source, config


def open_sam(place: Path) -> tuple[Source, Sam2VideoConfig]:
    """Return SAM2's tensors under their names in `Sa2VAModel`, and its configuration.

    Args:
        place: a folder in transformers' layout, or a `.pt` file as Meta publishes it.

    Raises:
        ModelError: it is neither, or tensors are missing, unexpected or of another shape.
    """
    source, config = _open_meta_file(place) if place.is_file() else _open_sam_folder(place)
    state = {name: t for name, t in meta_state(_whole(config)).items() if name.startswith(SEGMENTER)}
    check_tensors(
        shapes_of(state),
        {name: spec.shape for name, spec in source.specs.items()},
        where=place,
        remedy="give SAM2 with its memory (a Sam2VideoModel folder or Meta's .pt), not its image half alone",
    )
    return source, config


def _vlm_name(name: str) -> str:
    """Published files and those of each transformers 5 release differ in their prefixes."""
    if _HEAD.match(name):
        return _HEAD.sub("vlm.lm_head.", name)
    if _WHOLE.match(name):
        return _WHOLE.sub(r"vlm.model.\1.", name)
    return _TEXT.sub("vlm.model.language_model.", name)


def _open_sam_folder(folder: Path) -> tuple[Source, Sam2VideoConfig]:
    fields = read_config(folder)
    if fields.get("model_type") not in ("sam2", Sam2VideoConfig.model_type):
        raise ModelError(
            f"model_type {fields.get('model_type')!r} is not SAM2",
            where=folder,
            remedy="give SAM2 in transformers' layout, e.g. facebook/sam2-hiera-large",
        )
    return Renamed(SafetensorsSource(folder), lambda name: SEGMENTER + name), _sam_config(fields)


def _sam_config(fields: Mapping[str, Any]) -> Sam2VideoConfig:
    """Return the stored configuration, without SAM2's own rule of which mask to take: Sa2VA chooses itself."""
    decoder = {k: v for k, v in fields.get(_MASK_DECODER, {}).items() if k != "model_type"}
    decoder["dynamic_multimask_via_stability"] = False
    other = {name: value for name, value in fields.items() if name not in (_MASK_DECODER, "model_type")}
    return Sam2VideoConfig(**other, mask_decoder_config=Sam2VideoMaskDecoderConfig(**decoder))


def _open_meta_file(path: Path) -> tuple[Source, Sam2VideoConfig]:
    """Find size and version by the tensors: width and depth tell the size, the marks of 2.1 the version."""
    tensors, _ = load_tensors(path)
    width = tensors.get("image_encoder.trunk.pos_embed")
    depth = len({name.split(".")[3] for name in tensors if name.startswith("image_encoder.trunk.blocks.")})
    found = None if width is None else (width.shape[1], depth)
    sizes = [size for size in HIERA_SIZES.values() if (size.embed_dim, sum(size.blocks)) == found]
    if not sizes:
        raise ModelError("is not SAM2 of a published size", where=path, remedy="convert it with transformers first")
    version: Sam2Version = "2.1" if "no_obj_embed_spatial" in tensors else "2.0"
    config = sam2_config(sizes[0], version=version)
    named = {RELEASED_SEGMENTER + re.sub(r"\.gamma$", ".g_weight", name): tensor for name, tensor in tensors.items()}
    state = meta_state(_whole(config))
    links = [link for link in links_of(_whole(config), state) if link.ours[0].startswith(SEGMENTER)]
    source = MemorySource(named)
    check_tensors(released_shapes(links, state), {name: spec.shape for name, spec in source.specs.items()}, where=path)
    return Linked(source, links, to_ours=True), config


def _whole(segmenter: Sam2VideoConfig) -> Sa2VAConfig:
    """Return the configuration of a model around this segmenter, as small as can be."""
    text = {"model_type": "qwen2", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    text |= {"num_key_value_heads": 1, "intermediate_size": 8, "vocab_size": 8}
    vision = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    vlm = InternVLConfig(vision_config=vision, text_config=text)
    return Sa2VAConfig(vlm_config=vlm.to_dict(), segmenter_config=segmenter.to_dict())
