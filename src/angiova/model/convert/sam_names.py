"""Names of SAM2's tensors: transformers' `Sam2VideoModel` on one side, Meta's own on the other."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

# Both are buffers of one random matrix, which Meta's code holds once.
POSITION_COPIES: Final = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)
POSITION: Final = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
POINTS: Final = "prompt_encoder.point_embed.weight"
FUSER_SCALE: Final = "gamma"

_RENAMES: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^vision_encoder\.neck\.convs\.(\d+)\.", r"image_encoder.neck.convs.\1.conv."),
        (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
        (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
        (r"^prompt_encoder\.mask_embed\.conv1\.", "sam_prompt_encoder.mask_downscaling.0."),
        (r"^prompt_encoder\.mask_embed\.layer_norm1\.", "sam_prompt_encoder.mask_downscaling.1."),
        (r"^prompt_encoder\.mask_embed\.conv2\.", "sam_prompt_encoder.mask_downscaling.3."),
        (r"^prompt_encoder\.mask_embed\.layer_norm2\.", "sam_prompt_encoder.mask_downscaling.4."),
        (r"^prompt_encoder\.mask_embed\.conv3\.", "sam_prompt_encoder.mask_downscaling.6."),
        (r"^prompt_encoder\.", "sam_prompt_encoder."),
        (r"^mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
        (r"^mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
        (r"^mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
        (r"^mask_decoder\.", "sam_mask_decoder."),
        (r"^memory_encoder\.feature_projection\.", "memory_encoder.pix_feat_proj."),
        (r"^memory_encoder\.projection\.", "memory_encoder.out_proj."),
        (r"^memory_encoder\.memory_fuser\.layers\.(\d+)\.scale$", rf"memory_encoder.fuser.layers.\1.{FUSER_SCALE}"),
        (r"^memory_encoder\.memory_fuser\.", "memory_encoder.fuser."),
        (r"\.depthwise_conv\.", ".dwconv."),
        (r"\.pointwise_conv(\d)\.", r".pwconv\1."),
        (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
        (r"\.layer_norm(\d?)\.", r".norm\1."),
        (r"\.o_proj\.", ".out_proj."),
        (r"^object_pointer_proj\.", "obj_ptr_proj."),
        (r"^temporal_positional_encoding_projection_layer\.", "obj_ptr_tpos_proj."),
        (r"^no_memory_embedding$", "no_mem_embed"),
        (r"^no_memory_positional_encoding$", "no_mem_pos_enc"),
        (r"^memory_temporal_positional_encoding$", "maskmem_tpos_enc"),
        (r"^no_object_pointer$", "no_obj_ptr"),
        (r"^occlusion_spatial_embedding_parameter$", "no_obj_embed_spatial"),
    )
)
_DOWNSAMPLER: Final = re.compile(
    r"^(memory_encoder\.mask_downsampler\.)(?:layers\.(\d+)\.(conv|layer_norm)|final_conv)\."
)
_PERCEPTRON: Final = re.compile(r"^(.*\.|)(proj_in|proj_out|layers\.(\d+))\.(weight|bias)$")


def official_name(name: str, names: Collection[str]) -> str:
    """Return Meta's name of a tensor that transformers calls `name`; `names` are all names of the model."""
    downsampler = _DOWNSAMPLER.match(name)
    if downsampler:
        return _downsampler_name(name, downsampler, names)
    name = _perceptron_name(name, names)
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    return name


def point_names(num_points: int) -> tuple[str, ...]:
    """Return Meta's names of the rows of the point embedding."""
    return tuple(f"sam_prompt_encoder.point_embeddings.{index}.weight" for index in range(num_points))


def _downsampler_name(name: str, match: re.Match[str], names: Collection[str]) -> str:
    """Number the layers as one sequence of convolution, norm and activation, closed by a convolution."""
    prefix, layer, kind = match.groups()
    num_layers = sum(other.startswith(f"{prefix}layers.") and other.endswith(".conv.weight") for other in names)
    position = 3 * num_layers if layer is None else 3 * int(layer) + (kind == "layer_norm")
    return f"{prefix}encoder.{position}.{name.rsplit('.', 1)[-1]}"


def _perceptron_name(name: str, names: Collection[str]) -> str:
    """Number the layers of a perceptron whose first and last layer transformers calls `proj_in` and `proj_out`."""
    match = _PERCEPTRON.match(name)
    if match is None or f"{match[1]}proj_in.weight" not in names:
        return name
    num_hidden = sum(other.startswith(f"{match[1]}layers.") and other.endswith(".weight") for other in names)
    position = {"proj_in": 0, "proj_out": num_hidden + 1}.get(match[2])
    return f"{match[1]}layers.{int(match[3]) + 1 if position is None else position}.{match[4]}"
