"""Named configurations. A preset is a configuration, never a branch in the code.

`nano` is small enough for a CPU. `internvl3-2b` and its like are InternVL3 with SAM2 hiera-large, the parts of the
released Sa2VA models, so that both start from the same architecture; `internvl3-2b+sam2.1-tiny` has another
segmenter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Final

from transformers import PreTrainedTokenizerBase

from angiova.data.prompts import tokenizer_corpus
from angiova.data.questions.phrasing import corpus as question_corpus
from angiova.errors import ConfigError
from angiova.model.configuration import Sa2VAConfig
from angiova.model.internvl_sizes import INTERNVL3_SIZES, TILE_PX, internvl3_config
from angiova.model.modeling import Sa2VAModel
from angiova.model.nano import NANO_SEGMENTER_PX, NANO_TILE_PX, nano_config
from angiova.model.refiner import LEVELS
from angiova.model.sam2_sizes import HIERA_SIZES, Sam2Version, sam2_config
from angiova.model.tokenizer import IMG_CONTEXT, SEG, build_nano_tokenizer

DEFAULT_SEGMENTER: Final = "sam2-large"
REFINER_WIDTH: Final = 24
_FAMILIES: Final[dict[str, Sam2Version]] = {"sam2": "2.0", "sam2.1": "2.1"}
SEGMENTERS: Final = {
    f"{family}-{size}": (version, size) for family, version in _FAMILIES.items() for size in HIERA_SIZES
}


def build(preset: str) -> tuple[Sa2VAModel, PreTrainedTokenizerBase]:
    """Return a model of the preset with random weights, and a tokenizer for it.

    The weights and the tokenizer of InternVL3 come from its own folder, by `angiova assemble`; what this returns for a
    large preset has its shapes, and nano's tokenizer in a vocabulary of InternVL3's size. Under
    ``torch.device("meta")`` nothing is allocated.

    Raises:
        ConfigError: there is no such preset.
    """
    tokenizer = _nano_tokenizer()
    return Sa2VAModel(_config(preset, tokenizer)), tokenizer


def preset_config(preset: str) -> Sa2VAConfig:
    """Return the configuration of a preset, with the token ids of nano's tokenizer.

    Raises:
        ConfigError: there is no such preset.
    """
    return _config(preset, _nano_tokenizer())


def build_nano(
    tile_px: int = NANO_TILE_PX,
    segmenter_px: int = NANO_SEGMENTER_PX,
    refiner_width: int | None = REFINER_WIDTH,
    refiner_levels: int = LEVELS,
) -> tuple[Sa2VAModel, PreTrainedTokenizerBase]:
    """Return `nano`, possibly smaller; see `nano_config` for the arguments."""
    tokenizer = _nano_tokenizer()
    config = nano_config(len(tokenizer), *_token_ids(tokenizer), tile_px, segmenter_px, refiner_width, refiner_levels)
    return Sa2VAModel(config), tokenizer


def _config(preset: str, tokenizer: PreTrainedTokenizerBase) -> Sa2VAConfig:
    if preset not in PRESETS:
        raise ConfigError(f"no preset {preset!r}", where="model.preset", remedy=f"one of: {_choices()}")
    return PRESETS[preset](tokenizer)


def _nano(tokenizer: PreTrainedTokenizerBase) -> Sa2VAConfig:
    return nano_config(len(tokenizer), *_token_ids(tokenizer))


def _internvl3(tokenizer: PreTrainedTokenizerBase, size: str, segmenter: str) -> Sa2VAConfig:
    version, hiera = SEGMENTERS[segmenter]
    image_token_id, seg_token_id = _token_ids(tokenizer)
    return Sa2VAConfig(
        vlm_config=internvl3_config(INTERNVL3_SIZES[size], image_token_id).to_dict(),
        segmenter_config=sam2_config(HIERA_SIZES[hiera], version=version).to_dict(),
        seg_token_id=seg_token_id,
        tile_px=TILE_PX,
        refiner_width=REFINER_WIDTH,
        mask_selection="single",
    )


def _nano_tokenizer() -> PreTrainedTokenizerBase:
    return build_nano_tokenizer(chain(tokenizer_corpus(), question_corpus()))


def _token_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    image_token_id, seg_token_id = tokenizer.convert_tokens_to_ids([IMG_CONTEXT, SEG])
    return image_token_id, seg_token_id


def _choices() -> str:
    plain = [name for name in PRESETS if "+" not in name]
    return f"{', '.join(plain)}; all but nano may name a segmenter, e.g. internvl3-2b+sam2.1-tiny"


def _presets() -> dict[str, Callable[[PreTrainedTokenizerBase], Sa2VAConfig]]:
    presets: dict[str, Callable[[PreTrainedTokenizerBase], Sa2VAConfig]] = {"nano": _nano}
    for size in INTERNVL3_SIZES:
        presets[f"internvl3-{size}"] = partial(_internvl3, size=size, segmenter=DEFAULT_SEGMENTER)
        for segmenter in SEGMENTERS:
            presets[f"internvl3-{size}+{segmenter}"] = partial(_internvl3, size=size, segmenter=segmenter)
    return presets


PRESETS: Final = _presets()
