"""Which baseline a recipe trains, and how. No torch here: recipes are read without it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Level = Annotated[int, Field(ge=1)]
NETWORK_CHANNELS: dict[str, tuple[int, ...]] = {
    "unet": (32, 64, 128, 256, 512),
    "dynunet": (32, 64, 128, 256, 512, 512, 512, 512),
}
# Below, DynUNet has no level left for deep supervision.
MIN_LEVELS = {"unet": 5, "dynunet": 4}


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    phrase: str | None = Field(
        None, min_length=1, description="What it segments; null: the phrase of the training part's vessel trees."
    )


class FrangiSettings(_Settings):
    """A Frangi filter, its parameters chosen by mean Dice on training frames; a CPU is enough."""

    method: Literal["frangi"] = Field(description="Chooses this one.")
    frames: int = Field(60, ge=1, description="Most training frames that parameters are chosen on, drawn by the seed.")


class NetworkSettings(_Settings):
    """A convolutional network of MONAI, trained like a Sa2VA model.

    `unet` is the plain U-Net. `dynunet` is nnU-Net's with residual blocks and deep supervision.
    """

    method: Literal["unet", "dynunet"] = Field(description="Chooses this one, and which network.")
    channels: tuple[Level, ...] | None = Field(
        None, description="Channels of each level, the finest first; null: 5 levels for unet, 8 for dynunet."
    )
    checkpoint: Path | None = Field(
        None, description="Run or checkpoint of the same network to start from; null: random weights."
    )

    @model_validator(mode="after")
    def _enough_levels(self) -> Self:
        if self.method == "unet" and len(self.levels) != MIN_LEVELS["unet"]:
            raise ValueError(f"unet has {MIN_LEVELS['unet']} levels, channels has {len(self.levels)}")
        if len(self.levels) < MIN_LEVELS[self.method]:
            raise ValueError(f"{self.method} needs at least {MIN_LEVELS[self.method]} levels")
        return self

    @property
    def levels(self) -> tuple[int, ...]:
        """Channels of each level."""
        return NETWORK_CHANNELS[self.method] if self.channels is None else self.channels


class NnunetSettings(_Settings):
    """nnU-Net through its own tools, which plan, augment and train as they choose; it must be installed."""

    method: Literal["nnunet"] = Field(description="Chooses this one.")
    epochs: Literal[1, 5, 10, 20, 50, 100, 250, 500, 1000] = Field(
        1000, description="nnU-Net's epochs of 250 steps each; the numbers that it has trainers for."
    )
    planner: Literal["ExperimentPlanner", "nnUNetPlannerResEncM", "nnUNetPlannerResEncL"] = Field(
        "nnUNetPlannerResEncM", description="nnU-Net's planner; it recommends those with residual encoders."
    )


BaselineSettings = Annotated[FrangiSettings | NetworkSettings | NnunetSettings, Field(discriminator="method")]
