"""What frozen encoders say of a frame, kept on disk: a frame seen again the same way is not encoded again.

A frame is known by a hash of what the encoder would see, after cropping, varying and normalising, and an encoder by a
hash of its weights, so a stale answer cannot be found. Variations repeat only where the recipe limits them
(`data.views`). Files are read by threads while the language model computes, and written by them too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoVisionEncoderOutput

from angiova.files import atomic_path
from angiova.model.modeling import Sa2VAModel
from angiova.training.engine_settings import FeatureCacheSettings

FRAME_KEYS: Final = "frame_keys"
# Inputs of the two encoders in a batch, and the names of their folders.
INPUTS: Final = {"tiles": "vision_tower", "segmenter_pixels": "segmenter_encoder"}
NUM_THREADS: Final = 8
GB: Final = 10**9

Features = dict[str, Tensor]


def frame_keys(batch: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the hash of each frame of a batch as each encoder sees it, by the name of the encoder."""
    return {encoder: [_hash_of([frame]) for frame in batch[name]] for name, encoder in INPUTS.items()}


class FeatureCache:
    """Features of one encoder on disk, one file a frame; nothing is removed, and nothing added above the budget.

    Args:
        folder: of this encoder and these weights.
        budget_bytes: most bytes of all files together; checked by each process for itself.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.budget_bytes = folder, budget_bytes
        self.used_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        self.hits = self.misses = 0
        self._threads = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="features")

    def begin_reading(self, key: str) -> Future[Features | None]:
        """Read the features of a frame in the background; None where there are none, or they are damaged."""
        return self._threads.submit(self._read, key)

    def write_later(self, key: str, features: Features) -> None:
        """Keep features, (on the CPU) if the budget allows it."""
        size = sum(tensor.nbytes for tensor in features.values())
        if self.used_bytes + size <= self.budget_bytes:
            self.used_bytes += size
            self._threads.submit(self._write, key, features)

    def close(self) -> None:
        """Return when everything is written."""
        self._threads.shutdown(wait=True)

    def _read(self, key: str) -> Features | None:
        try:
            features = load_file(self.folder / f"{key}.safetensors")
        except (OSError, SafetensorError):
            return None
        # Pinned here, where it is not waited for: a file of a large model takes as long to copy as to read.
        return {name: t.pin_memory() if torch.cuda.is_available() else t for name, t in features.items()}

    def _write(self, key: str, features: Features) -> None:
        with atomic_path(self.folder / f"{key}.safetensors") as partial:
            save_file(features, partial)


class CachedEncoder:
    """Stands before a frozen encoder and answers from its cache where it can.

    Args:
        forward: of the encoder.
        cache: of its features.
        take_apart: makes one entry a frame of its output.
        put_together: makes its output of entries.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        cache: FeatureCache,
        take_apart: Callable[[Any], list[Features]],
        put_together: Callable[[list[Features]], Any],
    ) -> None:
        self._forward, self.cache = forward, cache
        self._take_apart, self._put_together = take_apart, put_together
        self._expected: list[str] = []
        self._reading: list[Future[Features | None]] = []

    def expect(self, keys: Sequence[str]) -> None:
        """Say which frames come next; reading begins at once."""
        self._expected = list(keys)
        self._reading = [self.cache.begin_reading(key) for key in keys]

    @torch.no_grad()
    def __call__(self, pixel_values: Tensor, **options: Any) -> Any:  # noqa: ANN401
        """Encode F frames, those that are not known; anything but the expected frames goes past the cache."""
        keys, self._expected = self._expected, []
        if len(keys) != len(pixel_values):
            return self._forward(pixel_values, **options)
        found = [reading.result() for reading in self._reading]
        missing = [index for index, features in enumerate(found) if features is None]
        self.cache.hits += len(found) - len(missing)
        self.cache.misses += len(missing)
        entries = {index: _moved(f, pixel_values.device) for index, f in enumerate(found) if f is not None}
        if missing:
            made = self._take_apart(self._forward(pixel_values[missing], **options))
            entries |= dict(zip(missing, made, strict=True))
            for index, features in zip(missing, made, strict=True):
                self.cache.write_later(keys[index], _moved(features, torch.device("cpu")))
        return self._put_together([entries[index] for index in range(len(found))])


def install_caches(model: Sa2VAModel, settings: FeatureCacheSettings) -> dict[str, CachedEncoder]:
    """Put a cache before each encoder that is wholly frozen; return them by the encoder's name."""
    tower, encoder = model.vlm.model.vision_tower, model.segmenter.vision_encoder
    position_encoding = encoder.neck.position_encoding
    forms: dict[str, tuple[nn.Module, Callable[[Any], list[Features]], Callable[[list[Features]], Any]]] = {
        "vision_tower": (tower, _tokens_apart, _tokens_together),
        "segmenter_encoder": (encoder, _levels_apart, lambda entries: _levels_together(entries, position_encoding)),
    }
    budget_bytes = int(settings.budget_gb * GB) // len(forms)
    caches = {}
    for name, (module, take_apart, put_together) in forms.items():
        if not any(parameter.requires_grad for parameter in module.parameters()):
            folder = settings.folder / f"{name}-{_hash_of(module.state_dict().values())[:16]}"
            cached = CachedEncoder(module.forward, FeatureCache(folder, budget_bytes), take_apart, put_together)
            module.forward = cached
            caches[name] = cached
    return caches


def close_caches(caches: Mapping[str, CachedEncoder]) -> dict[str, int]:
    """Write what is left to write, and return how often this process found and did not find a frame, and bytes kept."""
    counters = {}
    for name, encoder in caches.items():
        encoder.cache.close()
        counters[f"{name}_features_found"] = encoder.cache.hits
        counters[f"{name}_features_computed"] = encoder.cache.misses
        counters[f"{name}_features_bytes"] = encoder.cache.used_bytes
    return counters


def _tokens_apart(output: Any) -> list[Features]:  # noqa: ANN401
    return [{"tokens": tokens} for tokens in output.last_hidden_state]


def _tokens_together(entries: list[Features]) -> BaseModelOutputWithPooling:
    return BaseModelOutputWithPooling(last_hidden_state=torch.stack([entry["tokens"] for entry in entries]))


def _levels_apart(output: Any) -> list[Features]:  # noqa: ANN401
    levels = output.fpn_hidden_states
    return [{str(level): maps[frame] for level, maps in enumerate(levels)} for frame in range(len(levels[0]))]


def _levels_together(entries: list[Features], position_encoding: Callable[..., Tensor]) -> Sam2VideoVisionEncoderOutput:
    levels = [torch.stack([entry[name] for entry in entries]) for name in sorted(entries[0])]
    positions = [position_encoding(maps.shape, maps.device, maps.dtype).to(maps.dtype) for maps in levels]
    return Sam2VideoVisionEncoderOutput(fpn_hidden_states=tuple(levels), fpn_position_encoding=tuple(positions))


def _moved(features: Features, device: torch.device) -> Features:
    if device.type == "cpu":
        return {name: tensor.detach().cpu().contiguous() for name, tensor in features.items()}
    return {name: tensor.to(device, non_blocking=True) for name, tensor in features.items()}


def _hash_of(tensors: Any) -> str:  # noqa: ANN401
    digest = hashlib.sha256()
    for tensor in tensors:
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{plain.dtype} {tuple(plain.shape)}".encode())
        digest.update(memoryview(plain.reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()
