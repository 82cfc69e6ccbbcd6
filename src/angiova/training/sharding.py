"""Whole weights and the whole state of an optimizer, however they are shared out, in the form that one device writes.

A checkpoint of any strategy looks the same, so a run goes on under another strategy or on other numbers of devices.
DeepSpeed's own checkpoints are pickles in as many pieces as there are devices; they are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from angiova.model.modeling import Sa2VAModel

MOMENTS: Final = ("exp_avg", "exp_avg_sq")
Groups = Sequence[Sequence[nn.Parameter]]


def keep_reachable(model: Sa2VAModel) -> None:
    """Tell ZeRO-3 of the weights that are used outside of their modules' forward, so that it gathers them in time.

    SAM2's vectors are added to what its mask decoder gets; their gradients come just after the decoder's.
    """
    from deepspeed.runtime.zero import register_external_parameter

    sam = model.segmenter
    for parameter in (*sam.parameters(recurse=False), *sam.prompt_encoder.parameters()):
        register_external_parameter(sam.mask_decoder, parameter)


def whole_weights(model: nn.Module, only_trained: bool, keep: bool) -> dict[str, Tensor]:
    """Return a model's weights by name, whole, on the CPU; every process must ask.

    Args:
        model: the model, not the engine around it.
        only_trained: leave out what is frozen, and a second name of the same tensor.
        keep: whether this process wants them; the others get nothing.
    """
    if only_trained:
        named: dict[str, Tensor] = {name: p for name, p in model.named_parameters() if p.requires_grad}
    else:
        named = model.state_dict(keep_vars=True)
    kept: dict[int, Tensor] = {}
    for tensor in named.values():
        if id(tensor) not in kept:  # tied weights stay tied
            with _gathered(tensor) as whole:
                kept[id(tensor)] = whole.detach().cpu().clone() if keep else torch.empty(0)
    return {name: kept[id(tensor)] for name, tensor in named.items()} if keep else {}


@contextmanager
def whole_model(model: nn.Module, engine: Any) -> Iterator[None]:  # noqa: ANN401
    """Hold all weights on every device for a while, so that each process can use the model by itself.

    Args:
        model: the model.
        engine: what the Trainer made of it: DeepSpeed's engine, or the model again.
    """
    if isinstance(model, FSDPModule):
        with _unsharded(model):
            yield
    elif any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
        with _without_hooks(model, engine.optimizer.parameter_offload):
            yield
    else:
        yield


def optimizer_state(optimizer: Any, groups: Groups, keep: bool) -> dict[str, Any]:  # noqa: ANN401
    """Return what `state_dict` of a plain AdamW over the same groups would return; every process must ask.

    Args:
        optimizer: of torch, or DeepSpeed's around it.
        groups: parameters of each group, in order.
        keep: whether this process wants it; the others get nothing.
    """
    plain = getattr(optimizer, "optimizer", optimizer)
    _link_moments(optimizer)
    step = next((entry["step"] for entry in plain.state.values()), torch.tensor(0.0))
    state: dict[int, dict[str, Tensor]] = {}
    for index, parameter in enumerate(p for group in groups for p in group):
        moments = {name: _moment(plain, parameter, name) for name in MOMENTS}
        if keep:
            state[index] = {"step": _local(step).cpu().clone()} | {n: m.cpu().clone() for n, m in moments.items()}
    return {"state": state, "param_groups": _numbered(plain.param_groups, groups)} if keep else {}


def load_optimizer_state(optimizer: Any, groups: Groups, saved: dict[str, Any]) -> None:  # noqa: ANN401
    """Go on from what `optimizer_state`, or a plain AdamW, returned.

    Args:
        optimizer: of torch, or DeepSpeed's around it, before its first step.
        groups: parameters of each group, in order.
        saved: the state.
    """
    plain = getattr(optimizer, "optimizer", optimizer)
    for group, values in zip(plain.param_groups, saved["param_groups"], strict=True):
        group.update({name: value for name, value in values.items() if name != "params"})
    parameters = [parameter for group in groups for parameter in group]
    step = saved["state"][0]["step"]
    fill = _filler(optimizer, plain, parameters, step)
    for index, parameter in enumerate(parameters):
        for name in MOMENTS:
            fill(parameter, name, saved["state"][index][name])


def _filler(
    optimizer: Any,  # noqa: ANN401
    plain: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    step: Tensor,
) -> Callable[[nn.Parameter, str, Tensor], None]:
    """Make room for the moments, and return what puts a whole one of a parameter in its place."""
    if isinstance(parameters[0], DTensor):
        for parameter in parameters:
            plain.state[parameter]["step"] = step.to(parameter.device, copy=True)
        return lambda parameter, name, whole: plain.state[parameter].__setitem__(name, _shared_out(whole, parameter))
    for flat in _flat_groups(optimizer):
        plain.state[flat] = {name: torch.zeros_like(flat) for name in MOMENTS} | {
            "step": step.to(flat.device, copy=True)
        }
    _link_moments(optimizer)
    return _fill_deepspeed


def _fill_deepspeed(parameter: nn.Parameter, name: str, whole: Tensor) -> None:
    """Put this device's share of a moment in its place."""
    from deepspeed.utils import safe_set_full_optimizer_state, safe_set_local_optimizer_state

    whole = whole.to(parameter.device)
    if not hasattr(parameter, "ds_id"):
        safe_set_full_optimizer_state(parameter, whole, name)
        return
    # ZeRO-3's shares are of one size; DeepSpeed 0.19.8 fails where the last one is not filled, so they are cut here.
    size, rank = cast(Any, parameter).ds_tensor.numel(), torch.distributed.get_rank()
    padded = nn.functional.pad(whole.flatten(), (0, size * torch.distributed.get_world_size() - whole.numel()))
    safe_set_local_optimizer_state(parameter, padded.narrow(0, size * rank, size), name)


