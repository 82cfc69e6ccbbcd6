"""Presets have the published sizes, and are counted without memory or weights."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from angiova.errors import ConfigError, ModelError
from angiova.model.opening import open_model
from angiova.model.parts import parameter_table
from angiova.model.presets import DEFAULT_SEGMENTER, PRESETS, build, preset_config
from angiova.model.sam2_sizes import HIERA_SIZES
from angiova.model_info import model_info
from angiova.shipped import SHIPPED_FOLDER, SHIPPED_NAME
from models import small_model
from released import tiny_entry, write_released_folder

# Values of Meta's published checkpoints, counted in the paper's table in millions (Ravi et al., arXiv 2408.00714).
SAM2_MILLIONS = {"tiny": 38.9, "small": 46.0, "base-plus": 80.8, "large": 224.4}


@pytest.mark.parametrize(("size", "language_model"), [("1b", 629706880), ("2b", 1776298496), ("8b", 7612856832)])
def test_language_model_has_the_size_of_the_released_one(size: str, language_model: int) -> None:
    """Counts of `language_model` in the reference's key lists, ../shared/parity/configs.json."""
    parts = {part.name: part.parameters for part in model_info(f"internvl3-{size}").parts}
    assert parts["language_model"] + parts["vocabulary"] == language_model
    assert parts["vision_tower"] == 304012288


def test_the_largest_preset_has_the_size_of_the_released_model(shared_parity: Path) -> None:
    reference = json.loads((shared_parity / "configs.json").read_text())["sa2va_internvl3_14b"]
    info = model_info("internvl3-14b")
    refiner = next(part.parameters for part in info.parts if part.name == "refiner")
    positions = 2 * 128  # one buffer in the reference's count
    assert info.parameters - refiner + positions == reference["n_values"]


@pytest.mark.parametrize("size", HIERA_SIZES)
@pytest.mark.parametrize("family", ["sam2", "sam2.1"])
def test_segmenters_have_the_published_size(family: str, size: str) -> None:
    parts = {part.name: part.parameters for part in model_info(f"internvl3-1b+{family}-{size}").parts}
    total = sum(count for name, count in parts.items() if name.startswith("segmenter"))
    assert total / 1e6 == pytest.approx(SAM2_MILLIONS[size], abs=0.07)
    single_vectors = 3 * 256 + 7 * 64 + (4 * 4 + 1)  # no memory (twice), no object; frame times; mask_downsample
    marks_of_21 = 64 + 64 * 256 + 64  # occlusion embedding, and projection of pointer times
    assert parts["segmenter_other"] == single_vectors + (marks_of_21 if family == "sam2.1" else 0)


def test_default_segmenter_is_the_reference_s() -> None:
    assert DEFAULT_SEGMENTER == "sam2-large"
    named = preset_config("internvl3-2b+sam2-large").to_dict()
    assert preset_config("internvl3-2b").to_dict() == named


def test_every_preset_builds_on_the_meta_device_without_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("internvl3-14b", "internvl3-8b+sam2.1-base-plus", "nano"):
        with torch.device("meta"):
            model, tokenizer = build(name)
        assert {p.device.type for p in model.parameters()} == {"meta"}
        assert model.get_parameter("vlm.model.language_model.embed_tokens.weight").shape[0] >= len(tokenizer)
        if name != SHIPPED_NAME:  # under which `info` describes the model that ships
            assert sum(part.total for part in parameter_table(model)) == model_info(name).parameters
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
    assert len(PRESETS) == 1 + 4 * 9


def test_unknown_preset_is_told_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"internvl3-14b; all but nano may name a segmenter"):
        build("internvl3-3b")


def test_info_reads_headers_and_says_parts(tmp_path: Path) -> None:
    model, processor = small_model()
    model.to(torch.bfloat16).save_pretrained(tmp_path / "ours")
    processor.tokenizer.save_pretrained(tmp_path / "ours")
    info = model_info(str(tmp_path / "ours"))
    assert [(part.name, part.parameters, part.num_bytes) for part in info.parts] == [
        (part.name, part.total, part.num_bytes) for part in parameter_table(model)
    ]
    assert {kind for part in info.parts for kind in part.dtypes} == {"bfloat16"}
    released = model_info(str(write_released_folder(tmp_path / "released", tiny_entry())))
    assert released.layout == "released" and {kind for p in released.parts for kind in p.dtypes} == {"float32"}
    with pytest.raises(ModelError, match="neither a preset nor a folder"):
        model_info("no-such-model")


def test_info_prints_json() -> None:
    command = [sys.executable, "-m", "angiova", "info", "nano", "--json"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert said["parameters"] == sum(part["parameters"] for part in said["parts"])
    parameters = said["parts"][0]["parameters"]
    assert said["parts"][0] == {
        "name": "vision_tower",
        "parameters": parameters,
        "num_bytes": 2 * parameters,
        "dtypes": ["float16"],
        "trainable": parameters,
    }


def test_info_describes_the_shipped_model_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parameters = sum(parameter.numel() for parameter in open_model(SHIPPED_FOLDER)[0].parameters())
    assert model_info("nano").parameters == parameters
