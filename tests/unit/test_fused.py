"""The faster forms of the language model's layers compute what the plain ones do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.profiler import profile
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from angiova.model.adapters import adapter_tensors, merge_adapter, select_trainable
from angiova.model.fused import _apply, fuse_layers, run_frozen_encoders_plainly
from angiova.model.modeling import Sa2VAModel
from angiova.model.trainable import LoraSettings, TrainableSettings
from models import small_model

LAYERS = 4
FORMS_A_LAYER = 7 + 1 + 2  # LoRA, the feed-forward part, norms


def language_model(dropout: float = 0.0) -> Sa2VAModel:
    model, _ = small_model()
    select_trainable(model, TrainableSettings(lora=LoraSettings(rank=4, alpha=6, dropout=dropout)))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at the start, which would hide gradients
            torch.nn.init.normal_(parameter, std=0.02)
    return model.train()


def exact_norms(model: Sa2VAModel) -> None:
    """Compute norms in the type of their input; transformers rounds to float32."""
    for module in model.vlm.model.language_model.modules():
        if isinstance(module, Qwen2RMSNorm):
            module.forward = lambda x, m=module: m.weight * x / (x.square().mean(-1, True) + m.variance_epsilon).sqrt()


def outcome(model: Sa2VAModel, states: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the last states and the gradient of everything that has one, the input included."""
    states = states.clone().requires_grad_()
    torch.manual_seed(2)
    last = model._run_language_model(states, torch.ones(states.shape[:2], dtype=torch.long))
    last.square().sum().backward()
    assert states.grad is not None
    return last.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None} | {"in": states.grad}


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_in_float64_outputs_and_gradients_are_those_of_the_plain_layers(dropout: float) -> None:
    states = torch.randn(2, 9, 256, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = language_model(dropout).double()
    exact_norms(plain)
    expected = outcome(plain, states)
    model = language_model(dropout).double()
    assert fuse_layers(model) == LAYERS * FORMS_A_LAYER + 1
    found = outcome(model, states)
    assert len(found[1]) == LAYERS * 7 * 2 + 1
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_in_bfloat16_the_faster_layers_are_no_farther_from_the_truth() -> None:
    states = torch.randn(2, 9, 256, generator=torch.Generator().manual_seed(0))
    truth = outcome(language_model().double(), states.double())[0]
    errors = []
    for fuse in (False, True):
        model = language_model()
        for parameter in model.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()
        if fuse:
            fuse_layers(model)
        with torch.autocast("cpu", torch.bfloat16):
            errors.append(float((outcome(model, states.bfloat16())[0].double() - truth).norm() / truth.norm()))
    assert errors[1] <= 1.1 * errors[0] < 0.05


def test_what_is_kept_for_the_backward_pass_shrinks() -> None:
    states = torch.randn(2, 64, 256)
    kept = []
    for fuse in (False, True):
        model = language_model(dropout=0.05)
        if fuse:
            fuse_layers(model)
        seen: dict[int, int] = {}

        def note(tensor: Tensor, seen: dict[int, int] = seen) -> Tensor:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model._run_language_model(states.clone().requires_grad_(), torch.ones(2, 64, dtype=torch.long))
        kept.append(sum(seen.values()) - sum(p.untyped_storage().nbytes() for p in model.parameters()))
    assert kept[1] < 0.6 * kept[0]


def test_a_fused_adapter_saves_and_merges_as_before() -> None:
    plain, model = language_model(), language_model()
    fuse_layers(model)
    assert adapter_tensors(model).keys() == adapter_tensors(plain).keys()
    states = torch.randn(1, 5, 256)
    mask = torch.ones(1, 5, dtype=torch.long)
    with torch.no_grad():
        before = model.eval()._run_language_model(states, mask)
        merge_adapter(model)
        torch.testing.assert_close(model._run_language_model(states, mask), before, rtol=1e-4, atol=1e-5)


def test_frozen_encoders_without_autocast_say_the_same() -> None:
    answers = []
    for plainly in (False, True):
        model = language_model()
        for parameter in model.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()
        if plainly:
            run_frozen_encoders_plainly(model)
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randn(2, 3, 128, 128, generator=generator)
        tiles = torch.randn(2, 3, 64, 64, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            frames = model.segmenter.get_image_features(pixels, return_dict=True).fpn_hidden_states
            answers.append([*frames, *model._visual_tokens(tiles, [1, 1])])
    for expected, found in zip(*answers, strict=True):
        assert found.dtype == expected.dtype
        assert float((found - expected).detach().float().norm() / expected.detach().float().norm()) < 0.01


def test_encoders_that_are_trained_keep_autocast_and_their_gradients() -> None:
    model, _ = small_model()
    select_trainable(model, TrainableSettings(vision_tower=True))
    run_frozen_encoders_plainly(model)
    model._visual_tokens(torch.randn(1, 3, 64, 64), [1])[0].sum().backward()
    assert all(p.grad is not None for p in model.vlm.model.vision_tower.encoder.parameters())


# torch's own tracing of an autograd function warns of what it does itself (2.13)
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_compiled_layers_share_one_graph() -> None:
    model = language_model()
    assert fuse_layers(model) == LAYERS * FORMS_A_LAYER + 1
    states = torch.randn(2, 9, 256)
    expected, _ = outcome(model, states)
    torch._dynamo.reset()
    counters.clear()
    for layer in model.vlm.model.language_model.layers:
        layer.compile(backend="aot_eager")
    found, _ = outcome(model, states)
    assert counters["stats"]["unique_graphs"] == 1  # of four layers
    assert not counters["graph_break"]
    torch.testing.assert_close(found, expected)


def test_the_factor_of_an_update_costs_no_operation_of_its_own() -> None:
    x, down, up = (torch.randn(size, dtype=torch.float64, requires_grad=True) for size in ((5, 8), (3, 8), (6, 3)))
    weight, upstream = torch.randn(6, 8, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
    with profile() as seen:
        found = torch.autograd.grad(_apply(x, None, weight, None, down, up, 0.3, 0.0), (x, down, up), upstream)
    expected = torch.autograd.grad(x @ weight.T + 0.3 * (x @ down.T) @ up.T, (x, down, up), upstream)
    torch.testing.assert_close(found, expected)
    names = [event.name for event in seen.events()]
    assert not {"aten::mul", "aten::mul_"} & set(names)
    assert sum(name in ("aten::mm", "aten::addmm", "aten::addmm_") for name in names) == 8
