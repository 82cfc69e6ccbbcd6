"""Choices between time and memory change neither losses nor gradients."""

from __future__ import annotations

import pytest
import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from angiova.data.dataset import Example
from angiova.data.prompts import Turn
from angiova.errors import ConfigError
from angiova.model.adapters import select_trainable
from angiova.model.modeling import Sa2VAModel
from angiova.model.trainable import LoraSettings, TrainableSettings
from angiova.training.engine import prepare_engine
from angiova.training.engine_settings import EngineSettings
from models import draw_frame, small_model

LORA = TrainableSettings(lora=LoraSettings(rank=4, alpha=8, dropout=0))


def gradients(
    settings: EngineSettings, trainable: TrainableSettings
) -> tuple[float, dict[str, torch.Tensor], Sa2VAModel]:
    """Return the sum of losses and every gradient of a step on two frames, in float64."""
    model, processor = small_model()
    select_trainable(model, trainable)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at the start, which would hide the gradients of the other half
            torch.nn.init.normal_(parameter, std=0.02)
    model.double().train()
    prepare_engine(model, settings)
    examples = []
    for seed in range(2):
        image, across, down = draw_frame(seed)
        turns = tuple(Turn("segment it", "[SEG] it" * (seed + 1), ()) for _ in range(2))[: 2 - seed]
        examples.append(Example(str(seed), image, turns, (across, down)))
    batch = processor.collate(examples)
    batch |= {name: batch[name].double() for name in ("tiles", "segmenter_pixels")}
    batch["images"] = [image.double() for image in batch["images"]]
    loss = sum(model(**batch).losses.values())
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    return float(loss.detach()), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}, model


@pytest.mark.parametrize("trainable", [LORA, TrainableSettings.everything()])
def test_gradient_checkpointing_changes_nothing(trainable: TrainableSettings) -> None:
    loss, expected, _ = gradients(EngineSettings(), trainable)
    again, found, model = gradients(EngineSettings(gradient_checkpointing=True), trainable)
    assert again == loss
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer) and m.gradient_checkpointing]
    frozen = [m for m in layers if not any(p.requires_grad for p in m.parameters())]
    assert len(layers) >= len(model.vlm.model.language_model.layers)
    assert not frozen


def test_attention_kernels_that_are_not_installed_are_refused() -> None:
    model, _ = small_model()
    with pytest.raises(ConfigError, match=r"engine\.attn_implementation: flash_attention_2 cannot be used"):
        prepare_engine(model, EngineSettings(attn_implementation="flash_attention_2"))


def test_eager_attention_computes_the_same() -> None:
    loss, expected, _ = gradients(EngineSettings(), LORA)
    again, found, _ = gradients(EngineSettings(attn_implementation="eager"), LORA)
    assert again == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
