"""What a recipe would train and what that weighs, without loading a single weight."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from angiova.baselines.network import new_network
from angiova.baselines.settings import BaselineSettings, NetworkSettings
from angiova.errors import ConfigError, ModelError
from angiova.inference.predictor import choose_device
from angiova.model.adapters import select_trainable
from angiova.model.configuration import Sa2VAConfig
from angiova.model.modeling import Sa2VAModel
from angiova.model.opening import checkpoint_folder
from angiova.model.parts import parameter_table, whole_as_part
from angiova.model.quantised import BYTES_A_WEIGHT
from angiova.run_record import ModelPart
from angiova.training.config import ModelSettings, Recipe
from angiova.training.learner import starting_model, trainable_settings, uses_bf16

if TYPE_CHECKING:
    from angiova.training.memory import Fit

BYTES_FP32: Final = 4
BYTES_BF16: Final = 2
ADAM_MOMENTS: Final = 2


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part of the model during training on one device, unsharded.

    Attributes:
        name: of the part.
        parameters: all of its parameters.
        trainable: those that are trained.
        weight_bytes: weights; trained ones in float32, frozen ones as they are used.
        gradient_bytes: gradients, float32.
        optimizer_bytes: AdamW's two moments, float32.
    """

    name: str
    parameters: int
    trainable: int
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int


def plan_parts(recipe: Recipe) -> list[PartPlan]:
    """Return every part of the recipe's model, and their sum last.

    Raises:
        ConfigError: the recipe trains a baseline that has no weights of ours.
        ModelError: the checkpoint's configuration cannot be read.
    """
    if recipe.model.baseline is not None:
        return _plan_network(recipe.model.baseline)
    model = empty_model(recipe)
    settings = trainable_settings(recipe, model)
    with torch.device("meta"):
        select_trainable(model, settings)
    bf16 = uses_bf16(recipe, choose_device(recipe.device))
    frozen_bytes = BYTES_BF16 if bf16 and settings.is_adapter else BYTES_FP32
    rows = parameter_table(model)
    in_4bit = {"language_model"} if settings.load_in_4bit else set()
    return _with_sum([_row(part, BYTES_A_WEIGHT if part.name in in_4bit else frozen_bytes) for part in rows])


def empty_model(recipe: Recipe) -> Sa2VAModel:
    """Return the recipe's model on the meta device, before it is decided what is trained.

    Raises:
        ModelError: the checkpoint's configuration cannot be read.
    """
    with torch.device("meta"):
        model = starting_model(recipe)[0] if recipe.model.preset else Sa2VAModel(_config(recipe.model))
    model.config.refiner_px = recipe.model.refiner_px or model.config.refiner_px
    return model


def _plan_network(settings: BaselineSettings) -> list[PartPlan]:
    if not isinstance(settings, NetworkSettings):
        remedy = "nothing to weigh: a filter has no weights, nnU-Net plans for itself"
        raise ConfigError(
            "only networks can be planned", where=f"model.baseline.method: {settings.method}", remedy=remedy
        )
    with torch.device("meta"):
        network = new_network(settings, settings.phrase or "")
    return _with_sum([_row(whole_as_part(network, settings.method), BYTES_FP32)])


def _row(part: ModelPart, frozen_bytes: float) -> PartPlan:
    return PartPlan(
        name=part.name,
        parameters=part.total,
        trainable=part.trainable,
        weight_bytes=BYTES_FP32 * part.trainable + round(frozen_bytes * (part.total - part.trainable)),
        gradient_bytes=BYTES_FP32 * part.trainable,
        optimizer_bytes=ADAM_MOMENTS * BYTES_FP32 * part.trainable,
    )


def _with_sum(rows: list[PartPlan]) -> list[PartPlan]:
    numbers = [[value for value in asdict(row).values() if isinstance(value, int)] for row in rows]
    return [*rows, PartPlan("all", *map(sum, zip(*numbers, strict=True)))]


def print_plan(rows: list[PartPlan], as_json: bool = False, fit: Fit | None = None) -> None:
    """Print the parts as a table and the layout that fits, or both as JSON; the parts alone without a layout."""
    if as_json:
        parts = [asdict(row) for row in rows]
        print(json.dumps(parts if fit is None else {"parts": parts, "fit": asdict(fit)}, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, title="one device, unsharded", title_style="", title_justify="left")
    for column in ("part", "parameters", "trainable", "weights", "gradients", "optimizer"):
        table.add_column(column, justify="left" if column == "part" else "right", no_wrap=True)
    for row in rows:
        sizes = (row.weight_bytes, row.gradient_bytes, row.optimizer_bytes)
        counts = (f"{count / 1e6:,.2f} M" for count in (row.parameters, row.trainable))
        table.add_row(row.name, *counts, *(f"{size / 2**30:.2f} GiB" for size in sizes))
    console, total = Console(soft_wrap=True), rows[-1]
    console.print(table)
    share = total.trainable / total.parameters
    state = total.weight_bytes + total.gradient_bytes + total.optimizer_bytes
    console.print(
        f"{total.parameters / 1e9:.2f} B parameters, {total.trainable / 1e9:.2f} B trainable ({share:.1%}); "
        f"{state / 2**30:.1f} GiB before activations"
    )
    if fit is not None:
        console.print(_fit_lines(fit))


def _fit_lines(fit: Fit) -> str:
    layout = fit.layout
    checkpointing = "true" if layout.gradient_checkpointing else "false"
    return (
        f"on {fit.device_bytes / 2**30:.0f} GiB: batch.micro={layout.micro} batch.accumulation={layout.accumulation} "
        f"engine.gradient_checkpointing={checkpointing}\n"
        f"{layout.total_bytes / 2**30:.1f} GiB at most: {layout.state_bytes / 2**30:.1f} for the model and its "
        f"optimizer, {layout.step_bytes / 2**30:.1f} for a micro-step\n{fit.reason}"
    )


def _config(settings: ModelSettings) -> Sa2VAConfig:
    assert settings.checkpoint is not None
    folder = checkpoint_folder(Path(settings.checkpoint))
    try:
        config: Sa2VAConfig = Sa2VAConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"configuration cannot be read ({error})", where=folder) from None
    return config
