"""How a step is computed: what it costs in time and memory, never what is learnt. No torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """Choices between time and memory; names follow Hugging Face's TrainingArguments where the thing is the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
