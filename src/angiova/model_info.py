"""What a model is made of, said from its configuration and the headers of its files: no weight is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from angiova.baselines.frangi import FILTER_PART, NUMBER_BYTES, FrangiBaseline, count_numbers
from angiova.baselines.opening import baseline_type, read_config
from angiova.errors import ModelError
from angiova.model.configuration import Sa2VAConfig
from angiova.model.convert.folders import Layout, layout_of, open_ours, open_released, read_tokenizer
from angiova.model.convert.names import links_of
from angiova.model.convert.sources import Linked, SafetensorsSource, Source, Spec
from angiova.model.modeling import Sa2VAModel
from angiova.model.opening import checkpoint_folder
from angiova.model.parts import parts_of
from angiova.model.presets import PRESETS, preset_config
from angiova.run_record import RUN_NAME, read_run
from angiova.shipped import resolved

OTHER: Final = "segmenter_other"


@dataclass(frozen=True, slots=True)
class PartInfo:
    """One part of a model.

    Attributes:
        name: as in reports and recipes.
        parameters: number of values.
        num_bytes: their size as stored, or as built for a preset.
        dtypes: their kinds.
        trainable: values that training may change; None where no run says it.
    """

    name: str
    parameters: int
    num_bytes: int
    dtypes: tuple[str, ...]
    trainable: int | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as `angiova info` shows it.

    Attributes:
        model: the preset or folder asked about.
        layout: "preset", "ours" or "released"; for a baseline its kind.
        parts: its parts.
    """

    model: str
    layout: str
    parts: tuple[PartInfo, ...]

    @property
    def parameters(self) -> int:
        """Number of values of all parts."""
        return sum(part.parameters for part in self.parts)

    @property
    def num_bytes(self) -> int:
        """Size of all parts."""
        return sum(part.num_bytes for part in self.parts)


def model_info(model: str) -> ModelInfo:
    """Describe a preset, a run, a checkpoint or a folder in the released layout; `nano` is the shipped model.

    Raises:
        ModelError: it is none of these, or its files are damaged or do not fit its configuration.
    """
    place = resolved(model)
    if model in PRESETS and not place.exists():
        return ModelInfo(model, "preset", _parts(preset_config(model), None, {}))
    if not place.exists():
        raise ModelError("neither a preset nor a folder", where=model, remedy=f"presets: {', '.join(sorted(PRESETS))}")
    folder = checkpoint_folder(place)
    baseline = baseline_type(folder)
    if baseline is not None:
        return ModelInfo(model, baseline, _baseline_parts(folder, _trainable(place)))
    layout = layout_of(folder)
    source, config = _open(folder, layout)
    return ModelInfo(model, layout.value, _parts(config, source.specs, _trainable(place)))


def print_info(info: ModelInfo, *, as_json: bool = False) -> None:
    """Print the description as a table, or as JSON."""
    if as_json:
        content = {**asdict(info), "parameters": info.parameters, "num_bytes": info.num_bytes}
        print(json.dumps(content, indent=2))
        return
    table = Table(title=f"{info.model} ({info.layout})", box=box.SIMPLE_HEAD, title_justify="left", title_style="")
    table.add_column("part", no_wrap=True)
    for name in ("parameters", "MB", "dtype", "trainable"):
        table.add_column(name, justify="right")
    for part in info.parts:
        trainable = "" if part.trainable is None else f"{part.trainable:,}"
        table.add_row(
            part.name, f"{part.parameters:,}", f"{part.num_bytes / 1e6:,.1f}", " ".join(part.dtypes), trainable
        )
    table.add_section()
    table.add_row("all", f"{info.parameters:,}", f"{info.num_bytes / 1e6:,.1f}", "", "")
    Console(soft_wrap=True).print(table)


def _open(folder: Path, layout: Layout) -> tuple[Source, Sa2VAConfig]:
    if layout is Layout.OURS:
        return open_ours(folder)
    released, config = open_released(folder, read_tokenizer(folder))
    return Linked(released, links_of(config), to_ours=True), config


def _baseline_parts(folder: Path, trainable: Mapping[str, int]) -> tuple[PartInfo, ...]:
    """Return a network or a filter as one part; nnU-Net's weights are not opened."""
    name, count = next(iter(trainable.items()), (None, None))
    match baseline_type(folder):
        case "angiova_frangi":
            numbers = count_numbers(read_config(folder, FrangiBaseline).parameters)
            return (PartInfo(name or FILTER_PART, numbers, numbers * NUMBER_BYTES, ("float64",), count),)
        case "angiova_network":
            return (_part(name or "network", list(SafetensorsSource(folder).specs.values()), count),)
    return ()


def _parts(config: Sa2VAConfig, specs: Mapping[str, Spec] | None, trainable: Mapping[str, int]) -> tuple[PartInfo, ...]:
    """Count every parameter once, in the part it belongs to."""
    with torch.device("meta"):
        model = Sa2VAModel(config)
    part_of = {id(p): part for part, modules in parts_of(model).items() for m in modules for p in m.parameters()}
    specs_of: dict[str, list[Spec]] = {part: [] for part in (*parts_of(model), OTHER)}
    for name, parameter in model.named_parameters():  # a tied head is named once, by its embedding
        stored = Spec(tuple(parameter.shape), parameter.dtype) if specs is None else specs[name]
        specs_of[part_of.get(id(parameter), OTHER)].append(stored)
    return tuple(_part(name, found, trainable.get(name)) for name, found in specs_of.items())


def _part(name: str, specs: list[Spec], trainable: int | None) -> PartInfo:
    kinds = sorted({str(spec.dtype).removeprefix("torch.") for spec in specs})
    num_bytes = sum(spec.num_bytes for spec in specs)
    parameters = sum(spec.num_bytes // spec.dtype.itemsize for spec in specs)
    return PartInfo(name, parameters, num_bytes, tuple(kinds), trainable)


def _trainable(run: Path) -> dict[str, int]:
    """Return what the record of a run says was trained."""
    if not (run / RUN_NAME).exists():
        return {}
    return {part.name: part.trainable for part in read_run(run).model_parts}
