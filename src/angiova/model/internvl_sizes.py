"""The published sizes of InternVL3 that Sa2VA uses, as configurations of transformers' model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from transformers.models.internvl.configuration_internvl import InternVLConfig

TILE_PX: Final = 448
# InternVL3's own tokens and the five of Sa2VA.
VOCABULARY: Final = 151674 + 5


@dataclass(frozen=True, slots=True)
class LanguageSize:
    """A Qwen2.5 language model.

    Attributes:
        width: size H of a hidden state.
        layers: number of layers.
        heads: query heads.
        key_heads: key-value heads.
        inner: width of the feed-forward part.
    """

    width: int
    layers: int
    heads: int
    key_heads: int
    inner: int


INTERNVL3_SIZES: Final = {
    "1b": LanguageSize(896, 24, 14, 2, 4864),
    "2b": LanguageSize(1536, 28, 12, 2, 8960),
    "8b": LanguageSize(3584, 28, 28, 4, 18944),
    "14b": LanguageSize(5120, 48, 40, 8, 13824),
}


def internvl3_config(size: LanguageSize, image_token_id: int, vocabulary: int = VOCABULARY) -> InternVLConfig:
    """Return InternVL3 of a size: InternViT-300M and a Qwen2.5 language model with an output head of its own.

    Args:
        size: the language model.
        image_token_id: id of `<IMG_CONTEXT>`.
        vocabulary: rows of the embedding table.
    """
    text = {
        "model_type": "qwen2",
        "vocab_size": vocabulary,
        "hidden_size": size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.key_heads,
        "intermediate_size": size.inner,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        "tie_word_embeddings": False,
    }
    return InternVLConfig(
        vision_config={"attention_bias": True, "image_size": TILE_PX, "use_mean_pooling": True},
        text_config=text,
        image_token_id=image_token_id,
        image_seq_length=256,
        tie_word_embeddings=False,
    )
