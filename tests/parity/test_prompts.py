"""Stage: prompts, token ids and labels, character by character."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from angiova.data.prompts import Turn
from angiova.model.configuration import Sa2VAConfig, reference_settings
from angiova.model.modeling import IGNORED_LABEL
from angiova.model.processing import Sa2VAProcessor
from angiova.model.tokenizer import IMG_START
from recorded import facts, pixels, plan

BLANK = np.zeros((32, 32), dtype=np.uint8)


@pytest.fixture
def processor(tokenizer: PreTrainedTokenizerFast) -> Sa2VAProcessor:
    return Sa2VAProcessor(tokenizer, Sa2VAConfig(**reference_settings()))


def text_of(processor: Sa2VAProcessor, batch: dict[str, torch.Tensor]) -> str:
    return processor.tokenizer.decode(batch["input_ids"][0], clean_up_tokenization_spaces=False)


def question_of(wanted: dict[str, str]) -> str:
    """Return the question without the mark that stands for the image."""
    return wanted["given"].removeprefix("<image>\n")


@pytest.mark.parametrize("case", ["image_1_tile", "image_tiled"])
def test_prompt_about_an_image(case: str, processor: Sa2VAProcessor) -> None:
    wanted = facts("prompts")["inference"][case]
    num_tiles = wanted["pixel_values_shape"][0]
    image = next(name for name in plan()["images"] if facts("preprocess")[name]["tiles"] == num_tiles)
    batch = processor.prompts([pixels(image)], [question_of(wanted)], [0])
    assert list(batch["tiles"].shape) == wanted["pixel_values_shape"]
    assert text_of(processor, batch) == wanted["exact"]


@pytest.mark.parametrize("case", ["video_8_frames", "video_5_frames", "video_3_frames"])
def test_prompt_about_a_run(case: str, processor: Sa2VAProcessor) -> None:
    wanted = facts("prompts")["inference"][case]
    batch = processor.run_prompts([BLANK] * wanted["pixel_values_shape"][0], [question_of(wanted)])
    assert list(batch["tiles"].shape) == wanted["pixel_values_shape"]
    assert text_of(processor, batch) == wanted["exact"]
    digest = hashlib.sha256(text_of(processor, batch).encode()).hexdigest()
    assert digest == wanted["sha256"]


@pytest.mark.parametrize("case", ["image_1_tile", "video_5_frames"])
def test_training_text_and_labels(case: str, processor: Sa2VAProcessor) -> None:
    wanted = facts("prompts")["training"][case]
    turns = [
        Turn(plan()[question], answer, ()) for question, answer in zip(("question", "q2"), plan()["two"], strict=True)
    ]
    head = processor.image_block(1) * wanted["exact"].count(IMG_START)
    dialogue = processor.dialogues([turns], [head])
    assert text_of(processor, dialogue) == wanted["exact"]
    supervised = dialogue["input_ids"][0][dialogue["labels"][0] != IGNORED_LABEL]
    assert processor.tokenizer.decode(supervised) == "".join(wanted["label_runs"])
    for name in ("input_ids", "labels"):
        digest = hashlib.sha256(dialogue[name][0].numpy().tobytes()).hexdigest()
        assert digest == wanted[f"{name}_sha256"]
        assert dialogue[name][0].tolist() == wanted.get(name, dialogue[name][0].tolist())


def test_words_alone(processor: Sa2VAProcessor) -> None:
    wanted = facts("prompts")["inference"]["text_only"]
    assert processor.question(question_of(wanted)) == wanted["exact"]