def _link_moments(optimizer: Any) -> None:  # noqa: ANN401
    """Let ZeRO-2 find the moments of each parameter; 0.19.8 looks too early, when one group alone has made a step."""
    if hasattr(optimizer, "_hp_optimizer_states_linked"):
        optimizer._hp_optimizer_states_linked = False
        optimizer._lazy_init_hp_params_optimizer_state()


def _flat_groups(optimizer: Any) -> list[Tensor]:  # noqa: ANN401
    """Return the flat tensors that DeepSpeed's optimizer updates on this device."""
    of_zero3: list[Tensor] | None = getattr(optimizer, "fp32_partitioned_groups_flat", None)
    return list(optimizer.single_partition_of_fp32_groups if of_zero3 is None else of_zero3)


def _moment(plain: torch.optim.Optimizer, parameter: nn.Parameter, name: str) -> Tensor:
    """Return a moment of a parameter, whole."""
    if isinstance(parameter, DTensor):
        return _local(plain.state[parameter][name])
    from deepspeed.utils import safe_get_full_optimizer_state

    moment: Tensor = safe_get_full_optimizer_state(parameter, name)
    return moment.view(whole_shape(parameter))


def whole_shape(parameter: Tensor) -> torch.Size:
    """Return the shape over all devices; under ZeRO-3 a parameter is empty between uses and keeps it as `ds_shape`."""
    shape: torch.Size = getattr(parameter, "ds_shape", parameter.shape)
    return shape


def _local(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _shared_out(whole: Tensor, parameter: nn.Parameter) -> Tensor:
    assert isinstance(parameter, DTensor)
    return distribute_tensor(whole.to(parameter.device), parameter.device_mesh, parameter.placements)


def _numbered(groups: Sequence[dict[str, Any]], parameters: Groups) -> list[dict[str, Any]]:
    """Return groups with numbers in the place of their parameters, as `state_dict` has them."""
    numbered, first = [], 0
    for group, members in zip(groups, parameters, strict=True):
        indices = list(range(first, first + len(members)))
        numbered.append({name: value for name, value in group.items() if name != "params"} | {"params": indices})
        first += len(members)
    return numbered


@contextmanager
def _gathered(tensor: Tensor) -> Iterator[Tensor]:
    if isinstance(tensor, DTensor):
        yield tensor.full_tensor()
    elif hasattr(tensor, "ds_id"):
        from deepspeed.runtime.zero import GatheredParameters

        with GatheredParameters([tensor]):
            yield tensor
    else:
        yield tensor


@contextmanager
def _unsharded(model: nn.Module) -> Iterator[None]:
    """Gather what FSDP2 has shared out, and keep its hooks from sharing it out again."""
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            # The outermost part is used until the backward pass begins; sharing it out before would be in vain.
            part.set_reshard_after_forward(part is not model, recurse=False)


@contextmanager
def _without_hooks(model: nn.Module, offload: Any) -> Iterator[None]:  # noqa: ANN401
    """Gather what ZeRO-3 has shared out, and take its hooks off, which would share it out again."""
    from deepspeed.runtime.zero import GatheredParameters

    with GatheredParameters(list(model.parameters())):
        parameters: list[Any] = list(model.parameters())
        for parameter in parameters:
            parameter.ds_active_sub_modules.clear()
        for hook in (*offload.forward_hooks, *offload.backward_hooks):
            hook.remove()
        offload.forward_hooks, offload.backward_hooks = [], []
        try:
            yield
        finally:
            offload._register_deepspeed_module(offload.module)
