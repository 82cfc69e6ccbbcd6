"""Which tensor of the released layout is which of ours, in both directions.

The links are made from the configuration: every tensor of our model gets its released counterpart, so that the names
and shapes that a released checkpoint must have are known before it is opened.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from angiova.errors import ModelError
from angiova.model.configuration import Sa2VAConfig
from angiova.model.convert.folds import Copies, Fold, Grouped, Same, Stack, Thirds
from angiova.model.convert.sam_names import POINTS, POSITION, POSITION_COPIES, official_name, point_names
from angiova.model.modeling import Sa2VAModel

VISION: Final = "vlm.model.vision_tower."
PROJECTOR: Final = "vlm.model.multi_modal_projector."
LANGUAGE: Final = "vlm.model.language_model."
HEAD: Final = "vlm.lm_head."
SEGMENTER: Final = "segmenter."
RELEASED_SEGMENTER: Final = "grounding_encoder.sam2_model."
NUM_NAMED: Final = 8

_VISION_RENAMES: Final = (
    ("embeddings.cls_token", "embeddings.class_embedding"),
    ("embeddings.position_embeddings", "embeddings.position_embedding"),
    ("embeddings.patch_embeddings.projection.", "embeddings.patch_embedding."),
    ("encoder.layer.", "encoder.layers."),
    (".lambda_1", ".ls1"),
    (".lambda_2", ".ls2"),
    (".attention.projection_layer.", ".attn.proj."),
    (".attention.", ".attn."),
    (".layernorm_before.", ".norm1."),
    (".layernorm_after.", ".norm2."),
)
_INTERNLM2_RENAMES: Final = (
    ("embed_tokens.", "tok_embeddings."),
    (".self_attn.o_proj.", ".attention.wo."),
    (".mlp.gate_proj.", ".feed_forward.w1."),
    (".mlp.down_proj.", ".feed_forward.w2."),
    (".mlp.up_proj.", ".feed_forward.w3."),
    (".input_layernorm.", ".attention_norm."),
    (".post_attention_layernorm.", ".ffn_norm."),
)
_WHOLE_NAMES: Final = (
    (f"{PROJECTOR}layer_norm.", "mlp1.0."),
    (f"{PROJECTOR}linear_1.", "mlp1.1."),
    (f"{PROJECTOR}linear_2.", "mlp1.3."),
    ("bridge.hidden.", "text_hidden_fcs.0."),
    ("bridge.output.", "text_hidden_fcs.2."),
)
_QKV: Final = re.compile(r"\.(attention|self_attn)\.([qkv])_proj\.(weight|bias)$")


@dataclass(frozen=True, slots=True)
class Link:
    """Tensors of the released layout and the tensors of ours that hold the same numbers.

    Attributes:
        released: names in the released layout.
        ours: names in `Sa2VAModel.state_dict()`.
        way: how the numbers are cut and joined.
    """

    released: tuple[str, ...]
    ours: tuple[str, ...]
    way: Fold


def meta_state(config: Sa2VAConfig) -> dict[str, Tensor]:
    """Return the state of a model of this configuration on the meta device: names and shapes, no memory.

    A tied output head is left out: it is no tensor of its own.
    """
    with torch.device("meta"):
        model = Sa2VAModel(config)
    tied = model.all_tied_weights_keys
    return {name: tensor for name, tensor in model.state_dict().items() if name not in tied}


def links_of(config: Sa2VAConfig, ours: Collection[str] | None = None) -> list[Link]:
    """Return the links of all tensors of a model, in the order of its state.

    Args:
        config: configuration of the model.
        ours: names of the model's tensors, if known already.

    Raises:
        ModelError: the released layout has no place for some part of the model.
    """
    names = tuple(meta_state(config)) if ours is None else tuple(ours)
    homeless = [name for name in names if name.startswith("refiner.")]
    if homeless:
        raise ModelError(
            f"the released layout has no place for the refiner ({listed(homeless)})",
            where="refiner_width",
            remedy="keep angiova's own layout for this model",
        )
    return list(_links(config, names))


def from_released(tensors: Mapping[str, Tensor], config: Sa2VAConfig) -> dict[str, Tensor]:
    """Return the state of our model that holds the tensors of a released checkpoint.

    Args:
        tensors: released names and tensors; any device, meta included.
        config: configuration of the model, see `angiova.model.convert.reference_config`.

    Raises:
        ModelError: tensors are missing, unexpected or of another shape; all are listed.
    """
    state = meta_state(config)
    links = links_of(config, state)
    check_tensors(released_shapes(links, state), {name: tuple(t.shape) for name, t in tensors.items()})
    found: dict[str, Tensor] = {}
    for link in links:
        found |= zip(link.ours, link.way.unfold([tensors[name] for name in link.released]), strict=True)
    return {name: found[name] for name in state}


def to_released(state: Mapping[str, Tensor], config: Sa2VAConfig) -> dict[str, Tensor]:
    """Return the released tensors that hold the state of our model; the inverse of `from_released`, bit for bit.

    Raises:
        ModelError: tensors are missing, unexpected or of another shape, or have no place in the released layout.
    """
    expected = meta_state(config)
    own = {name: tensor for name, tensor in state.items() if name in expected or not _is_tied_head(name, config)}
    check_tensors(shapes_of(expected), shapes_of(own))
    released: dict[str, Tensor] = {}
    for link in links_of(config, expected):
        released |= zip(link.released, link.way.fold([own[name] for name in link.ours]), strict=True)
    return released


def released_shapes(links: Collection[Link], state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape that each released tensor must have for a (meta) state of our model."""
    shapes: dict[str, tuple[int, ...]] = {}
    for link in links:
        folded = link.way.fold([state[name].to("meta") for name in link.ours])
        shapes |= zip(link.released, (tuple(tensor.shape) for tensor in folded), strict=True)
    return shapes


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def check_tensors(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], where: object = None
) -> None:
    """Compare names and shapes.

    Raises:
        ModelError: tensors are missing, unexpected or of another shape; all are listed by name, the first few in full.
    """
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    misshapen = [
        f"{name} is {list(found[name])}, not {list(expected[name])}"
        for name in sorted(expected.keys() & found.keys())
        if found[name] != expected[name]
    ]
    problems = [
        f"{len(names)} {what}: {listed(names)}"
        for names, what in ((missing, "missing"), (unexpected, "unexpected"), (misshapen, "of another shape"))
        if names
    ]
    if problems:
        raise ModelError(
            f"the tensors do not fit the model; {'; '.join(problems)}",
            where=where,
            remedy="check that the files are complete and belong to this configuration",
        )


