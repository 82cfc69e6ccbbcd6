"""From images and words to the tensors that the model takes, and back to words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from angiova.data.clips import Clip
from angiova.data.dataset import Example
from angiova.data.pixels import to_grey
from angiova.data.prompts import Turn
from angiova.model.clips import ClipBatch
from angiova.model.configuration import PixelStatistics, Sa2VAConfig
from angiova.model.losses import IGNORED_LABEL
from angiova.model.tiling import cut_tiles, resize_to
from angiova.model.tokenizer import IM_END, IMG_CONTEXT, IMG_END, IMG_START

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
CPU: Final = torch.device("cpu")

Batch = dict[str, Any]
Pixels = npt.NDArray[np.uint8]


class Sa2VAProcessor:
    """Makes model inputs; holds no state but the tokenizer and sizes.

    Args:
        tokenizer: the model's tokenizer, with its special tokens and chat template.
        config: the model's configuration.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, config: Sa2VAConfig) -> None:
        self.tokenizer, self.config = tokenizer, config

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

    def collate(self, examples: Sequence[Example | Clip], recompute: bool = False) -> Batch:
        """Make a training batch; sequences are padded on the right. See `Sa2VAModel.forward` for the keys.

        Frames of which masks are asked come first, then clips, then frames that are only talked about: those cost no
        pass of the segmenter, so it is not given them. Without clips the batch has no key `clips`.

        Args:
            examples: frames and clips in any order.
            recompute: for clips, see `ClipBatch`.
        """
        frames = [example for example in examples if isinstance(example, Example)]
        clips = [example for example in examples if isinstance(example, Clip)]
        drawn, silent = [frame for frame in frames if frame.masks], [frame for frame in frames if not frame.masks]
        if not drawn and not clips:  # several processes decode a mask that nobody asked for, and need a frame for it
            drawn, silent = silent[:1], silent[1:]
        batch = self._frames([frame.image_HW for frame in drawn])
        heads = [self.image_block(count) for count in batch["tile_counts"]]
        masks = [mask for frame in drawn for mask in frame.masks]
        if clips:
            batch |= self._clips(clips, batch, recompute)
            heads += [self.image_block(1) * len(clip.key_frames) for clip in clips]
            masks += [mask for clip in clips for frame in clip.masks for mask in frame if mask is not None]
        if silent:
            tiles = [self.tiles(frame.image_HW) for frame in silent]
            heads += [self.image_block(len(parts)) for parts in tiles]
            batch["tiles"] = torch.cat([batch["tiles"], *tiles])
            batch["tile_counts"] = batch["tile_counts"] + [len(parts) for parts in tiles]
        ordered: list[Example | Clip] = [*drawn, *clips, *silent]
        batch |= self.dialogues([example.turns for example in ordered], heads)
        batch |= {
            "frame_of_sequence": torch.arange(len(examples)),
            "masks": [torch.from_numpy(mask) for mask in masks],
        }
        return batch

    def _clips(self, clips: Sequence[Clip], frames: Batch, recompute: bool) -> Batch:
        """Return the frames of clips, and the tiles of the batch with those of their key frames added."""
        tiles = [self.tiles(clip.images[key], max_tiles=1) for clip in clips for key in clip.key_frames]
        images = [image for clip in clips for image in clip.images]
        return {
            "tiles": torch.cat([frames["tiles"], *tiles]),
            "tile_counts": frames["tile_counts"] + [len(clip.key_frames) for clip in clips],
            "clips": ClipBatch(
                pixels=torch.stack([self.segmenter_pixels(image) for image in images]),
                images=[standardise(image) for image in images],
                lengths=[len(clip.images) for clip in clips],
                key_frames=[list(clip.key_frames) for clip in clips],
                labelled=[
                    [[i for i, mask in enumerate(frame) if mask is not None] for frame in clip.masks] for clip in clips
                ],
                recompute=recompute,
            ),
        }

    def collate_text(self, texts: Sequence[Sequence[Turn]]) -> dict[str, Tensor]:
        """Make a batch of dialogues without images: `input_ids`, `attention_mask` and `labels`, each (B, L)."""
        return self.dialogues(texts, [""] * len(texts))

    def prompts(self, images: Sequence[Pixels], questions: Sequence[str], frame_of_question: Sequence[int]) -> Batch:
        """Make an inference batch of questions about images; sequences are padded on the left.

        Args:
            images: 8-bit images, grey (H, W) or colour (H, W, 3).
            questions: what to ask.
            frame_of_question: which image each question is about.
        """
        batch = self._frames(images)
        heads = [self.image_block(batch["tile_counts"][frame]) for frame in frame_of_question]
        batch |= self._questions([head + text.strip() for head, text in zip(heads, questions, strict=True)])
        batch["frame_of_sequence"] = torch.tensor(list(frame_of_question))
        return batch

    def run_prompts(self, key_images: Sequence[Pixels], questions: Sequence[str]) -> Batch:
        """Make the inputs of questions about a whole run, of which the language model sees the key frames.

        The result suits `Sa2VAModel.seg_states`: the key frames count as the tiles of one image, one tile each. They
        are encoded once for all questions.
        """
        block = self.image_block(1) * len(key_images)
        batch = self._questions([block + question.strip() for question in questions])
        tiles = torch.cat([self.tiles(image, max_tiles=1) for image in key_images])
        about = torch.zeros(len(questions), dtype=torch.long)
        return batch | {"tiles": tiles, "tile_counts": [len(key_images)], "frame_of_sequence": about}

    def conversation(
        self, images: Sequence[Pixels], turns: Sequence[Turn], question: str, *, is_run: bool
    ) -> dict[str, Any]:
        """Make the inputs of a question that follows earlier turns about the same frame, or about the same run.

        Questions and answers are joined as training joins them. The result suits `Sa2VAModel.speak`.

        Args:
            images: the frame alone, or the key frames of the run.
            turns: what was asked and answered before, in order.
            question: what is asked now.
            is_run: whether `images` are key frames: one tile each, as in `run_prompts`.
        """
        parts = [self.tiles(image, max_tiles=1 if is_run else None) for image in images]
        head = "".join(self.image_block(len(tiles)) for tiles in parts)
        before, _ = self._encode_dialogue(turns, head)
        ids = before + self._encode(self.question(("" if turns else head) + question.strip()))
        return {
            "input_ids": torch.tensor([ids]),
            "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
            "tiles": torch.cat(parts),
            "tile_counts": [sum(len(tiles) for tiles in parts)],
            "frame_of_sequence": torch.zeros(1, dtype=torch.long),
        }

    def tiles(self, image: Pixels, max_tiles: int | None = None) -> Tensor:
        """Return the tiles of an image for the vision-language model, shape (T, 3, t, t); at most the configured."""
        most = self.config.max_tiles if max_tiles is None else max_tiles
        parts = cut_tiles(Image.fromarray(image), self.config.tile_px, most)
        return torch.stack([_normalise(part, "exact") for part in parts])

    def segmenter_pixels(self, image: Pixels, device: torch.device = CPU) -> Tensor:
        """Return an image for SAM2 on a device, shape (3, S, S); the aspect ratio is not kept, as SAM2 does.

        It travels to the device as bytes: a twelfth of what it is there.
        """
        side_px = self.config.segmenter_px
        return _normalise(resize_to(Image.fromarray(image), (side_px, side_px)), self.config.pixel_statistics, device)

    def words(self, token_ids: Sequence[int]) -> str:
        """Return the text of an answer, `[SEG]` tokens kept, end token dropped."""
        text: str = self.tokenizer.decode(list(token_ids))
        return text.removesuffix(IM_END).strip()

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def image_block(self, num_tiles: int) -> str:
        """Return the place of an image in a text: one block for all its tiles."""
        return IMG_START + IMG_CONTEXT * (num_tiles * self.config.tokens_per_tile) + IMG_END + "\n"

    def question(self, content: str) -> str:
        """Return the text of a user's turn, up to where the answer begins."""
        text: str = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return text

    def _questions(self, contents: Sequence[str]) -> dict[str, Tensor]:
        ids = [self._encode(self.question(content)) for content in contents]
        return {
            "input_ids": _pad(ids, self.pad_token_id, left=True),
            "attention_mask": _pad([[1] * len(row) for row in ids], 0, left=True),
        }

    def dialogues(self, texts: Sequence[Sequence[Turn]], heads: Sequence[str]) -> dict[str, Tensor]:
        """Encode dialogues; `heads` stand before the first question of each."""
        encoded = (self._encode_dialogue(turns, head) for turns, head in zip(texts, heads, strict=True))
        ids, labels = zip(*encoded, strict=True)
        return {
            "input_ids": _pad(ids, self.pad_token_id, left=False),
            "attention_mask": _pad([[1] * len(row) for row in ids], 0, left=False),
            "labels": _pad(labels, IGNORED_LABEL, left=False),
        }

    def _encode_dialogue(self, turns: Sequence[Turn], head: str) -> tuple[list[int], list[int]]:
        """Return token ids and labels; answers and their end token are supervised, nothing else."""
        ids: list[int] = []
        labels: list[int] = []
        for index, turn in enumerate(turns):
            question = self._encode(self.question((head if index == 0 else "") + turn.question.strip()))
            answer = self._encode(turn.answer + IM_END)
            separator = self._encode("\n")
            ids += question + answer + separator
            labels += [IGNORED_LABEL] * len(question) + answer + [IGNORED_LABEL] * len(separator)
        return ids, labels

    def _frames(self, images: Sequence[Pixels]) -> Batch:
        tiles = [self.tiles(image) for image in images]
        pixels = [self.segmenter_pixels(image) for image in images]
        tile_px, side_px = self.config.tile_px, self.config.segmenter_px
        return {
            "tiles": torch.cat(tiles) if tiles else torch.zeros(0, 3, tile_px, tile_px),
            "tile_counts": [len(parts) for parts in tiles],
            "segmenter_pixels": torch.stack(pixels) if pixels else torch.zeros(0, 3, side_px, side_px),
            "images": [standardise(image) for image in images],
        }


def _normalise(image: Image.Image, statistics: PixelStatistics, device: torch.device = CPU) -> Tensor:
    """Return (value / 255 - mean) / standard deviation with ImageNet's statistics, shape (3, H, W)."""
    mean_311, std_311 = (torch.tensor(values, device=device).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    if statistics == "bf16":
        mean_311, std_311 = mean_311.bfloat16().float(), std_311.bfloat16().float()
    values = torch.from_numpy(np.array(image)).to(device)
    values_CHW = values.unsqueeze(0) if values.ndim == 2 else values.permute(2, 0, 1)
    return ((values_CHW.float().div(255) - mean_311) / std_311).contiguous()


def standardise(image: Pixels) -> Tensor:
    """Return the grey image with mean 0 and standard deviation 1, (1, H, W): exposure varies between laboratories."""
    values = to_grey(image).astype(np.float32)
    return torch.from_numpy((values - values.mean()) / (values.std() + 1.0))[None]


def _pad(rows: Sequence[Sequence[int]], value: int, left: bool) -> Tensor:
    width = max(map(len, rows))
    fill = [[value] * (width - len(row)) for row in rows]
    return torch.tensor([[*f, *row] if left else [*row, *f] for f, row in zip(fill, rows, strict=True)])
