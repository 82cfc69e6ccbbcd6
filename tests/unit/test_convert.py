"""A model goes from layout to layout without losing a bit, or is refused with every reason named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from angiova.errors import ConfigError, ModelError
from angiova.model.convert.converting import convert
from angiova.model.convert.reference_config import config_from_released
from angiova.model.modeling import Sa2VAModel
from models import small_model
from released import (
    Tensors,
    fill,
    internlm2_entry,
    read_folder,
    tiny_entry,
    trained_file,
    write_released_folder,
)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_released_folder(tmp_path_factory.mktemp("released") / "model", tiny_entry())


@pytest.fixture(scope="module")
def ours(released: Path) -> Path:
    out = released.parent / "ours"
    convert(released, out)
    return out


def test_released_to_ours_and_back_is_the_same_to_the_bit(released: Path, ours: Path, tmp_path: Path) -> None:
    convert(ours, tmp_path / "back", to="released")
    assert same(read_folder(released), read_folder(tmp_path / "back"))
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (released, tmp_path / "back"))
    assert after | before == after


def test_ours_to_released_and_back_is_the_same_to_the_bit(ours: Path, tmp_path: Path) -> None:
    convert(ours, tmp_path / "released", to="released")
    (tmp_path / "released" / "config.json").write_text(released_config_alone(tmp_path / "released"))
    convert(tmp_path / "released", tmp_path / "again")
    assert same(read_folder(ours), read_folder(tmp_path / "again"))
    first, again = (json.loads((folder / "config.json").read_text()) for folder in (ours, tmp_path / "again"))
    assert first == again


def test_converted_folder_loads_whole(ours: Path) -> None:
    model, report = Sa2VAModel.from_pretrained(ours, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    qkv = fill("vision_model.encoder.layers.0.attn.qkv.bias", (192,))
    keys = model.vlm.model.vision_tower.encoder.layer[0].attention.k_proj.bias
    assert torch.equal(keys, qkv[64:128])
    gamma = fill("grounding_encoder.sam2_model.memory_encoder.fuser.layers.1.g_weight", (256,))
    assert torch.equal(model.segmenter.memory_encoder.memory_fuser.layers[1].scale, gamma)
    assert model.config.seg_token_id == 12 and model.config.mask_selection == "best_iou"


def test_folder_is_what_save_pretrained_writes(ours: Path, tmp_path: Path) -> None:
    Sa2VAModel.from_pretrained(ours).save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (ours / "model.safetensors").read_bytes()
    written, saved = (json.loads((folder / "config.json").read_text()) for folder in (ours, tmp_path))
    for config in (written, saved):  # that of the parts follows the whole; transformers does not always repeat it
        assert config["dtype"] == "float32"
        config["vlm_config"].pop("dtype", None), config["segmenter_config"].pop("dtype", None)
    assert written == saved


def test_shards_hold_the_same_as_one_file(released: Path, ours: Path, tmp_path: Path) -> None:
    convert(released, tmp_path / "shards", shard_bytes=4_000_000)
    assert len(list((tmp_path / "shards").glob("model-*-of-*.safetensors"))) > 3
    assert same(read_folder(ours), read_folder(tmp_path / "shards"))
    convert(tmp_path / "shards", tmp_path / "back", to="released")
    assert same(read_folder(released), read_folder(tmp_path / "back"))
    loaded = Sa2VAModel.from_pretrained(tmp_path / "shards").state_dict()
    whole = Sa2VAModel.from_pretrained(ours).state_dict()
    assert same(loaded, whole)


def test_internlm2_survives_both_directions(tmp_path: Path) -> None:
    source = write_released_folder(tmp_path / "released", internlm2_entry(hidden=24, heads=8, kv_heads=2))
    convert(source, tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "back", to="released")
    assert same(read_folder(source), read_folder(tmp_path / "back"))
    assert Sa2VAModel.from_pretrained(tmp_path / "ours").config.vlm_config.text_config.model_type == "llama"


def test_tied_head_stays_tied(tmp_path: Path) -> None:
    entry = tiny_entry()
    entry["llm_config"]["tie_word_embeddings"] = True
    source = write_released_folder(tmp_path / "released", entry)
    assert "language_model.lm_head.weight" not in read_folder(source)
    convert(source, tmp_path / "ours")
    model = Sa2VAModel.from_pretrained(tmp_path / "ours")
    assert model.vlm.lm_head.weight is model.vlm.model.language_model.embed_tokens.weight
    convert(tmp_path / "ours", tmp_path / "back", to="released")
    assert same(read_folder(source), read_folder(tmp_path / "back"))


def test_lora_is_merged_as_by_hand(released: Path, ours: Path, tmp_path: Path) -> None:
    file = trained_file(tmp_path / "iter_8.pth", rank=4)
    for number, base in enumerate((released, ours)):
        convert(file, tmp_path / f"m{number}", to="released", base=base, lora_alpha=8)
    merged, base_tensors = read_folder(tmp_path / "m0"), read_folder(released)
    assert same(merged, read_folder(tmp_path / "m1"))
    trained = torch.load(file, weights_only=True)["state_dict"]
    name = "model.layers.1.self_attn.v_proj"
    adapter = f"mllm.model.language_model.base_model.model.{name}.lora_"
    by_hand = base_tensors[f"language_model.{name}.weight"].clone()
    down, up = trained[f"{adapter}A.default.weight"], trained[f"{adapter}B.default.weight"]
    for row in range(by_hand.shape[0]):
        for column in range(by_hand.shape[1]):
            by_hand[row, column] += 8 / 4 * sum(up[row, i] * down[i, column] for i in range(4))
    assert torch.allclose(merged[f"language_model.{name}.weight"], by_hand, atol=1e-6)
    assert not torch.equal(by_hand, base_tensors[f"language_model.{name}.weight"])
    head = "mllm.model.language_model.base_model.model.lm_head.modules_to_save.default.weight"
    assert torch.equal(merged["language_model.lm_head.weight"], trained[head])
    assert torch.equal(merged["mlp1.1.weight"], trained["mllm.model.mlp1.1.weight"])
    untouched = "language_model.model.layers.0.mlp.down_proj.weight"
    assert torch.equal(merged[untouched], base_tensors[untouched])


def test_alpha_is_asked_for_by_name_or_found(released: Path, tmp_path: Path) -> None:
    file = trained_file(tmp_path / "iter_8.pth", rank=4)
    with pytest.raises(ConfigError, match="--lora-alpha"):
        convert(file, tmp_path / "out", base=released)
    told = trained_file(tmp_path / "iter_9.pth", rank=4, meta={"cfg": "dict(lora_alpha=8,\n lora_dropout=0.05)"})
    convert(file, tmp_path / "given", base=released, lora_alpha=8)
    convert(told, tmp_path / "found", base=released)
    assert same(read_folder(tmp_path / "given"), read_folder(tmp_path / "found"))
    with pytest.raises(ConfigError, match="--base"):
        convert(file, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("mllm.model.mlp1.3.bias"), "1 missing: mlp1.3.bias"),
        (lambda t: t.update({"mllm.model.mlp9.weight": torch.ones(1)}), "1 unexpected: mlp9.weight"),
        (lambda t: t.update({"text_hidden_fcs.0.bias": torch.ones(3)}), "text_hidden_fcs.0.bias is [3], not [64]"),
        (lambda t: drop(t, "layers.1.self_attn.v_proj.lora_"), "1 missing: language_model.model.layers.1.self_attn.v_"),
        (lambda t: drop(t, "layers.1.self_attn.v_proj.lora_A"), "half of a LoRA pair"),
    ],
)
def test_training_file_that_does_not_fit_is_refused(
    released: Path, tmp_path: Path, change: Callable[[Tensors], object], said: str
) -> None:
    file = trained_file(tmp_path / "iter_8.pth", rank=4, change=change)
    with pytest.raises(ModelError) as refused:
        convert(file, tmp_path / "out", base=released, lora_alpha=8)
    assert said in str(refused.value)
    assert {path.name for path in tmp_path.iterdir()} == {"iter_8.pth"}


def test_released_layout_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    model, processor = small_model()
    model.save_pretrained(tmp_path / "ours")
    processor.tokenizer.save_pretrained(tmp_path / "ours")
    with pytest.raises(ModelError, match="refiner"):
        convert(tmp_path / "ours", tmp_path / "out", to="released")
    model, _ = small_model(refiner_width=None)
    model.save_pretrained(tmp_path / "ours")
    with pytest.raises(ModelError, match="mask_selection"):
        convert(tmp_path / "ours", tmp_path / "out", to="released")
    model.config.mask_selection = "best_iou"
    model.save_pretrained(tmp_path / "ours")
    with pytest.raises(ModelError, match="pixel_statistics"):
        convert(tmp_path / "ours", tmp_path / "out", to="released")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_folder_that_is_there_is_not_touched(released: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="is there already"):
        convert(released, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_memory_is_that_of_a_shard_not_of_the_model(tmp_path: Path) -> None:
    """The resident memory of a conversion of 250 MB in 20 MB shards grows by less than 100 MB."""
    entry = tiny_entry()
    entry["llm_config"] |= {"hidden_size": 512, "intermediate_size": 4096, "num_hidden_layers": 7}
    source = write_released_folder(tmp_path / "released", entry, shard_bytes=20_000_000, empty=True)
    assert sum(path.stat().st_size for path in source.glob("*.safetensors")) > 230_000_000
    script = (
        "import sys; from pathlib import Path; from angiova.model.convert.converting import convert\n"
        "from angiova.model.convert import folders\n"
        "def peak(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
        "folders.read_tokenizer(Path(sys.argv[1])); before = peak()\n"
        "convert(Path(sys.argv[1]), Path(sys.argv[2]), shard_bytes=20_000_000)\n"
        "print(peak() - before)"
    )
    command = [sys.executable, "-c", script, str(source), str(tmp_path / "out")]
    grown_kb = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
    assert grown_kb < 100_000


def same(first: Tensors, second: Tensors) -> bool:
    """Whether names, kinds and bits agree."""
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and torch.equal(first[name], second[name]) for name in first
    )


def drop(tensors: Tensors, part: str) -> None:
    """Remove the tensors whose name has `part`."""
    for name in [name for name in tensors if part in name]:
        del tensors[name]


def released_config_alone(folder: Path) -> str:
    """Return the released config.json as text; it must not need anything that the folder does not say."""
    return (folder / "config.json").read_text()


def test_chat_form_that_we_cannot_write_is_refused() -> None:
    with pytest.raises(ModelError, match=r"phi3_chat.*qwen_chat"):
        config_from_released({"template": "phi3_chat"}, image_token_id=0)