def listed(names: Collection[str]) -> str:
    """Return the names as one line; more than a few are counted."""
    shown = ", ".join(list(names)[:NUM_NAMED])
    return shown if len(names) <= NUM_NAMED else f"{shown} and {len(names) - NUM_NAMED} more"


def _links(config: Sa2VAConfig, names: tuple[str, ...]) -> Iterator[Link]:
    sam_names = {name.removeprefix(SEGMENTER) for name in names if name.startswith(SEGMENTER)}
    for name in names:
        if name.startswith(VISION):
            yield from _vision_links(name)
        elif name.startswith((LANGUAGE, HEAD)):
            yield from _language_links(name, config)
        elif name.startswith(SEGMENTER):
            yield from _segmenter_links(name.removeprefix(SEGMENTER), sam_names, config)
        else:
            yield Link((_replaced(name, _WHOLE_NAMES),), (name,), Same())


def _vision_links(name: str) -> Iterator[Link]:
    released = "vision_model." + _replaced(name.removeprefix(VISION), _VISION_RENAMES)
    fused = _QKV.search(name)
    if fused is None:
        yield Link((released,), (name,), Same())
    elif fused[2] == "q":
        yield Link((released.replace(".q_proj.", ".qkv."),), _query_key_value(name), Thirds())


def _language_links(name: str, config: Sa2VAConfig) -> Iterator[Link]:
    """Qwen2 has transformers' own names; InternLM2 has its own, and one fused projection."""
    is_internlm2 = _text(config).model_type == "llama"
    if name.startswith(HEAD):
        yield Link((f"language_model.{'output' if is_internlm2 else 'lm_head'}.weight",), (name,), Same())
        return
    released = "language_model.model." + name.removeprefix(LANGUAGE)
    fused = _QKV.search(name) if is_internlm2 else None
    if fused is None:
        yield Link((_replaced(released, _INTERNLM2_RENAMES) if is_internlm2 else released,), (name,), Same())
    elif fused[2] == "q":
        fused_name = released.replace(".self_attn.q_proj.", ".attention.wqkv.")
        yield Link((fused_name,), _query_key_value(name), _grouping(config))


def _segmenter_links(name: str, names: Collection[str], config: Sa2VAConfig) -> Iterator[Link]:
    if name == POSITION_COPIES[0]:
        ours = tuple(SEGMENTER + copy for copy in POSITION_COPIES)
        yield Link((RELEASED_SEGMENTER + POSITION,), ours, Copies(ours))
    elif name == POINTS:
        points = point_names(config.segmenter_config.prompt_encoder_config.num_point_embeddings)  # type: ignore[union-attr]
        yield Link(tuple(RELEASED_SEGMENTER + point for point in points), (SEGMENTER + name,), Stack())
    elif name not in POSITION_COPIES:
        # transformers once rewrote "gamma" on loading, so the released files avoid the word.
        released = re.sub(r"\.gamma$", ".g_weight", official_name(name, names))
        yield Link((RELEASED_SEGMENTER + released,), (SEGMENTER + name,), Same())


def _grouping(config: Sa2VAConfig) -> Grouped:
    text = _text(config)
    return Grouped(
        queries_per_key=text.num_attention_heads // text.num_key_value_heads,
        head_size=text.hidden_size // text.num_attention_heads,
    )


def _text(config: Sa2VAConfig) -> Any:  # noqa: ANN401  (a configuration of any language model)
    return config.vlm_config.text_config  # type: ignore[union-attr]


def _query_key_value(name: str) -> tuple[str, str, str]:
    head, _, tail = name.rpartition(".q_proj.")
    return (f"{head}.q_proj.{tail}", f"{head}.k_proj.{tail}", f"{head}.v_proj.{tail}")


def _replaced(name: str, renames: Collection[tuple[str, str]]) -> str:
    for old, new in renames:
        name = name.replace(old, new)
    return name


def _is_tied_head(name: str, config: Sa2VAConfig) -> bool:
    return name.startswith(HEAD) and bool(config.vlm_config.tie_word_embeddings)  # type: ignore[union-attr]
