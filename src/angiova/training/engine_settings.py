"""How a step is computed: what it costs in time and memory, never what is learnt. No torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class FeatureCacheSettings(BaseModel):
    """Where features of frozen encoders are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path = Field(description="Folder; several runs may share it.")
    budget_gb: float = Field(100.0, gt=0, description="Most that is kept, in 10^9 bytes; nothing is removed.")


class EngineSettings(BaseModel):
    """Choices between time and memory; names follow Hugging Face's TrainingArguments where the thing is the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Literal["ddp", "zero2", "zero3", "fsdp2"] = Field(
        "ddp",
        description="What each of several devices holds: all (ddp), a share of gradients and optimizer (zero2), or a "
        "share of everything (zero3, fsdp2). zero2 and zero3 need the package deepspeed, fsdp2 needs GPUs.",
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute each layer's activations again in the backward pass: a third slower, far smaller."
    )
    fused: bool = Field(True, description="Compute LoRA layers and frozen encoders in fewer passes over memory.")
    torch_compile: bool = Field(
        False, description="Compile the language model's layers and SAM2's encoder; the first steps take minutes."
    )
    attn_implementation: Literal["sdpa", "flash_attention_2", "eager"] = Field(
        "sdpa", description="Attention kernels; flash_attention_2 needs the package flash-attn."
    )
    rehearsal: bool | None = Field(
        None,
        description="Run the largest step three times before training, and halve micro-batches until it fits; "
        "null: on a GPU.",
    )
    save_in_background: bool = Field(
        False, description="Write adapters and the optimizer while training goes on; copies them on the device first."
    )
    feature_cache: FeatureCacheSettings | None = Field(
        None, description="Keeps on disk what frozen encoders say of a frame; see data.views. null: nothing is kept."
    )
