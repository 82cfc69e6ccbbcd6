"""`angiova assemble`: InternVL and SAM2 become one model, the bridge between them new."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from angiova.errors import ModelError
from angiova.model.bridge import Bridge
from angiova.model.configuration import Sa2VAConfig
from angiova.model.convert.folders import read_tokenizer, token_id, write_ours
from angiova.model.convert.parts_in import local_folder, open_sam, open_vlm
from angiova.model.convert.sources import Joined, MemorySource, Source, Spec
from angiova.model.convert.writer import SHARD_BYTES, main_dtype, new_folder
from angiova.model.initialisation import initialise
from angiova.model.presets import REFINER_WIDTH
from angiova.model.refiner import Refiner
from angiova.model.tokenizer import IMG_CONTEXT, SA2VA_TOKENS, SEG

_TABLES: Final = ("vlm.model.language_model.embed_tokens.weight", "vlm.lm_head.weight")


def assemble(
    vlm: str,
    sam: str,
    out: Path,
    refiner_width: int | None = REFINER_WIDTH,
    seed: int = 0,
    shard_bytes: int = SHARD_BYTES,
) -> Sa2VAConfig:
    """Write a model of two published halves to the new folder `out`.

    Args:
        vlm: folder or hub name of InternVL in transformers' own layout.
        sam: folder or hub name of SAM2 in transformers' layout, or Meta's `.pt` file.
        out: folder to write.
        refiner_width: channels of the refiner's first level; None leaves the refiner out.
        seed: of the new weights, those of the bridge and the refiner.
        shard_bytes: largest file of tensors.

    Raises:
        ModelError: a half cannot be found, is damaged, or is not what it should be.
    """
    vlm_folder = local_folder(vlm)
    language, vlm_config = open_vlm(vlm_folder)
    tokenizer = read_tokenizer(vlm_folder)
    segmenter, sam_config = open_sam(local_folder(sam))
    image_token_id = token_id(tokenizer, IMG_CONTEXT, vlm_folder)
    num_known = len(tokenizer)
    if language.specs[_TABLES[0]].shape[0] < num_known:
        raise ModelError(
            f"{num_known} tokens, but the model has rows for {language.specs[_TABLES[0]].shape[0]}",
            where=vlm_folder,
            remedy="the tokenizer is another model's; download the folder again",
        )
    tokenizer.add_tokens(list(SA2VA_TOKENS), special_tokens=True)
    grown = WithNewTokens(language, num_known, len(tokenizer))
    vlm_config.text_config.vocab_size = grown.num_rows
    vlm_config.image_token_id = image_token_id
    config = Sa2VAConfig(
        vlm_config=vlm_config.to_dict(),
        segmenter_config=sam_config.to_dict(),
        seg_token_id=token_id(tokenizer, SEG, vlm_folder),
        tile_px=int(vlm_config.vision_config.image_size[0]),
        refiner_width=refiner_width,
        mask_selection="best_iou" if refiner_width is None else "single",
    )
    fresh = MemorySource(_new_weights(config, main_dtype(language.specs), seed))
    with new_folder(out) as partial:
        write_ours(partial, Joined(grown, segmenter, fresh), config, tokenizer, shard_bytes)
    return config


class WithNewTokens:
    """A language model whose new tokens have rows: the mean of the rows of all tokens it knew.

    Rows that only pad the vocabulary are used before any are added, so a padded table keeps its size if it can.

    Args:
        source: the language model under the names of `Sa2VAModel`.
        num_known: tokens of its own tokenizer.
        num_tokens: tokens including the new ones.
    """

    def __init__(self, source: Source, num_known: int, num_tokens: int) -> None:
        self._source, self._num_known, self._num_tokens = source, num_known, num_tokens
        self.num_rows = max(source.specs[_TABLES[0]].shape[0], num_tokens)
        self.specs = {
            name: Spec((self.num_rows, *spec.shape[1:]), spec.dtype) if name in _TABLES else spec
            for name, spec in source.specs.items()
        }

    def read(self, name: str) -> Tensor:
        """Return one tensor; tables with their new rows."""
        tensor = self._source.read(name)
        if name not in _TABLES:
            return tensor
        known_KH = tensor[: self._num_known]
        mean_H = known_KH.double().mean(dim=0).to(tensor.dtype)
        new_NH = mean_H.expand(self._num_tokens - self._num_known, -1)
        return torch.cat([known_KH, new_NH, tensor[self._num_tokens :]])


def _new_weights(config: Sa2VAConfig, dtype: torch.dtype, seed: int) -> dict[str, Tensor]:
    """Return weights of the bridge and the refiner, initialised as the model initialises them."""
    parts: dict[str, torch.nn.Module] = {"bridge": Bridge(config.text_hidden_size, config.prompt_hidden_size)}
    if config.refiner_width is not None:
        parts["refiner"] = Refiner(config.refiner_width, config.prompt_hidden_size, config.refiner_levels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in parts.values():
            for module in part.modules():
                initialise(module)
    return {f"{name}.{key}": t.to(dtype) for name, part in parts.items() for key, t in part.state_dict().items()}
