"""What each device holds while several train one model: everything, or a share, and what goes together with that.

ddp replicates the model; zero2 shares out gradients and the optimizer's moments, zero3 and fsdp2 the weights as well
(Rajbhandari et al., "ZeRO", SC 2020). What is learnt is the same. All three run through accelerate; DeepSpeed's
configuration is made here and never read from a file.
"""

from __future__ import annotations

import importlib.util
import os
import socket
from typing import Any, Final

import torch
from torch import nn

from angiova.errors import ConfigError
from angiova.model.modeling import Sa2VAModel
from angiova.training import processes
from angiova.training.config import Recipe
from angiova.training.learner import uses_bf16

DEEPSPEED: Final = ("zero2", "zero3")
# Strategies whose weights are gathered, layer by layer, whenever they are used.
SHARDS_WEIGHTS: Final = ("zero3", "fsdp2")
# Gradients and weights that are sent together, in elements: four bytes each.
BUCKET: Final = 100_000_000
# Tensors of so many elements stay whole under ZeRO-3: gathering them takes longer than holding them.
WHOLE_BELOW: Final = 10_000


def check_strategy(recipe: Recipe, device: torch.device) -> None:
    """Refuse what the recipe's strategy cannot do.

    Raises:
        ConfigError: a package or the hardware for it is missing, or a field does not go with it.
    """
    strategy, where = recipe.engine.strategy, f"engine.strategy: {recipe.engine.strategy}"
    if strategy == "ddp":
        return
    if strategy in DEEPSPEED and importlib.util.find_spec("deepspeed") is None:
        raise ConfigError("DeepSpeed is not installed", where=where, remedy="pip install angiova[deepspeed]")
    if strategy in DEEPSPEED and device.type == "cpu" and torch.cuda.is_available():
        raise ConfigError(
            "DeepSpeed takes the GPU where there is one", where=where, remedy="device: cuda, or CUDA_VISIBLE_DEVICES="
        )
    if strategy == "fsdp2" and device.type != "cuda":
        raise ConfigError("fsdp2 needs GPUs", where=where, remedy="on CPUs take ddp, zero2 or zero3")
    if strategy == "fsdp2" and processes.world_size() < 2:
        raise ConfigError("one device has nothing to share", where=where, remedy="--devices 2 or more, or ddp")
    for field, remedy in _conflicts(recipe).items():
        raise ConfigError(f"{strategy} does not go with {field}", where=where, remedy=remedy)


def _conflicts(recipe: Recipe) -> dict[str, str]:
    """Return the fields that do not go with the strategy, with the remedy of each."""
    engine = recipe.engine
    conflicts = {}
    if recipe.optimizer.unfreeze:
        conflicts["optimizer.unfreeze"] = "take ddp: gradients of parts cannot be taken away from a sharded optimizer"
    if engine.rehearsal:
        conflicts["engine.rehearsal"] = "leave it out: a rehearsal holds the whole model on each device"
    if engine.strategy not in SHARDS_WEIGHTS:
        return conflicts
    if engine.torch_compile:
        conflicts["engine.torch_compile"] = "take ddp or zero2: gathering weights breaks compiled layers apart"
    if engine.feature_cache is not None:
        conflicts["engine.feature_cache"] = "take ddp or zero2: every device must run the encoders at the same time"
    if recipe.data.clips.share > 0:
        conflicts["data.clips.share"] = "take ddp or zero2: every device must run the same modules, clips have more"
    if recipe.trainable is not None and recipe.trainable.load_in_4bit:
        conflicts["trainable.load_in_4bit"] = "take ddp or zero2: packed weights cannot be shared out"
    if recipe.optimizer.average is not None:
        conflicts["optimizer.average"] = "take ddp or zero2: the average is kept of whole weights"
    return conflicts


def adapt(recipe: Recipe) -> tuple[Recipe, list[str]]:
    """Return the recipe as the strategy can run it, and what there is to say about that."""
    strategy, engine, news = recipe.engine.strategy, recipe.engine, []
    if strategy == "ddp":
        return recipe, []
    engine = engine.model_copy(update={"rehearsal": False})
    if strategy in SHARDS_WEIGHTS and engine.fused:
        news.append(
            f"engine.fused is off: fused layers read weights outside their modules, which {strategy} shares out"
        )
        engine = engine.model_copy(update={"fused": False})
    if processes.world_size() == 1:
        news.append(f"one device: {strategy} shares nothing, the device holds everything")
    return recipe.model_copy(update={"engine": engine}), news


