"""InternVL and SAM2 become one model that answers; every published weight arrives unchanged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import InternVLConfig, InternVLForConditionalGeneration, PreTrainedTokenizerFast, Sam2Model
from transformers.models.sam2.configuration_sam2 import Sam2Config
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoModel

from angiova.errors import ModelError
from angiova.inference.predictor import load
from angiova.model.convert.assembling import assemble
from angiova.model.convert.names import RELEASED_SEGMENTER, meta_state, to_released
from angiova.model.convert.reference_config import config_from_released
from angiova.model.modeling import Sa2VAModel
from angiova.model.presets import preset_config
from angiova.model.tokenizer import IM_END, PAD, SA2VA_TOKENS, SPECIAL_TOKENS
from released import fill, tiny_entry

BASE_TOKENS = [token for token in SPECIAL_TOKENS if token not in SA2VA_TOKENS]
NUM_TOKENS = 256 + len(BASE_TOKENS)


def base_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes with InternVL's special tokens, without Sa2VA's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=NUM_TOKENS, special_tokens=BASE_TOKENS, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=IM_END)


def write_vlm(folder: Path, rows: int = NUM_TOKENS, tied: bool = False) -> InternVLForConditionalGeneration:
    """Write a small InternVL as transformers does, and return it."""
    torch.manual_seed(1)
    entry = config_from_released(tiny_entry(), image_token_id=5).vlm_config.to_dict()  # type: ignore[union-attr]
    entry["text_config"] |= {"vocab_size": rows, "tie_word_embeddings": tied}
    model = InternVLForConditionalGeneration(InternVLConfig(**entry | {"tie_word_embeddings": tied}))
    torch.nn.init.normal_(model.get_input_embeddings().weight)
    model.save_pretrained(folder)
    base_tokenizer().save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sam2VideoModel]:
    torch.manual_seed(2)
    model = Sam2VideoModel(config_from_released(tiny_entry(), image_token_id=5).segmenter_config)
    folder = tmp_path_factory.mktemp("sam")
    model.save_pretrained(folder)
    return folder, model


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("padding", [0, 3, 40])
def test_halves_arrive_and_new_tokens_are_the_mean(
    sam: tuple[Path, Sam2VideoModel], tmp_path: Path, tied: bool, padding: int
) -> None:
    vlm = write_vlm(tmp_path / "vlm", rows=NUM_TOKENS + padding, tied=tied)
    assemble(str(tmp_path / "vlm"), str(sam[0]), tmp_path / "out")
    model, report = Sa2VAModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert (model.vlm.lm_head.weight is model.vlm.get_input_embeddings().weight) == tied
    table, published = model.vlm.get_input_embeddings().weight, vlm.get_input_embeddings().weight
    assert len(table) == max(NUM_TOKENS + padding, NUM_TOKENS + 5)
    assert torch.equal(table[:NUM_TOKENS], published[:NUM_TOKENS])
    mean = torch.from_numpy(published[:NUM_TOKENS].detach().numpy().astype(np.float64).mean(0).astype(np.float32))
    assert torch.allclose(table[NUM_TOKENS : NUM_TOKENS + 5], mean.expand(5, -1), atol=1e-7)
    assert torch.equal(table[NUM_TOKENS + 5 :], published[NUM_TOKENS + 5 :])
    assert model.config.seg_token_id == NUM_TOKENS
    tables = ("embed_tokens.weight", "lm_head.weight")
    ours, theirs = model.vlm.state_dict(), vlm.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs if not name.endswith(tables))
    segmenter = model.segmenter.state_dict()
    assert all(torch.equal(segmenter[name], tensor) for name, tensor in sam[1].state_dict().items())


def test_assembled_model_answers(sam: tuple[Path, Sam2VideoModel], tmp_path: Path) -> None:
    write_vlm(tmp_path / "vlm")
    assemble(str(tmp_path / "vlm"), str(sam[0]), tmp_path / "out")
    answer = load(tmp_path / "out").answer([np.zeros((60, 80), np.uint8)], ["segment it"], [0], max_new_tokens=2)
    assert len(answer) == 1


def test_same_seed_same_bytes(sam: tuple[Path, Sam2VideoModel], tmp_path: Path) -> None:
    write_vlm(tmp_path / "vlm")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assemble(str(tmp_path / "vlm"), str(sam[0]), tmp_path / name, seed=seed)
    first, second, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert first == second != other


def test_meta_s_own_file_is_read(tmp_path: Path) -> None:
    """SAM 2.1 tiny, named as in Meta's files, where the fuser's scale is `gamma`."""
    config = preset_config("internvl3-1b+sam2.1-tiny")
    config.refiner_width = None
    official = {
        name.removeprefix(RELEASED_SEGMENTER).replace(".g_weight", ".gamma"): fill(name, tensor.shape)
        for name, tensor in to_released(meta_state(config), config).items()
        if name.startswith(RELEASED_SEGMENTER)
    }
    torch.save({"model": official}, tmp_path / "sam2.1_hiera_tiny.pt")
    write_vlm(tmp_path / "vlm")
    assemble(str(tmp_path / "vlm"), str(tmp_path / "sam2.1_hiera_tiny.pt"), tmp_path / "out")
    model = Sa2VAModel.from_pretrained(tmp_path / "out")
    assert model.config.segmenter_config.enable_occlusion_spatial_embedding
    scale = model.segmenter.memory_encoder.memory_fuser.layers[1].scale
    assert torch.equal(scale, official["memory_encoder.fuser.layers.1.gamma"])
    assert torch.equal(model.segmenter.occlusion_spatial_embedding_parameter, official["no_obj_embed_spatial"])
    del official["memory_encoder.fuser.layers.1.gamma"]
    torch.save({"model": official}, tmp_path / "cut.pt")
    with pytest.raises(ModelError, match=r"1 missing: .*fuser\.layers\.1\.g_weight"):
        assemble(str(tmp_path / "vlm"), str(tmp_path / "cut.pt"), tmp_path / "none")


def test_image_half_alone_is_refused(tmp_path: Path) -> None:
    fields = config_from_released(tiny_entry(), image_token_id=5).segmenter_config.to_dict()  # type: ignore[union-attr]
    config = Sam2Config(vision_config=fields["vision_config"], prompt_encoder_config={"image_size": 512})
    Sam2Model(config).save_pretrained(tmp_path / "sam")
    write_vlm(tmp_path / "vlm")
    with pytest.raises(ModelError, match="memory"):
        assemble(str(tmp_path / "vlm"), str(tmp_path / "sam"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_halves_are_named(
    sam: tuple[Path, Sam2VideoModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_vlm(tmp_path / "vlm")
    with pytest.raises(ModelError, match="not to be had from the Hugging Face hub"):
        assemble("OpenGVLab/no-such-model-hf", str(sam[0]), tmp_path / "out")
    with pytest.raises(ModelError, match="is not transformers' own InternVL"):
        assemble(str(sam[0]), str(sam[0]), tmp_path / "out")
    with pytest.raises(ModelError, match="is not SAM2"):
        assemble(str(tmp_path / "vlm"), str(tmp_path / "vlm"), tmp_path / "out")
    short = json.loads((tmp_path / "vlm" / "config.json").read_text())
    short["vision_config"]["num_hidden_layers"] = 1
    (tmp_path / "vlm" / "config.json").write_text(json.dumps(short))
    with pytest.raises(ModelError, match="unexpected"):
        assemble(str(tmp_path / "vlm"), str(sam[0]), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vlm"]
