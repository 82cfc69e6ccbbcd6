"""The mean of several models that went different ways from one start: often better than each, at the cost of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from angiova.errors import ConfigError, ModelError
from angiova.model.convert.writer import SHARD_BYTES, new_folder
from angiova.model.modeling import Sa2VAModel
from angiova.model.opening import checkpoint_folder, is_adapter, open_model
from angiova.model.processing import Sa2VAProcessor
from angiova.training_history import join_histories


def average(sources: Sequence[Path], out: Path) -> None:
    """Write the model whose weights are the mean of the weights of others, in float32.

    Wortsman et al., "Model soups", ICML 2022 (the uniform soup). The mean is worth something only where all were
    trained from the same weights; that cannot be seen from them, so evaluate it.

    Args:
        sources: two or more runs or checkpoints of one architecture.
        out: folder to write; it appears when it is complete.

    Raises:
        ConfigError: there are fewer than two.
        ModelError: one is an adapter or of another architecture, or `out` is there already.
    """
    if len(sources) < 2:
        raise ConfigError("one model has no mean", where="MODELS", remedy="give two or more models, then OUT")
    with new_folder(out) as partial:
        model, processor = _opened(sources[0])
        total = {name: value.double() for name, value in model.state_dict().items() if value.is_floating_point()}
        for source in sources[1:]:
            _add(total, _opened(source)[0], source)
        with torch.no_grad():
            for name, value in model.state_dict().items():
                if name in total:
                    value.copy_(total[name] / len(sources))
        model.save_pretrained(partial, max_shard_size=SHARD_BYTES)
        processor.tokenizer.save_pretrained(partial)
        join_histories(sources, partial)


def _opened(source: Path) -> tuple[Sa2VAModel, Sa2VAProcessor]:
    folder = checkpoint_folder(source)
    if is_adapter(folder):
        raise ModelError("this is an adapter", where=folder, remedy="fold it in first: angiova merge")
    return open_model(folder, dtype=torch.float32)


def _add(total: dict[str, torch.Tensor], model: Sa2VAModel, source: Path) -> None:
    values = model.state_dict()
    for name, so_far in total.items():
        if name not in values or values[name].shape != so_far.shape:
            raise ModelError(f"has another architecture: {name}", where=source, remedy="average models of one start")
        so_far += values[name]
