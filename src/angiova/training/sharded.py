"""The training loop where devices share weights, gradients or the optimizer among them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from angiova.errors import TrainingError
from angiova.training.callbacks import GradientGuard
from angiova.training.loop import Sa2VATrainer
from angiova.training.sharding import (
    Groups,
    keep_reachable,
    load_optimizer_state,
    optimizer_state,
    whole_model,
    whole_weights,
)
from angiova.training.strategies import DEEPSPEED


class ShardedTrainer(Sa2VATrainer):
    """Opens, validates and saves the model whole, and trains it in shares.

    Args:
        strategy: one of the engine's strategies but ddp.
        bf16: whether training computes in bfloat16.
    """

    def __init__(self, *args: Any, strategy: str, bf16: bool, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._strategy, self._bf16 = strategy, bf16
        self.remove_callback(GradientGuard)  # DeepSpeed keeps gradients for itself; `_clip_grad_norm` looks instead

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return what every strategy returns; DeepSpeed casts by itself."""
        casts = self._bf16 and self._strategy not in DEEPSPEED
        with torch.autocast(self.args.device.type, torch.bfloat16, enabled=casts):
            return super().compute_loss(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:  # noqa: ANN401
        """Validate with the whole model on every device, so that each can answer about frames of its own."""
        with whole_model(self.model, self.model_wrapped):
            return super().evaluate(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the same files as one device would."""
        with self._served_weights():
            weights = whole_weights(self.model, only_trained=self._adapter is not None, keep=self.args.should_save)
        if self.args.should_save:
            self._save(output_dir, weights)

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None) -> Any:  # noqa: ANN401
        """Load a checkpoint's weights before they are shared out, and the optimizer's state after it."""
        # Else transformers opens every model in shares from now on, and lets processes generate in step.
        unset_hf_deepspeed_config()
        if resume_from_checkpoint is not None:
            self._load_from_checkpoint(resume_from_checkpoint)
        if self._strategy not in DEEPSPEED:
            # accelerate 1.15 gives the embedding a group of its own; a model of two halves has none to show.
            self.model.get_input_embeddings = lambda: None
        prepared = super()._prepare_for_training(max_steps, train_dataloader, None)
        unset_hf_deepspeed_config()
        if self._strategy == "zero3":
            keep_reachable(self.model)
        if resume_from_checkpoint is not None:
            self._load_optimizer(Path(resume_from_checkpoint))
        return prepared

    def _load_optimizer(self, folder: Path) -> None:
        saved = torch.load(folder / OPTIMIZER_NAME, map_location="cpu", weights_only=True)
        load_optimizer_state(self._engine_optimizer(), self._groups(), saved)
        self.lr_scheduler.load_state_dict(torch.load(folder / SCHEDULER_NAME, weights_only=True))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Write both as one device would."""
        state = optimizer_state(self._engine_optimizer(), self._groups(), keep=self.args.should_save)
        if self.args.should_save:
            folder = Path(output_dir)
            torch.save(self.lr_scheduler.state_dict(), folder / SCHEDULER_NAME)
            self._writer.do(folder, lambda: torch.save(state, folder / OPTIMIZER_NAME))

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Remember which parameters form a group, where DeepSpeed puts flat tensors in their place."""
        optimizer = super().create_optimizer(model)
        if self._strategy in DEEPSPEED:  # FSDP2 puts shares in their place, beside which nobody may keep them whole
            self._created_groups: Groups = [list(group["params"]) for group in optimizer.param_groups]
        return optimizer

    def _groups(self) -> Groups:
        if self._strategy in DEEPSPEED:
            return self._created_groups
        return [group["params"] for group in self.optimizer.param_groups]

    def _engine_optimizer(self) -> Any:  # noqa: ANN401
        """Return the optimizer below accelerate's wrapper."""
        wrapper: Any = self.optimizer
        return wrapper.optimizer

    def _clip_grad_norm(self, model: nn.Module) -> Any:  # noqa: ANN401
        """Clip, and stop where gradients are not finite; DeepSpeed has made its step by then, but nothing is saved.

        Raises:
            TrainingError: they are not.
        """
        norm = super()._clip_grad_norm(model)
        value = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        if not math.isfinite(value) or value < 0:  # DeepSpeed says -1 for what is not finite
            raise TrainingError(
                f"gradients are not finite at optimizer step {self.state.global_step}",
                remedy="lower optimizer.lr, then go on with --resume from the last checkpoint",
            )
        return value