def join(strategy: str, device: torch.device) -> None:
    """Meet the other processes in the way that the strategy's engine expects; from here on they can be waited for."""
    if strategy not in DEEPSPEED:
        processes.join(device)
        return
    from accelerate import PartialState

    if processes.world_size() == 1:
        _be_alone()
    on_cpu = device.type == "cpu"
    if on_cpu:
        _keep_from_compiling()
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    PartialState(backend="gloo" if on_cpu else None)


def arguments(recipe: Recipe, model: nn.Module, device: torch.device) -> dict[str, Any]:
    """Return what TrainingArguments must know of the strategy."""
    strategy = recipe.engine.strategy
    if strategy in DEEPSPEED:
        return {
            "deepspeed": deepspeed_config(recipe, model, device),
            "bf16": False,  # `torch_autocast` instead: weights keep their types, as under ddp
            "use_cpu": False,
            "accelerator_config": {"non_blocking": device.type == "cuda", "use_configured_state": True},
        }
    if strategy == "fsdp2":
        layers = sorted({type(layer).__name__ for layer in _layers(model)})
        return {
            "fsdp": True,
            "fsdp_config": {"version": 2, "reshard_after_forward": True, "transformer_layer_cls_to_wrap": layers},
            "bf16": False,  # the loop casts instead: weights keep their types, as under ddp
        }
    return {}


def deepspeed_config(recipe: Recipe, model: nn.Module, device: torch.device) -> dict[str, Any]:
    """Return DeepSpeed's configuration (deepspeed.ai/docs/config-json) for the recipe."""
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    bucket = min(BUCKET, trained + trained % 2)  # DeepSpeed wants an even number
    sharding: dict[str, Any] = {"stage": 2, "reduce_bucket_size": bucket, "allgather_bucket_size": bucket}
    if recipe.engine.strategy == "zero3":
        sharding = {
            "stage": 3,
            "reduce_bucket_size": bucket,
            "stage3_param_persistence_threshold": _whole_below(model),
            "stage3_gather_16bit_weights_on_model_save": False,
        }
    return {
        "train_micro_batch_size_per_gpu": recipe.batch.micro,
        "gradient_accumulation_steps": recipe.batch.accumulation,
        "gradient_clipping": recipe.optimizer.clip,
        "zero_optimization": sharding,
        "zero_allow_untested_optimizer": True,
        "torch_autocast": {
            "enabled": uses_bf16(recipe, device),
            "dtype": "bfloat16",
            # None: gradients and trained weights travel in float32, as under ddp.
            "lower_precision_safe_modules": [],
        },
    }


def _whole_below(model: nn.Module) -> int:
    """Return the size up to which tensors stay whole, in elements: that of the refiner's largest.

    The refiner runs as often as an example has masks, which differs between devices, and a device that gathers alone
    waits for ever.
    """
    assert isinstance(model, Sa2VAModel)
    refiner = [] if model.refiner is None else [parameter.numel() for parameter in model.refiner.parameters()]
    return max([WHOLE_BELOW, *refiner])


def _layers(model: nn.Module) -> list[nn.Module]:
    """Return the layers whose weights are gathered one at a time; the rest is gathered together."""
    assert isinstance(model, Sa2VAModel)
    towers = (model.vlm.model.language_model.layers, model.vlm.model.vision_tower.encoder.layer)
    return [layer for tower in (*towers, model.segmenter.vision_encoder.backbone.blocks) for layer in tower]


def _keep_from_compiling() -> None:
    """Leave out DeepSpeed's C++ for sums between CPUs: its compiler waits for ever behind one that was killed."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def _be_alone() -> None:
    """Describe this process as the only one, to engines that know no other way to be started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    alone = {"RANK": "0", "LOCAL_RANK": "0", processes.WORLD_SIZE: "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update(alone)
