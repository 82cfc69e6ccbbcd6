"""From images and words to the tensors that the model takes, and back to words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from angiova.data.dataset import Example
from angiova.data.pixels import GreyImage
from angiova.data.prompts import Turn
from angiova.model.configuration import Sa2VAConfig
from angiova.model.modeling import IGNORED_LABEL
from angiova.model.tokenizer import IM_END, IMG_CONTEXT, IMG_END, IMG_START

IMAGENET_MEAN: Final = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGENET_STD: Final = np.array([0.229, 0.224, 0.225], dtype=np.float32)

Batch = dict[str, Any]


class Sa2VAProcessor:
    """Makes model inputs; holds no state but the tokenizer and sizes.

    Args:
        tokenizer: the model's tokenizer, with its special tokens and chat template.
        config: the model's configuration.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, config: Sa2VAConfig) -> None:
        self.tokenizer, self.config = tokenizer, config
        self._image_block = IMG_START + IMG_CONTEXT * config.tokens_per_tile + IMG_END + "\n"

    @classmethod
    def from_pretrained(cls, folder: Path, config: Sa2VAConfig) -> Sa2VAProcessor:
        """Read the tokenizer from a checkpoint folder."""
        return cls(AutoTokenizer.from_pretrained(folder, local_files_only=True), config)

    @property
    def eos_token_id(self) -> int:
        """Id of the token that ends an answer."""
        return int(self.tokenizer.convert_tokens_to_ids(IM_END))

    @property
    def pad_token_id(self) -> int:
        """Id of the token that fills short sequences."""
        return int(self.tokenizer.pad_token_id)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Make a training batch; sequences are padded on the right. See `Sa2VAModel.forward` for the keys."""
        batch = self._frames([example.image_HW for example in examples])
        batch |= self._dialogues([example.turns for example in examples], with_image=True)
        batch |= {
            "frame_of_sequence": torch.arange(len(examples)),
            "masks": [torch.from_numpy(mask) for example in examples for mask in example.masks],
        }
        return batch

    def collate_text(self, texts: Sequence[Sequence[Turn]]) -> dict[str, Tensor]:
        """Make a batch of dialogues without images: `input_ids`, `attention_mask` and `labels`, each (B, L)."""
        return self._dialogues(texts, with_image=False)

    def prompts(self, images: Sequence[GreyImage], questions: Sequence[str], frame_of_question: Sequence[int]) -> Batch:
        """Make an inference batch of questions about images; sequences are padded on the left."""
        ids = [self._encode(self._render_question(question, first=True)) for question in questions]
        batch = self._frames(images)
        batch |= {
            "input_ids": _pad(ids, self.pad_token_id, left=True),
            "attention_mask": _pad([[1] * len(row) for row in ids], 0, left=True),
            "frame_of_sequence": torch.tensor(list(frame_of_question)),
        }
        return batch

    def words(self, token_ids: Sequence[int]) -> str:
        """Return the text of an answer, `[SEG]` tokens kept, end token dropped."""
        text: str = self.tokenizer.decode(list(token_ids))
        return text.removesuffix(IM_END).strip()

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def _render_question(self, question: str, first: bool) -> str:
        content = (self._image_block if first else "") + question.strip()
        text: str = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return text

    def _dialogues(self, texts: Sequence[Sequence[Turn]], with_image: bool) -> dict[str, Tensor]:
        ids, labels = zip(*(self._encode_dialogue(turns, with_image) for turns in texts), strict=True)
        return {
            "input_ids": _pad(ids, self.pad_token_id, left=False),
            "attention_mask": _pad([[1] * len(row) for row in ids], 0, left=False),
            "labels": _pad(labels, IGNORED_LABEL, left=False),
        }

    def _encode_dialogue(self, turns: Sequence[Turn], with_image: bool) -> tuple[list[int], list[int]]:
        """Return token ids and labels; answers and their end token are supervised, nothing else."""
        ids: list[int] = []
        labels: list[int] = []
        for index, turn in enumerate(turns):
            question = self._encode(self._render_question(turn.question, first=with_image and index == 0))
            answer = self._encode(turn.answer + IM_END)
            separator = self._encode("\n")
            ids += question + answer + separator
            labels += [IGNORED_LABEL] * len(question) + answer + [IGNORED_LABEL] * len(separator)
        return ids, labels

    def _frames(self, images: Sequence[GreyImage]) -> Batch:
        return {
            "tiles": torch.stack([_square(image, self.config.tile_px) for image in images]),
            "tile_counts": [1] * len(images),
            "segmenter_pixels": torch.stack([_square(image, self.config.segmenter_px) for image in images]),
            "images": [_standardise(image) for image in images],
        }


def _square(image_HW: GreyImage, side_px: int) -> Tensor:
    """Resize to a square (aspect ratio not kept, as SAM2 does) and normalise with ImageNet's statistics: (3, S, S)."""
    image = Image.fromarray(image_HW)
    if image.size != (side_px, side_px):
        image = image.resize((side_px, side_px), Image.Resampling.BICUBIC)
    grey = np.asarray(image, dtype=np.float32) / np.float32(255)
    return torch.from_numpy((grey[None] - IMAGENET_MEAN[:, None, None]) / IMAGENET_STD[:, None, None])


def _standardise(image_HW: GreyImage) -> Tensor:
    """Return the image with mean 0 and standard deviation 1, shape (1, H, W): exposure varies between laboratories."""
    values = image_HW.astype(np.float32)
    return torch.from_numpy((values - values.mean()) / (values.std() + 1.0))[None]


def _pad(rows: Sequence[Sequence[int]], value: int, left: bool) -> Tensor:
    width = max(map(len, rows))
    fill = [[value] * (width - len(row)) for row in rows]
    return torch.tensor([[*f, *row] if left else [*row, *f] for f, row in zip(fill, rows, strict=True)])
