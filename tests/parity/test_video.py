"""Stage: a run frame by frame in the reference's order: masks, scores, pointers, fused and memory features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from angiova.model.configuration import MemoryPrecision
from angiova.model.processing import Sa2VAProcessor, standardise
from angiova.model.tracking import FrameMasks, RunFrame, track
from recorded import (
    MEMORY,
    Comparison,
    byte_tokenizer,
    facts,
    frames_of,
    model_of,
    names,
    network,
    pixels,
    shifted_presence,
    tensors,
    tolerance_of,
)

# The others show what these do not: objects present everywhere or in part, a full memory, Hiera-L.
QUICK = ("no-folder", "video_tiny_3frames", "video_tiny_natural_b")
RECORDINGS = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in names("video_")]
WITHOUT_ROUNDING = names("video_tiny_natural")[-1:]


@dataclass
class Heard:
    """What went through SAM2 in the order of its calls: fused features, candidates, and memories before rounding."""

    fused: list[Tensor] = field(default_factory=list)
    candidates: list[Tensor] = field(default_factory=list)
    ious: list[Tensor] = field(default_factory=list)
    memories: list[Tensor] = field(default_factory=list)

    def decoder(self, _module: object, _args: object, kwargs: dict[str, Tensor], output: tuple[Tensor, ...]) -> None:
        self.fused.append(kwargs["image_embeddings"][0])
        self.candidates.append(output[0][0, 0])
        self.ious.append(output[1][0, 0])

    def encoder(self, _module: object, _args: object, output: tuple[Tensor, ...]) -> None:
        self.memories.append(output[0][0])


@contextmanager
def listening(segmenter: torch.nn.Module) -> Iterator[Heard]:
    heard = Heard()
    handles = [
        segmenter.mask_decoder.register_forward_hook(heard.decoder, with_kwargs=True),
        segmenter.memory_encoder.register_forward_hook(heard.encoder),
    ]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def run(recording: str, precision: MemoryPrecision) -> tuple[list[FrameMasks], Heard]:
    model, described = network(model_of(recording)), facts(recording)
    run_name = described["frames"].split("_")[0]
    images = [pixels(name) for name in frames_of(run_name, range(described["n_frames"]))]
    model.config.memory_precision = precision
    prompt = tensors(recording)["seg_embed"].unsqueeze(0)
    with torch.no_grad(), shifted_presence(model, described["added_to_object_score_bias"]):
        processor = Sa2VAProcessor(byte_tokenizer(), model.config)
        frames = [RunFrame(processor.segmenter_pixels(image), standardise(image)) for image in images]
        with listening(model.segmenter) as heard:
            return list(track(model, frames, prompt)), heard


@cache
def rounded(recording: str) -> tuple[list[FrameMasks], Heard]:
    return run(recording, "bf16")


@pytest.mark.parametrize("recording", RECORDINGS)
def test_masks_scores_and_pointers(recording: str) -> None:
    masks, heard = rounded(recording)
    recorded, near = tensors(recording), Comparison(recording, tolerance_of(recording))
    near_tracked(near, masks, heard, recorded, "", 0)
    near.near("presence", torch.cat([frame.decoded.presence_N for frame in masks]), recorded["object_score_logits"])
    assert torch.stack(heard.ious).argmax(dim=1).tolist() == recorded["best_index"].tolist()
    for name in (name for name in recorded if name.startswith("low_res_multimasks_f")):
        index = int(name.split("_f")[1].split("_")[0])
        near.near(f"candidates of frame {index}", heard.candidates[index][None, :, ::2, ::2], recorded[name])


@pytest.mark.parametrize("recording", RECORDINGS)
def test_fused_and_memory_features(recording: str) -> None:
    masks, heard = rounded(recording)
    recorded, near = tensors(recording), Comparison(recording, tolerance_of(recording))
    near.near("fused features", *sampled(torch.stack(heard.fused), recorded["backbone_features_in_heads_sub"]))
    memories = sampled(torch.stack(heard.memories), recorded["memory_features_before_bf16_sub"])
    near.near("memory features", *memories, tolerance=MEMORY)
    near.near("memory positions", *sampled(masks[0].memory.positions_NCHW, recorded["memory_pos_sub"]))


@pytest.mark.parametrize("recording", RECORDINGS)
def test_final_masks(recording: str) -> None:
    masks, _ = rounded(recording)
    logits = torch.cat([frame.logits_NHW for frame in masks])
    assert list(logits.shape) == facts(recording)["final_mask_shape"]
    Comparison(recording, tolerance_of(recording)).mask("masks", logits, tensors(recording)["final_mask_packbits"])


@pytest.mark.slow
@pytest.mark.parametrize("recording", WITHOUT_ROUNDING)
def test_our_own_memory_is_not_rounded(recording: str) -> None:
    masks, heard = run(recording, "as_computed")
    first = facts(recording)["conditioning_frames"]
    near = Comparison(recording, tolerance_of(recording))
    near_tracked(near, masks, heard, tensors(recording), "no_bf16_", first)


def near_tracked(
    near: Comparison, masks: list[FrameMasks], heard: Heard, recorded: dict[str, Tensor], prefix: str, first: int
) -> None:
    suffix = f"_from_f{first}" if prefix else ""
    name = next(name for name in recorded if name.startswith(f"{prefix}low_res_masks{suffix}_stride"))
    stride = int(name.rpartition("stride")[2])
    coarse = torch.cat([frame.decoded.logits_N1hw[0] for frame in masks])[first:, ::stride, ::stride]
    near.near(f"{prefix}masks", coarse, recorded[name])
    near.near(f"{prefix}IoUs", torch.stack(heard.ious)[first:], recorded[f"{prefix}ious{suffix}"])
    pointers = torch.cat([frame.memory.pointers_NP for frame in masks])[first:]
    near.near(f"{prefix}pointers", pointers, recorded[f"{prefix}obj_ptr{suffix}"])


def sampled(ours: Tensor, recorded: Tensor) -> tuple[Tensor, Tensor]:
    """Return ours at the recorded channels and positions, which are evenly spaced, and the recorded values."""
    strides = (np.array(ours.shape[1:]) // np.array(recorded.shape[1:])).tolist()
    return ours[(slice(None), *(slice(None, None, step) for step in strides))], recorded
