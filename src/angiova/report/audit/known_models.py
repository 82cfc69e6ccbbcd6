"""How large a named model truly is, counted on the meta device from its preset; no number is written down here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from angiova.model.trainable import LoraSettings, TrainableSettings

_NAME = re.compile(r"internvl3[-_ ]?(\d+b)", re.IGNORECASE)
_RANK = re.compile(r"lora\D*(\d{1,5})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KnownSize:
    """A model's size, whole.

    Attributes:
        preset: the preset counted.
        total: parameters of the model with its adapters.
        vocabulary: embedding and head; PEFT's `modules_to_save` keeps a second copy of them when they are trained.
        trainable: parameters of the parts said to be trained; None where none was said.
        has_vocabulary_copy: whether the embedding and the head are trained beside LoRA, which keeps that copy.
    """

    preset: str
    total: int
    vocabulary: int
    trainable: int | None
    has_vocabulary_copy: bool

    @property
    def totals(self) -> dict[str, int]:
        """Every size that a program may rightly print for the whole model, by what it counts."""
        sizes = {"whole model": self.total}
        if self.has_vocabulary_copy:
            sizes["whole model with the copies of embedding and head that PEFT keeps"] = self.total + self.vocabulary
        return sizes


def known_size(model: str | None, trained_parts: Sequence[str]) -> KnownSize | None:
    """Return the size of a model by its name, or None when no preset is like it.

    The reference has no refiner, so it is left out of the count.

    Args:
        model: a name such as ``Sa2VA-InternVL3-8B``.
        trained_parts: names of what is trained, the reference's (``mlp1``) or ours (``projector``).
    """
    found = None if model is None else _NAME.search(model[:200])
    if found is None:
        return None
    # torch is needed only where there is a model to count
    import torch

    from angiova.model.adapters import select_trainable
    from angiova.model.modeling import Sa2VAModel
    from angiova.model.parts import parameter_table
    from angiova.model.presets import PRESETS, preset_config

    preset = f"internvl3-{found[1].lower()}"
    if preset not in PRESETS:
        return None
    config = preset_config(preset)
    config.refiner_width = None
    with torch.device("meta"):
        network = Sa2VAModel(config)
        settings = _settings(trained_parts)
        if settings is not None:
            select_trainable(network, settings)
    parts = {part.name: part for part in parameter_table(network)}
    return KnownSize(
        preset=preset,
        total=sum(part.total for part in parts.values()),
        vocabulary=parts["vocabulary"].total,
        trainable=None if settings is None else sum(part.trainable for part in parts.values()),
        has_vocabulary_copy=settings is not None
        and settings.language_model == "lora"
        and settings.vocabulary == "whole",
    )


def _settings(trained_parts: Sequence[str]) -> TrainableSettings | None:
    """Return what our own recipe would say for the parts named; None when nothing is."""
    text = " ".join(trained_parts).lower()
    if not text:
        return None
    rank = _RANK.search(text)
    lora = LoraSettings(rank=int(rank[1])) if rank is not None else LoraSettings()
    return TrainableSettings(
        language_model="lora" if "lora" in text else "frozen",
        lora=lora,
        vocabulary="whole" if "embed" in text or "lm_head" in text else "frozen",
        vision_tower="vision_tower" in text,
        projector="mlp1" in text or "projector" in text,
        bridge="text_hidden_fcs" in text or "bridge" in text,
        segmenter_decoder="mask_decoder" in text or "segmenter_decoder" in text,
        refiner=False,
    )
