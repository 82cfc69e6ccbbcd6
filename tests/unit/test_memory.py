"""Memory is predicted from what layers keep, and the layout that is chosen fits and keeps the examples of a step."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from angiova.cli import main
from angiova.errors import ConfigError
from angiova.model.adapters import select_trainable
from angiova.model.fused import fuse_layers
from angiova.model.modeling import Sa2VAModel
from angiova.model.presets import build
from angiova.model.trainable import TrainableSettings
from angiova.training.config import Recipe, load_recipe
from angiova.training.kept import language_bytes, mask_bytes
from angiova.training.memory import GIB, choose_layout, predict

RECIPE = Path(__file__).parents[2] / "recipes" / "internvl3_8b.yaml"
EXAMPLES, TOKENS = 4, 96


def recipe_8b(micro: int = 16, *more: str) -> Recipe:
    return load_recipe(RECIPE, ["model={preset: internvl3-8b}", "precision=bf16", f"batch.micro={micro}", *more])


def fused(device: str) -> Sa2VAModel:
    with torch.device(device):
        model, _ = build("nano")
        select_trainable(model, TrainableSettings())
    fuse_layers(model)
    return model.train()


def test_what_layers_keep_is_counted_as_it_is() -> None:
    model, kept = fused("cpu"), {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    states = torch.randn(EXAMPLES, TOKENS, 256, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        last = model._run_language_model(states, torch.ones(EXAMPLES, TOKENS, dtype=torch.long))
    for parameter in model.parameters():
        kept.pop(parameter.untyped_storage().data_ptr(), None)
    assert last.requires_grad
    counted = language_bytes(fused("meta"), EXAMPLES, TOKENS, torch.float32, checkpointing=False)
    # Norms of a CPU keep more than one kernel does; without padding its attention keeps keys before they are repeated.
    assert counted == pytest.approx(sum(kept.values()), rel=0.1)


def test_checkpointing_keeps_the_inputs_of_layers_and_one_layer() -> None:
    model = fused("meta")
    plain = language_bytes(model, EXAMPLES, TOKENS, torch.float32, checkpointing=False)
    again = language_bytes(model, EXAMPLES, TOKENS, torch.float32, checkpointing=True)
    assert again == plain // 4 + 4 * EXAMPLES * TOKENS * 256 * 4


def test_masks_cost_the_same_each() -> None:
    model = fused("meta")
    one, two, three = (mask_bytes(model, 1, masks, 256, torch.float32) for masks in (1, 2, 3))
    assert three - two == pytest.approx(two - one, rel=0.02)
    assert mask_bytes(model, 2, 2, 256, torch.float32) > two


def test_a_refiner_that_looks_at_smaller_frames_keeps_less() -> None:
    with torch.device("meta"):
        model = build("nano")[0]
    native = mask_bytes(model, 1, 1, 512, torch.float32)
    model.config.refiner_px = 256
    assert mask_bytes(model, 1, 1, 512, torch.float32) < 0.8 * native
    model.config.refiner_px = 512
    assert mask_bytes(model, 1, 1, 512, torch.float32) == native


def test_a_large_device_takes_the_recipe_as_it_is() -> None:
    fit = choose_layout(recipe_8b(), 80 * GIB)
    assert (fit.layout.micro, fit.layout.accumulation, fit.layout.gradient_checkpointing) == (16, 1, False)
    assert fit.layout == predict(recipe_8b())
    assert fit.reason == "the recipe's micro-batch fits; every device holds the whole model"


def test_a_card_of_24_gib_computes_activations_again_and_keeps_the_examples_of_a_step() -> None:
    fit = choose_layout(recipe_8b(), 24 * GIB)
    assert fit.layout.gradient_checkpointing
    assert fit.layout.micro * fit.layout.accumulation == 16
    assert 18 * GIB < fit.layout.total_bytes < 22 * GIB
    assert "activations are computed again" in fit.reason


def test_what_cannot_fit_is_refused_with_the_figure() -> None:
    with pytest.raises(ConfigError, match=r"one example takes 1\d\.\d GiB, of 12\.0 GiB 10\.3 can be used"):
        choose_layout(recipe_8b(), 12 * GIB)
    baseline = load_recipe(RECIPE, ["model={baseline: {method: unet}}", "trainable=null"])
    with pytest.raises(ConfigError, match="memory of baselines is not predicted"):
        predict(baseline)


def test_the_command_prints_the_layout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", str(RECIPE), "--preset", "internvl3-8b", "--set", "precision=bf16", "--device-gib", "24"]
    for extra in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["angiova", *arguments, *extra])
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
    text, _, printed = capsys.readouterr().out.partition("{")
    assert "engine.gradient_checkpointing=true" in text
    assert json.loads("{" + printed)["fit"]["layout"]["gradient_checkpointing"] is True
