"""The released layout: every official name and shape has a place in our model, and none of ours is left empty."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from angiova.errors import ModelError
from angiova.model.configuration import Sa2VAConfig
from angiova.model.convert.names import from_released, meta_state, to_released
from angiova.model.convert.reference_config import config_from_released
from released import Tensors, fill, internlm2_entry, tiny_entry

SIZES = (
    *("tiny", "hieraL_tinyllm", "sa2va_1b", "sa2va_4b", "sa2va_8b_internlm2"),
    *("sa2va_internvl3_2b", "sa2va_internvl3_8b", "sa2va_internvl3_14b"),
)


@pytest.fixture(scope="module")
def tiny() -> Sa2VAConfig:
    return config_from_released(tiny_entry(), image_token_id=261)


@pytest.fixture(scope="module")
def tiny_official(tiny: Sa2VAConfig) -> Tensors:
    return {name: fill(name, tensor.shape) for name, tensor in to_released(meta_state(tiny), tiny).items()}


@pytest.mark.parametrize("size", SIZES)
def test_every_official_tensor_has_one_place(shared_parity: Path, size: str) -> None:
    shapes = json.loads((shared_parity / f"keys_{size}.json").read_text())
    config = config_from_released(json.loads((shared_parity / "configs.json").read_text())[size], image_token_id=261)
    official = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    ours = from_released(official, config)
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in meta_state(config).items()}
    back = to_released(ours, config)
    assert {name: list(tensor.shape) for name, tensor in back.items()} == shapes


def test_tiny_survives_both_directions_bit_for_bit(shared_parity: Path) -> None:
    shapes = json.loads((shared_parity / "keys_tiny.json").read_text())
    config = config_from_released(json.loads((shared_parity / "configs.json").read_text())["tiny"], image_token_id=261)
    official = {name: fill(name, shape) for name, shape in shapes.items()}
    ours = from_released(official, config)
    back = to_released(ours, config)
    assert back.keys() == official.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in official.items())
    again = from_released(back, config)
    assert all(torch.equal(again[name], tensor) for name, tensor in ours.items())


def test_fused_vision_projection_is_cut_into_queries_keys_and_values(tiny_official: Tensors, tiny: Sa2VAConfig) -> None:
    ours = from_released(tiny_official, tiny)
    fused = tiny_official["vision_model.encoder.layers.1.attn.qkv.weight"]
    for first_row, name in ((0, "q_proj"), (64, "k_proj"), (128, "v_proj")):
        part = ours[f"vlm.model.vision_tower.encoder.layer.1.attention.{name}.weight"]
        assert torch.equal(part, fused[first_row : first_row + 64])


def test_internlm2_rows_are_those_of_a_loop_over_heads() -> None:
    """8 query heads share 2 key-value heads of 3 rows: group g is q(4g)..q(4g+3), k(g), v(g)."""
    entry = internlm2_entry(hidden=24, heads=8, kv_heads=2)
    config = config_from_released(entry, image_token_id=5)
    official = {name: torch.randn(t.shape) for name, t in to_released(meta_state(config), config).items()}
    ours = from_released(official, config)
    fused = official["language_model.model.layers.0.attention.wqkv.weight"]
    queries, keys, values, row = [], [], [], 0
    for _ in range(2):
        for part, num_heads in ((queries, 4), (keys, 1), (values, 1)):
            part += [fused[row + i] for i in range(3 * num_heads)]
            row += 3 * num_heads
    prefix = "vlm.model.language_model.layers.0.self_attn."
    for part, name in ((queries, "q_proj"), (keys, "k_proj"), (values, "v_proj")):
        assert torch.equal(ours[f"{prefix}{name}.weight"], torch.stack(part))
    assert torch.equal(ours["vlm.lm_head.weight"], official["language_model.output.weight"])
    assert torch.equal(
        ours["vlm.model.language_model.layers.0.mlp.down_proj.weight"],
        official["language_model.model.layers.0.feed_forward.w2.weight"],
    )


def test_every_wrong_tensor_is_named(tiny_official: Tensors, tiny: Sa2VAConfig) -> None:
    wrong = dict(tiny_official)
    del wrong["mlp1.0.weight"], wrong["text_hidden_fcs.2.bias"]
    wrong["mlp1.9.weight"] = torch.zeros(1)
    wrong["mlp1.1.bias"] = torch.zeros(7)
    with pytest.raises(ModelError) as refused:
        from_released(wrong, tiny)
    message = str(refused.value)
    assert "2 missing: mlp1.0.weight, text_hidden_fcs.2.bias" in message
    assert "1 unexpected: mlp1.9.weight" in message
    assert "mlp1.1.bias is [7], not [64]" in message


def test_copies_that_differ_cannot_be_released(tiny_official: Tensors, tiny: Sa2VAConfig) -> None:
    ours = from_released(tiny_official, tiny)
    ours["segmenter.shared_image_embedding.positional_embedding"] += 1
    with pytest.raises(ModelError, match="one place for both"):
        to_released(ours, tiny)


def test_the_refiner_has_no_place_in_the_released_layout(tiny: Sa2VAConfig) -> None:
    config = Sa2VAConfig(**{**tiny.to_dict(), "refiner_width": 8})
    with pytest.raises(ModelError, match="refiner"):
        to_released(meta_state(config), config)
