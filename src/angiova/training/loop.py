"""The Hugging Face Trainer with Sa2VA's losses, its own validation, and checkpoints that are whole or don't count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import Sampler, SequentialSampler
from transformers import Trainer, TrainerControl
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from angiova.data.clips import Clip
from angiova.data.dataset import Example
from angiova.model.adapters import (
    WEIGHTS_NAME,
    Base,
    adapter_tensors,
    check_base,
    load_adapter_tensors,
    read_adapter,
    save_adapter,
)
from angiova.model.losses import num_terms
from angiova.model.parts import part_parameters
from angiova.model.trainable import TrainableSettings
from angiova.training import processes
from angiova.training.averaging import AveragedWeights
from angiova.training.callbacks import GradientGuard
from angiova.training.checkpoints import (
    COMPLETE_NAME,
    FULL_PRECISION_NAME,
    checkpoint_path,
    drop_older,
    mark_complete,
)
from angiova.training.features import FRAME_KEYS, CachedEncoder, frame_keys
from angiova.training.flops import FlopsCount
from angiova.training.keeping import FirstModel
from angiova.training.observing import PartGradients
from angiova.training.packing import packed, unpacked
from angiova.training.saving import WRITE_ERRORS, CheckpointWriter, copied, unwritten
from angiova.training.timing import StepTimer
from angiova.training.watchdog import Notes, Phase

VALIDATION_METRIC = "score"
NUM_TERMS = "num_terms"


@dataclass(frozen=True, slots=True)
class AdapterSaving:
    """How checkpoints are written when only an adapter is trained.

    Attributes:
        base: the model below the adapter.
        trainable: what is trained.
        dtype: type that the adapter is stored in; training goes on from float32 beside it.
    """

    base: Base
    trainable: TrainableSettings
    dtype: torch.dtype


class CountingCollate:
    """Makes training batches that say how many terms each of their losses has, counted where batches are made.

    Args:
        collate: makes the arguments of the model's forward from examples.
        with_keys: whether to say, under FRAME_KEYS, by what the feature cache knows each frame.
    """

    def __init__(self, collate: Callable[[Sequence[Example | Clip]], dict[str, Any]], with_keys: bool = False) -> None:
        self._collate, self._with_keys = collate, with_keys

    def __call__(self, examples: Sequence[Example | Clip]) -> dict[str, Any]:
        """Return the batch, packed, with the counts under NUM_TERMS."""
        batch = self._collate(examples)
        keys = {FRAME_KEYS: frame_keys(batch)} if self._with_keys else {}
        return packed(batch) | keys | {NUM_TERMS: num_terms(batch)}


class Sa2VATrainer(Trainer):  # type: ignore[misc]
    """Adds to the Trainer what Sa2VA needs, and nothing else.

    Args:
        loss_weights: weight of each loss in the sum.
        lr_scale: factor on the learning rate for single parts of the model.
        validate: returns metrics of the model as it is; one of them is `VALIDATION_METRIC`.
        adapter: how checkpoints are written when only an adapter is trained; None when whole models are.
        average: the averaged weights, where validation and checkpoints are to use them.
        timer: told how long each optimizer step waits for its data.
        caches: of frozen encoders, told which frames come.
        order: of the examples; the data set's own by default.
        gradients: of each part, for the log.
        writer: writes checkpoints.
        flops: told what a micro-step computes, where that is to be counted.
        first: the model as it was, where its prompts are to be kept.
        guard: told the losses of each micro-step; skips steps that would do harm.
    """

    # `compute_loss` divides by what a whole optimizer step holds, so the Trainer must not divide by its micro-steps.
    # transformers 5.17 asks `model_accepts_loss_kwargs` instead.
    loss_is_scaled_for_ga = True
    control: TrainerControl

    def __init__(
        self,
        *args: Any,  # noqa: ANN401
        loss_weights: dict[str, float],
        lr_scale: dict[str, float],
        validate: Callable[[], dict[str, float]],
        adapter: AdapterSaving | None = None,
        average: AveragedWeights | None = None,
        timer: StepTimer | None = None,
        caches: Mapping[str, CachedEncoder] | None = None,
        order: Sampler[int] | None = None,
        gradients: PartGradients | None = None,
        writer: CheckpointWriter | None = None,
        flops: FlopsCount | None = None,
        guard: GradientGuard | None = None,
        first: FirstModel | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self._loss_weights, self._lr_scale, self._validate = loss_weights, lr_scale, validate
        self._adapter, self._average, self._notes = adapter, average, Notes()
        self._timer, self._caches, self._order = timer or StepTimer(), caches or {}, order
        self._gradients, self._writer = gradients, writer or CheckpointWriter(in_background=False)
        self._flops, self._guard, self._first = flops, guard or GradientGuard(), first
        self.longest_save_s = 0.0
        for callback in (average, gradients):
            if callback is not None:
                self.add_callback(callback)
        self.model_accepts_loss_kwargs = True
        self._loss_sums_L = torch.zeros(len(loss_weights), device=self.args.device)
        self._num_steps_summed = 0

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401
        """Return this micro-batch's part of the weighted sum of losses of an optimizer step; remember each for the log.

        Each loss is a mean over its terms (see `num_terms`). The micro-batch counts by its share of the terms of the
        whole step, all devices together, so that examples weigh the same however they are laid out.

        Args:
            model: the model.
            inputs: a training batch.
            return_outputs: return the model's output too.
            num_items_in_batch: terms of each loss in the whole step, shape (losses,); None: this batch is all.
        """
        self._notes.say(Phase.FORWARD)
        inputs = dict(inputs)
        own, keys = inputs.pop(NUM_TERMS), inputs.pop(FRAME_KEYS, {})
        for encoder, cache in self._caches.items():
            cache.expect(keys[encoder])
        outputs = model(**(inputs if self._first is None else self._first.with_prompts(inputs)))
        for cache in self._caches.values():  # a batch without masks never asked
            cache.expect([])
        losses_L = torch.stack([outputs.losses[name].float() for name in self._loss_weights])
        if isinstance(num_items_in_batch, Tensor):
            # Devices average their gradients, so each counts as often as there are devices.
            own_L = losses_L.new_tensor(self._in_order([own]))
            losses_L = losses_L * own_L / num_items_in_batch.clamp(min=1) * self.args.world_size
        total = (losses_L * losses_L.new_tensor(list(self._loss_weights.values()))).sum()
        self._guard.see({name: loss.detach() for name, loss in outputs.losses.items()})
        self._loss_sums_L += torch.where(torch.isfinite(total), losses_L.detach(), 0.0)
        self._notes.say(Phase.AVERAGING)
        return (total, outputs) if return_outputs else total

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Unpack a batch that arrived, and put what is not yet there on the device."""
        prepared: dict[str, Any] = super()._prepare_inputs(unpacked(inputs))
        return prepared

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
        """Make one forward and backward pass; before the first, count what one computes."""
        if self._flops is not None and self._flops.per_sample is None:
            self._count_flops(self._flops, self._prepare_inputs(inputs))
        loss: Tensor = super().training_step(model, inputs, *args, **kwargs)
        return loss

    def _count_flops(self, flops: FlopsCount, inputs: dict[str, Any]) -> None:
        """Run one pass for its arithmetic alone: counting takes operations apart, which rounds them differently."""
        device, sums_L = self.args.device, self._loss_sums_L.clone()
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices), flops.counted(self.args.per_device_train_batch_size):
            self.compute_loss(self.model, inputs).backward()
        self.model.zero_grad()
        self._loss_sums_L = sums_L

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:  # noqa: ANN401
        """Read the micro-batches of an optimizer step, and count their terms."""
        self._notes.say(Phase.READING)
        with self._timer.waiting():
            batches = list(islice(epoch_iterator, num_batches))
        return super().get_batch_samples(iter(batches), len(batches), device)

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Tensor:
        """Return the terms of each loss in one optimizer step over all devices, shape (losses,)."""
        self._num_steps_summed += 1
        counts_L = torch.tensor(self._in_order([batch[NUM_TERMS] for batch in batch_samples]), device=device)
        return cast(Tensor, self.accelerator.reduce(counts_L, "sum"))

    def _in_order(self, counts: Sequence[Mapping[str, int]]) -> list[float]:
        """Return the sum of several counts of terms for each loss, in the order of the weights."""
        return [float(sum(count[name] for count in counts)) for name in self._loss_weights]

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Group the trainable parameters by learning rate and weight decay; biases and norms have no decay."""
        decayed = set(self.get_decay_parameter_names(self.model))
        scale_of = {id(p): scale for part, scale in self._lr_scale.items() for p in part_parameters(self.model, part)}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                # A vector is a bias or a norm, also where its name doesn't tell the Trainer, as in MONAI's networks.
                decay = self.args.weight_decay if name in decayed and parameter.ndim > 1 else 0.0
                groups.setdefault((scale_of.get(id(parameter), 1.0), decay), []).append(parameter)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": parameters, "lr": self.args.learning_rate * scale, "weight_decay": decay}
                for (scale, decay), parameters in groups.items()
            ],
            betas=(self.args.adam_beta1, self.args.adam_beta2),
            fused=True,
        )
        return self.optimizer

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add each loss, averaged over the optimizer steps since the last log line and over devices."""
        if "loss" in logs and self._num_steps_summed:
            means_L = self.accelerator.reduce(self._loss_sums_L, "mean") / self._num_steps_summed
            logs |= {f"loss_{name}": float(mean) for name, mean in zip(self._loss_weights, means_L, strict=True)}
            self._loss_sums_L, self._num_steps_summed = torch.zeros_like(self._loss_sums_L), 0
            if self._gradients is not None:
                logs |= {f"grad_norm_{part}": norm for part, norm in self._gradients.take().items()}
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:  # noqa: ANN401
        """Validate with real inference, log the result and return it."""
        self.model.eval()
        self._notes.say(Phase.VALIDATING)
        with self._served_weights():
            metrics = {f"eval_{name}": value for name, value in self._validate().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _served_weights(self) -> AbstractContextManager[None]:
        """Put those weights in place that validation looks at and checkpoints hold."""
        return nullcontext() if self._average is None else self._average.in_place()

    def _get_train_sampler(self, *_: Any) -> Sampler[int]:  # noqa: ANN401
        """Keep the given order, or the data set's own: it is shuffled already, the same way on every machine."""
        return self._order or SequentialSampler(self.train_dataset)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Load every weight or fail.

        `save_pretrained` writes InternVL's weights under the names of its published checkpoints and `from_pretrained`
        turns them back; the Trainer's own loader (5.17 to 5.23) does neither and skips unknown names in silence.
        """
        folder = Path(resume_from_checkpoint)
        if self._adapter is not None:
            check_base(read_adapter(folder), self._adapter.base)
            load_adapter_tensors(self.model, _resume_weights(folder))
        else:
            saved = type(self.model).from_pretrained(folder, local_files_only=True, use_safetensors=True)
            self.model.load_state_dict(saved.state_dict(), strict=True)
        if self._average is not None:
            self._average.load(folder)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Write the weights that are served, and beside them what only resuming needs."""
        folder = Path(output_dir or self.args.output_dir)
        with self._served_weights():
            if self._adapter is None:
                super()._save(output_dir, state_dict)
            else:
                self._save_adapter(folder, self._adapter, state_dict)
        if self._average is not None:
            self._average.save(folder)

    def _save_adapter(self, folder: Path, adapter: AdapterSaving, trained: dict[str, Tensor] | None) -> None:
        """Write the adapter alone, with itself at full precision where it is stored in less."""
        folder.mkdir(parents=True, exist_ok=True)
        self.processing_class.save_pretrained(folder)
        trained = trained or adapter_tensors(self.model)
        trained = copied(trained) if self._writer.in_background else trained
        self._writer.do(folder, lambda: _write_adapter(folder, trained, adapter))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Write both; in the background the optimizer's moments, which are most of it."""
        if not self._writer.in_background:
            super()._save_optimizer_and_scheduler(output_dir)
        elif self.args.should_save:
            folder, state = Path(output_dir), copied(self.optimizer.state_dict())
            torch.save(self.lr_scheduler.state_dict(), folder / SCHEDULER_NAME)
            self._writer.do(folder, lambda: torch.save(state, folder / OPTIMIZER_NAME))

    def finish_saving(self) -> None:
        """Return when every checkpoint is written.

        Raises:
            TrainingError: one could not be written.
        """
        self._writer.finish()

    def wait_for_saving(self) -> None:
        """Return when nothing is being written, whatever came of it."""
        self._writer.wait()

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Save, then mark the checkpoint complete with the size and hash of each file; the marker is written last.

        Raises:
            TrainingError: it cannot be written, e.g. the disk is full; what was begun is removed, earlier ones stay.
        """
        self._writer.finish()
        began = time.perf_counter()
        folder = checkpoint_path(Path(self.args.output_dir), self.state.global_step)
        (folder / COMPLETE_NAME).unlink(missing_ok=True)
        self._notes.say(Phase.SAVING)
        try:
            super()._save_checkpoint(*args, **kwargs)
            processes.wait_for_all()
            if self.args.should_save:
                best = self.state.best_model_checkpoint
                self._writer.do(folder, lambda: _complete(folder, None if best is None else Path(best)))
        except WRITE_ERRORS as error:
            self._writer.wait()
            raise unwritten(folder, error) from error
        self.longest_save_s = max(self.longest_save_s, time.perf_counter() - began)


def _complete(folder: Path, best: Path | None) -> None:
    """Mark a checkpoint, and only then remove older ones: until now they were what a run can go on from."""
    mark_complete(folder)
    drop_older(folder.parent, best)


def _write_adapter(folder: Path, trained: dict[str, Tensor], adapter: AdapterSaving) -> None:
    save_adapter(folder, trained, adapter.base, adapter.trainable, adapter.dtype)
    if adapter.dtype != torch.float32:
        tensors = {name: tensor.cpu().contiguous() for name, tensor in trained.items()}
        save_file(tensors, folder / FULL_PRECISION_NAME)


def _resume_weights(folder: Path) -> Path:
    full = folder / FULL_PRECISION_NAME
    return full if full.exists() else folder / WEIGHTS_NAME
