"""Adapters: they hold what was trained and nothing else, belong to one base, and fold into it without a change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from angiova.errors import ConfigError, ExitCode, ModelError
from angiova.inference.predictor import load
from angiova.model.adapters import (
    WEIGHTS_NAME,
    Base,
    adapter_tensors,
    merge_adapter,
    save_adapter,
    select_trainable,
)
from angiova.model.fingerprint import fingerprint
from angiova.model.merging import merge
from angiova.model.opening import open_model
from angiova.model.quantised import is_quantised, num_weights, quantise_language_model
from angiova.model.trainable import LoraSettings, TrainableSettings
from angiova.run_record import read_run
from angiova.training.checkpoints import complete_checkpoints
from angiova.training.config import Recipe
from angiova.training.trainer import train
from models import draw_frame, quick_recipe, small_model, write_frames, write_start

SMALL_LORA = TrainableSettings(lora=LoraSettings(rank=4, alpha=8, dropout=0))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters") / "base"
    model, processor = small_model()
    model.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trained(base: Path) -> Path:
    """Return an adapter with values that training could have given it."""
    model, _ = open_model(base)
    select_trainable(model, SMALL_LORA)
    torch.manual_seed(1)
    for tensor in adapter_tensors(model).values():
        tensor.add_(0.05 * torch.randn_like(tensor))
    folder = base.parent / "adapter"
    save_adapter(folder, model, Base(folder=base, fingerprint=fingerprint(base)), SMALL_LORA)
    return folder


def test_everything_trains_all_that_an_image_sample_uses() -> None:
    model, _ = small_model()
    select_trainable(model, TrainableSettings.everything())
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    unused = ("memory_attention", "memory_encoder", "object_pointer", "mask_downsample", "mask_embed", "point_embed")
    unused += ("temporal", "memory_temporal", "no_memory_positional", "no_object", "occlusion")
    assert frozen
    assert all(any(part in name for part in unused) for name in frozen), frozen


def test_lora_trains_what_the_settings_name_and_nothing_else() -> None:
    model, _ = small_model()
    select_trainable(model, SMALL_LORA)
    names = set(adapter_tensors(model))
    assert {name.split(".")[0] for name in names} == {"vlm", "bridge", "segmenter", "refiner"}
    language = {name for name in names if name.startswith("vlm.model.language_model.layers")}
    assert language and all("lora_" in name for name in language)
    assert {name for name in names if name.startswith("segmenter")} == {
        f"segmenter.mask_decoder.{name}" for name, _ in model.segmenter.mask_decoder.named_parameters()
    }


def test_new_rows_answer_and_learn_as_the_whole_matrices_would() -> None:
    whole, _ = small_model()
    rows, _ = small_model()
    select_trainable(whole, TrainableSettings(language_model="frozen", vocabulary="whole"))
    select_trainable(rows, TrainableSettings(language_model="frozen", vocabulary="new_rows"))
    first = whole.config.seg_token_id
    ids = torch.tensor([[5, first, first + 4, 7, 9, first]])
    mask, labels = torch.ones_like(ids), torch.tensor([[-100, first, 7, first + 4, 11, 3]])
    losses = [model.language_loss(ids, mask, labels) for model in (whole, rows)]
    assert torch.equal(losses[0], losses[1])
    for loss in losses:
        loss.backward()
    embedding, head = rows.vlm.get_input_embeddings(), rows.vlm.lm_head
    patch = slice(first, first + 5)
    torch.testing.assert_close(embedding.rows.grad, whole.vlm.get_input_embeddings().weight.grad[patch])
    torch.testing.assert_close(head.rows.grad, whole.vlm.lm_head.weight.grad[patch])
    assert embedding.base.weight.grad is None and head.base.weight.grad is None


def test_a_tied_head_shares_its_rows() -> None:
    model, _ = small_model()
    model.vlm.lm_head.weight = model.vlm.get_input_embeddings().weight
    select_trainable(model, SMALL_LORA)
    assert model.vlm.lm_head.rows is model.vlm.get_input_embeddings().rows
    assert sum(name.endswith(".rows") for name in adapter_tensors(model)) == 1


def test_the_file_holds_the_trained_tensors_alone(base: Path, trained: Path) -> None:
    model, _ = open_model(base, dtype=torch.float32)
    select_trainable(model, SMALL_LORA)
    with safe_open(trained / WEIGHTS_NAME, framework="pt") as file:
        assert set(file.keys()) == set(adapter_tensors(model))


def test_merged_answers_are_the_adapters_answers(base: Path, trained: Path) -> None:
    model, processor = open_model(trained)
    batch = processor.prompts([draw_frame(3)[0]], ["[SEG] [SEG]"], [0])
    before = model.eval()(**batch).masks
    plain_names = set(open_model(base)[0].state_dict())
    merge_adapter(model)
    after = model(**batch).masks
    assert set(model.state_dict()) == plain_names
    torch.testing.assert_close(after.coarse_N1hw, before.coarse_N1hw, rtol=1e-4, atol=1e-4)
    untouched = open_model(base)[0].eval()(**batch).masks
    assert (untouched.coarse_N1hw - before.coarse_N1hw).abs().max() > 0.01


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_merged_folder_answers_like_the_adapter(trained: Path, tmp_path: Path, dtype: str) -> None:
    merge(trained, tmp_path / "merged", dtype=dtype)
    images, questions = [draw_frame(3)[0]], ["[SEG] [SEG]"]
    expected, merged = (load(folder, "cpu") for folder in (trained, tmp_path / "merged"))
    assert {p.dtype for p in merged.model.parameters()} == {getattr(torch, dtype)}
    wanted, found = (predictor.answer(images, questions, [0])[0].masks for predictor in (expected, merged))
    # The question's own two masks; how many the answer adds hangs on a rounding where weights are random.
    assert len(found) == len(wanted) or dtype == "bfloat16"
    assert min(len(found), len(wanted)) >= 2
    for one, other in zip(wanted[:2], found[:2], strict=True):
        assert other.presence == pytest.approx(one.presence, abs=0.05)
        assert (one.mask_HW == other.mask_HW).mean() > 0.95
    assert not list(tmp_path.glob(".*partial"))


def test_merging_refuses_a_whole_model_and_an_existing_folder(base: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing to merge"):
        merge(base, tmp_path / "merged")
    with pytest.raises(ModelError, match="already"):
        merge(trained, base)


def test_resuming_on_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    write_frames(tmp_path / "data")
    recipe = lora_recipe(tmp_path / "base", tmp_path / "data", tmp_path / "run")
    assert train(recipe) is ExitCode.DONE
    model, _ = open_model(tmp_path / "base")
    model.bridge.output.bias.data[0] += 1
    model.save_pretrained(tmp_path / "base")
    with pytest.raises(ModelError, match="another base"):
        train(recipe, resume=True)


def test_a_whole_bfloat16_checkpoint_is_trained_in_float32(base: Path, tmp_path: Path) -> None:
    model, processor = open_model(base)
    model.to(torch.bfloat16).save_pretrained(tmp_path / "half")
    processor.tokenizer.save_pretrained(tmp_path / "half")
    write_frames(tmp_path / "data")
    values = lora_recipe(tmp_path / "half", tmp_path / "data", tmp_path / "run").model_dump() | {"trainable": None}
    assert train(Recipe.model_validate(values)) is ExitCode.DONE
    after, _ = open_model(complete_checkpoints(tmp_path / "run" / "checkpoints")[-1])
    assert {parameter.dtype for parameter in after.parameters()} == {torch.float32}


def test_lora_merges_as_the_paper_says(base: Path, trained: Path) -> None:
    plain, _ = open_model(base)
    merged, _ = open_model(trained)
    tensors = load_file(trained / WEIGHTS_NAME)
    name = "vlm.model.language_model.layers.0.self_attn.q_proj"
    by_hand = plain.get_submodule(name).weight + (8 / 4) * (
        tensors[f"{name}.lora_B.default.weight"] @ tensors[f"{name}.lora_A.default.weight"]
    )
    merge_adapter(merged)
    torch.testing.assert_close(merged.get_submodule(name).weight, by_hand)


def test_another_base_is_refused(base: Path, trained: Path, tmp_path: Path) -> None:
    model, processor = open_model(base)
    model.bridge.output.bias.data[0] += 1
    model.save_pretrained(tmp_path / "other")
    processor.tokenizer.save_pretrained(tmp_path / "other")
    with pytest.raises(ModelError, match="another base"):
        open_model(trained, base=tmp_path / "other")


def test_a_base_that_moved_is_found_by_its_weights(base: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "moved")
    assert adapter_tensors(open_model(trained, base=tmp_path / "moved")[0])


def test_an_adapter_whose_base_moved_predicts_with_base(base: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(base.parent, tmp_path / "there")
    shutil.move(tmp_path / "there" / base.name, tmp_path / "moved")
    lost = Base(folder=tmp_path / "there" / base.name, fingerprint=fingerprint(base))
    model, _ = open_model(trained)
    save_adapter(tmp_path / "adapter", model, lost, SMALL_LORA)
    with pytest.raises(ModelError, match="--base"):
        load(tmp_path / "adapter", "cpu")
    question = [draw_frame(0)[0]], ["segment the vessel tree"], [0]
    moved, here = load(tmp_path / "adapter", "cpu", base=tmp_path / "moved"), load(trained, "cpu")
    assert moved.answer(*question)[0].text == here.answer(*question)[0].text


@pytest.mark.parametrize("damage", ["missing", "extra", "shape", "truncated"])
def test_an_adapter_that_does_not_fit_is_refused(trained: Path, tmp_path: Path, damage: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    tensors = load_file(trained / WEIGHTS_NAME)
    if damage == "missing":
        del tensors["bridge.output.bias"]
    elif damage == "extra":
        tensors["bridge.third.bias"] = torch.zeros(3)
    elif damage == "shape":
        tensors["bridge.output.bias"] = torch.zeros(3)
    save_file(tensors, broken / WEIGHTS_NAME)
    if damage == "truncated":
        (broken / WEIGHTS_NAME).write_bytes((trained / WEIGHTS_NAME).read_bytes()[:-10])
    with pytest.raises(ModelError, match="bridge" if damage != "truncated" else "cannot be read"):
        open_model(broken)


def lora_recipe(base: Path, data: Path, output: Path) -> Recipe:
    return Recipe.model_validate(
        {
            "output": str(output),
            "model": {"checkpoint": str(base)},
            "trainable": SMALL_LORA.model_dump(),
            "data": {"folder": str(data), "repeats": 2, "workers": 0},
            "device": "cpu",
            "validation": {"times": 1, "frames": 2},
            "log_every": 1,
            "tensorboard": False,
        }
    )


def test_training_an_adapter_writes_an_adapter_that_predicts(base: Path, tmp_path: Path) -> None:
    write_frames(tmp_path / "data")
    assert train(lora_recipe(base, tmp_path / "data", tmp_path / "run")) is ExitCode.DONE
    folder = complete_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    assert not (folder / "model.safetensors").exists()
    before, after = open_model(base)[0], open_model(folder)[0]
    frozen = "segmenter.vision_encoder.backbone.pos_embed"
    assert torch.equal(before.get_parameter(frozen), after.get_parameter(frozen))
    assert not torch.equal(before.bridge.output.weight, after.bridge.output.weight)
    assert load(tmp_path / "run", "cpu").answer([draw_frame(0)[0]], ["segment the vessel tree"], [0])
    table = {part.name: part for part in read_run(tmp_path / "run").model_parts}
    assert table["vision_tower"].trainable == 0 < table["language_model"].trainable < table["language_model"].total
    assert table["vocabulary"].trainable == 2 * 5 * before.config.text_hidden_size


def test_an_adapter_on_random_weights_is_refused(base: Path, tmp_path: Path) -> None:
    write_frames(tmp_path / "data")
    values = lora_recipe(base, tmp_path / "data", tmp_path / "run").model_dump()
    with pytest.raises(ConfigError, match="base on disk"):
        train(Recipe.model_validate(values | {"model": {"preset": "nano"}}))


def test_four_bits_keep_counts_and_train_the_same_adapter(tmp_path: Path) -> None:
    write_start(tmp_path)
    settings = {"lora": {"rank": 4, "alpha": 8, "dropout": 0}}
    for name, bits in (("whole", False), ("packed", True)):
        train(quick_recipe(tmp_path, name, trainable=settings | {"load_in_4bit": bits}))
    whole, packed = (read_run(tmp_path / name) for name in ("whole", "packed"))
    rows = {
        run: {part.name: part for part in record.model_parts} for run, record in (("whole", whole), ("packed", packed))
    }
    for name, part in rows["whole"].items():
        assert (part.total, part.trainable) == (rows["packed"][name].total, rows["packed"][name].trainable)
    assert rows["packed"]["language_model"].num_bytes < rows["whole"]["language_model"].num_bytes / 2
    first, second = (
        load_file(complete_checkpoints(tmp_path / name / "checkpoints")[-1] / WEIGHTS_NAME)
        for name in ("whole", "packed")
    )
    assert {name: t.shape for name, t in first.items()} == {name: t.shape for name, t in second.items()}
    updates = torch.cat([t.flatten() for name, t in second.items() if "lora_B" in name])
    assert updates.abs().max() > 0  # they start at zero: gradients came through the packed weights
    model, _ = open_model(complete_checkpoints(tmp_path / "packed" / "checkpoints")[-1])
    assert not any(is_quantised(parameter) for parameter in model.parameters())


def test_packed_weights_stand_for_their_layer() -> None:
    torch.manual_seed(0)
    model, _ = small_model()
    layer = model.vlm.model.language_model.layers[0].mlp.down_proj
    x, weight = torch.randn(5, layer.in_features), layer.weight.detach().clone()
    plain = layer(x)
    quantise_language_model(model, torch.device("cpu"), torch.float32)
    packed = model.vlm.model.language_model.layers[0].mlp.down_proj
    assert is_quantised(packed.weight)
    assert num_weights(packed.weight) == weight.numel()
    # NF4 has a relative error of a tenth for weights that are normally distributed (QLoRA, section 3).
    assert (packed(x) - plain).norm() < 0.15 * plain.norm()


def test_weights_in_four_bits_are_not_trained() -> None:
    with pytest.raises(ValueError, match="four bits cannot be trained"):
        TrainableSettings(language_model="full", load_in_4bit=True)
