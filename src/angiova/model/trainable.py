"""What of a model is trained: settings that recipes and adapters share. No torch here: recipes are read without it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LoraSettings(BaseModel):
    """Low-rank adapters on the language model (Hu et al., "LoRA", ICLR 2022)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(64, ge=1, description="Rank of each update.")
    alpha: float = Field(128, gt=0, description="Updates are scaled by alpha / rank.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before each update.")
    targets: tuple[str, ...] = Field(LINEAR_LAYERS, description="Linear layers that get one.")


class TrainableSettings(BaseModel):
    """Which parts are trained, and how; the defaults are an adapter for a pretrained model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language_model: Literal["lora", "full", "frozen"] = Field("lora", description="LoRA, all weights, or none.")
    load_in_4bit: bool = Field(
        False, description="Keep the frozen language model in four bits (NF4); needs bitsandbytes."
    )
    lora: LoraSettings = Field(default_factory=LoraSettings, description="Used when language_model is lora.")
    vocabulary: Literal["new_rows", "whole", "frozen"] = Field(
        "new_rows", description="Rows of Sa2VA's five tokens, the whole embedding and head, or nothing."
    )
    vision_tower: bool = Field(False, description="InternViT.")
    projector: bool = Field(True, description="From visual tokens to the language model.")
    bridge: bool = Field(True, description="From [SEG] states to SAM2's prompts.")
    segmenter_encoder: bool = Field(False, description="SAM2's image encoder.")
    segmenter_decoder: bool = Field(True, description="SAM2's mask decoder.")
    segmenter_memory: bool = Field(False, description="SAM2's memory of a run; needs clips.")
    refiner: bool = Field(True, description="The full-resolution refiner, where the model has one.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        parts = (self.vision_tower, self.projector, self.bridge, self.segmenter_encoder, self.segmenter_decoder)
        if not any([*parts, self.segmenter_memory, self.refiner, self.language_model != "frozen"]):
            raise ValueError("nothing is trained")
        return self

    @model_validator(mode="after")
    def _only_frozen_weights_in_4bit(self) -> Self:
        if self.load_in_4bit and self.language_model == "full":
            raise ValueError("weights in four bits cannot be trained: use language_model: lora, or load_in_4bit: false")
        return self

    @classmethod
    def everything(cls) -> TrainableSettings:
        """Return the settings for a model with random weights: all that an image sample uses."""
        return cls(language_model="full", vocabulary="whole", vision_tower=True, segmenter_encoder=True)

    @property
    def is_adapter(self) -> bool:
        """Whether a checkpoint holds only what was trained, to be used with its base."""
        return self.language_model != "full"
