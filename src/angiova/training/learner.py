"""What a run trains by gradient descent: Sa2VA, or a network to compare with. The run itself is the same for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from angiova.baselines.network import LOSS_NAMES, MODEL_TYPE, NetworkBaseline, SegmentationNetwork, new_network
from angiova.baselines.opening import baseline_type, open_network
from angiova.baselines.settings import NetworkSettings
from angiova.data.clips import Clip
from angiova.data.dataset import Example, ExampleSettings
from angiova.data.manifest import Manifest
from angiova.data.records import Split
from angiova.errors import ConfigError, ModelError
from angiova.inference.answers import Answerer
from angiova.inference.baseline import BaselinePredictor
from angiova.inference.predictor import Predictor
from angiova.model.adapters import Base, select_trainable
from angiova.model.fingerprint import fingerprint
from angiova.model.losses import OPTIONAL_LOSSES
from angiova.model.memory import check_memory
from angiova.model.modeling import Sa2VAModel
from angiova.model.opening import checkpoint_folder, is_adapter, open_model
from angiova.model.parts import parameter_table, whole_as_part
from angiova.model.presets import build, build_nano
from angiova.model.processing import Sa2VAProcessor
from angiova.model.quantised import quantise_language_model
from angiova.model.trainable import TrainableSettings
from angiova.run_record import ModelPart
from angiova.training.config import Recipe
from angiova.training.engine import prepare_engine
from angiova.training.features import CachedEncoder, install_caches
from angiova.training.keeping import FirstModel, check_kept
from angiova.training.loop import AdapterSaving
from angiova.training.phrase import phrase_to_train
from angiova.training.warmup import teach_names

# Parameters from which a checkpoint is fine-tuned through an adapter unless the recipe says otherwise.
LARGE_MODEL = 100_000_000


@dataclass(frozen=True, slots=True)
class Learner:
    """What a run needs to know of the thing it trains.

    Attributes:
        model: its forward returns `losses` by name.
        parts: its parameters, for the record.
        collate: makes the arguments of its forward from examples.
        tokenizer: saved with each checkpoint; None for a model without words.
        answerer: returns the model, as it then is, ready to be asked.
        loss_weights: weight of each loss in the sum.
        phrases: what it is taught; None: whatever is labelled.
        examples: what is asked about a frame.
        adapter: how checkpoints are written when only an adapter is trained.
        warm_up: run once before training, returns what to write down about it.
        caches: what stands before frozen encoders, by their names.
        first: the model as it was, where its prompts are to be kept.
    """

    model: PreTrainedModel
    parts: list[ModelPart]
    collate: Callable[[Sequence[Example | Clip]], dict[str, Any]]
    tokenizer: PreTrainedTokenizerBase | None
    answerer: Callable[[], Answerer]
    loss_weights: dict[str, float]
    phrases: tuple[str, ...] | None
    examples: ExampleSettings
    adapter: AdapterSaving | None = None
    warm_up: Callable[[], str] | None = None
    caches: dict[str, CachedEncoder] = field(default_factory=dict)
    first: FirstModel | None = None


def make_learner(recipe: Recipe, manifest: Manifest, device: torch.device) -> Learner:
    """Return what the recipe trains.

    Raises:
        ConfigError: it cannot be trained as the recipe says.
        ModelError: its checkpoint cannot be opened.
    """
    if isinstance(recipe.model.baseline, NetworkSettings):
        return _network_learner(recipe, recipe.model.baseline, manifest, device)
    model, processor = starting_model(recipe)
    if recipe.model.refiner_px is not None or recipe.model.preset is not None:
        model.config.refiner_px = recipe.model.refiner_px or _usual_side_px(recipe, manifest)
    trainable = trainable_settings(recipe, model)
    if recipe.losses.prompts > 0:
        check_kept(trainable)
    adapter = _prepare_weights(recipe, model, trainable, device)
    prepare_engine(model, recipe.engine)
    if recipe.data.clips.share > 0:
        check_memory(model.segmenter)

    def warm_up() -> str:
        """Teach the names, and say how that went."""
        first, last = teach_names(model, processor, recipe.language_warmup, recipe.seed, device)
        return f"language warm-up: {recipe.language_warmup.steps} steps on text alone, loss {first:.2f} -> {last:.2f}"

    weights = recipe.losses.model_dump()
    optional = tuple(name for name in OPTIONAL_LOSSES if weights[name] > 0)
    return Learner(
        model=model,
        parts=parameter_table(model),
        collate=lambda examples: (
            processor.collate(examples, recompute=recipe.data.clips.recompute) | {"optional_losses": optional}
        ),
        tokenizer=processor.tokenizer,
        answerer=lambda: Predictor(model, processor, device),
        loss_weights=_weights_used(recipe),
        phrases=None,
        examples=recipe.data.examples,
        adapter=adapter,
        warm_up=warm_up if recipe.language_warmup.steps else None,
        caches={} if recipe.engine.feature_cache is None else install_caches(model, recipe.engine.feature_cache),
        first=FirstModel(model) if recipe.losses.prompts > 0 else None,
    )


def _usual_side_px(recipe: Recipe, manifest: Manifest) -> int | None:
    """Return the longest side of the median training frame; vessels are learnt by their width in its pixels."""
    sides = [max(record.height, record.width) for record in manifest.records(Split(recipe.data.train_split))]
    return round(median(sides)) if sides else None


def _weights_used(recipe: Recipe) -> dict[str, float]:
    """Return the weights of the losses measured: of words and kept prompts alone, or of all but those."""
    weights = recipe.losses.model_dump()
    if weights["prompts"] > 0:
        return {name: weights[name] for name in ("language", "prompts")}
    return {
        name: weight
        for name, weight in weights.items()
        if name != "prompts" and (weight > 0 or name not in OPTIONAL_LOSSES)
    }


def _network_learner(recipe: Recipe, settings: NetworkSettings, manifest: Manifest, device: torch.device) -> Learner:
    """Return a network with random weights, taught one phrase by the two losses that a mask has."""
    phrase = phrase_to_train(settings, manifest, recipe)
    network = _starting_network(settings, phrase)
    weights = recipe.losses.model_dump()
    return Learner(
        model=network,
        parts=[whole_as_part(network, settings.method)],
        collate=lambda examples: network.collate([example for example in examples if isinstance(example, Example)]),
        tokenizer=None,
        answerer=lambda: BaselinePredictor(NetworkBaseline(network, device)),
        loss_weights={name: weights[name] for name in LOSS_NAMES},
        phrases=(phrase,),
        examples=ExampleSettings(targets_per_frame=1, whole_only=1, absent_segments=0, joined=0),
    )


def _starting_network(settings: NetworkSettings, phrase: str) -> SegmentationNetwork:
    """Return the network that training starts from, on the CPU."""
    network = new_network(settings, phrase)
    if settings.checkpoint is None:
        return network
    folder = checkpoint_folder(settings.checkpoint)
    if baseline_type(folder) != MODEL_TYPE:
        raise ModelError("this is no network", where=folder, remedy="give a run that trained this method")
    started = open_network(folder)
    if (started.config.method, tuple(started.config.channels)) != (settings.method, settings.levels):
        raise ConfigError("another network than the recipe's", where=folder, remedy="use the same method and channels")
    network.load_state_dict(started.state_dict())
    return network


def starting_model(recipe: Recipe) -> tuple[Sa2VAModel, Sa2VAProcessor]:
    """Return the model that the recipe starts from, on the CPU.

    Raises:
        ModelError: the checkpoint cannot be opened, or is an adapter or a baseline.
    """
    if recipe.model.preset is not None:
        sizes = recipe.model.chosen_sizes
        model, tokenizer = build_nano(**sizes) if sizes else build(recipe.model.preset)
        return model, Sa2VAProcessor(tokenizer, model.config)
    assert recipe.model.checkpoint is not None
    folder = checkpoint_folder(recipe.model.checkpoint)
    if is_adapter(folder):
        raise ModelError("training cannot start from an adapter", where=folder, remedy="fold it in: angiova merge")
    if baseline_type(folder) is not None:
        raise ModelError("this is a baseline", where=folder, remedy="give it as model.baseline.checkpoint")
    model, processor = open_model(folder)
    return model.train(), processor


def trainable_settings(recipe: Recipe, model: Sa2VAModel) -> TrainableSettings:
    """Return what is trained: what the recipe says, else an adapter on a large checkpoint, everything otherwise.

    Unless the recipe says otherwise, the memory is trained where there are clips.
    """
    is_large = sum(parameter.numel() for parameter in model.parameters()) >= LARGE_MODEL
    everything = recipe.model.preset is not None or not is_large
    chosen = TrainableSettings.everything() if everything else TrainableSettings()
    return recipe.trainable or chosen.model_copy(update={"segmenter_memory": recipe.data.clips.share > 0})


def _prepare_weights(
    recipe: Recipe, model: Sa2VAModel, trainable: TrainableSettings, device: torch.device
) -> AdapterSaving | None:
    """Choose what is trained, always in float32; below an adapter, store what is frozen as it is used.

    Raises:
        ConfigError: an adapter would have random weights as its base, which nobody could open again.
    """
    if not trainable.is_adapter:
        select_trainable(model.float(), trainable)
        return None
    if recipe.model.checkpoint is None:
        raise ConfigError(
            "an adapter needs a base on disk, not random weights of a preset",
            where="trainable.language_model",
            remedy="give model.checkpoint, or use language_model: full",
        )
    folder = checkpoint_folder(recipe.model.checkpoint).resolve()
    base = Base(folder=folder, fingerprint=fingerprint(folder))
    bf16 = uses_bf16(recipe, device)
    if trainable.load_in_4bit:
        quantise_language_model(model, device, torch.bfloat16 if bf16 else torch.float32)
    select_trainable(model, trainable)
    for parameter in model.parameters():
        if parameter.is_floating_point():  # packed weights are bytes
            dtype = torch.bfloat16 if bf16 and not parameter.requires_grad else torch.float32
            parameter.data = parameter.data.to(dtype)
    return AdapterSaving(base, trainable, torch.bfloat16 if bf16 else torch.float32)


def uses_bf16(recipe: Recipe, device: torch.device) -> bool:
    """Say whether training computes in bfloat16."""
    available = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return recipe.precision == "bf16" or (recipe.precision == "auto" and available)
