"""Stage: prompts, token ids and labels, character by character."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from angiova.data.prompts import Turn
from angiova.model.configuration import Sa2VAConfig, reference_settings
from angiova.model.processing import Sa2VAProcessor
from recorded import facts, pixels

BLANK = np.zeros((32, 32), dtype=np.uint8)
QUESTION = "Please segment the vessels."


@pytest.fixture
def processor(tokenizer: PreTrainedTokenizerFast) -> Sa2VAProcessor:
    return Sa2VAProcessor(tokenizer, Sa2VAConfig(**reference_settings()))


def text_of(processor: Sa2VAProcessor, batch: dict[str, torch.Tensor]) -> str:
    return processor.tokenizer.decode(batch["input_ids"][0], clean_up_tokenization_spaces=False)


@pytest.mark.parametrize(("case", "image"), [("image_1_tile", "img_512x512"), ("image_tiled", "img_640x480")])
def test_prompt_about_an_image(case: str, image: str, processor: Sa2VAProcessor) -> None:
    wanted = facts("prompts")["inference"][case]
    assert wanted["given"] == f"<image>\n{QUESTION}"
    batch = processor.prompts([pixels(image)], [QUESTION], [0])
    assert list(batch["tiles"].shape) == wanted["pixel_values_shape"]
    assert text_of(processor, batch) == wanted["exact"]


@pytest.mark.parametrize("case", ["video_8_frames", "video_5_frames", "video_3_frames"])
def test_prompt_about_a_run(case: str, processor: Sa2VAProcessor) -> None:
    wanted = facts("prompts")["inference"][case]
    batch = processor.run_prompt([BLANK] * wanted["pixel_values_shape"][0], QUESTION)
    assert list(batch["tiles"].shape) == wanted["pixel_values_shape"]
    assert text_of(processor, batch) == wanted["exact"]
    digest = hashlib.sha256(text_of(processor, batch).encode()).hexdigest()
    assert digest == wanted["sha256"]


def test_training_text_and_labels(processor: Sa2VAProcessor) -> None:
    wanted, plan = facts("prompts")["training"]["image_1_tile"], facts("inputs/plan")
    turns = [Turn(plan["question"], plan["two"][0], ()), Turn(plan["q2"], plan["two"][1], ())]
    head = processor.image_block(1)
    dialogue = processor.dialogues([turns], [head])
    assert text_of(processor, dialogue) == wanted["exact"]
    assert dialogue["input_ids"][0].tolist() == wanted["input_ids"]
    assert dialogue["labels"][0].tolist() == wanted["labels"]


def test_training_text_about_a_run(processor: Sa2VAProcessor) -> None:
    wanted, plan = facts("prompts")["training"]["video_5_frames"], facts("inputs/plan")
    turns = [Turn(plan["question"], plan["two"][0], ()), Turn(plan["q2"], plan["two"][1], ())]
    dialogue = processor.dialogues([turns], [processor.image_block(1) * 5])
    assert text_of(processor, dialogue) == wanted["exact"]
    supervised = dialogue["input_ids"][0][dialogue["labels"][0] != -100]
    assert processor.tokenizer.decode(supervised) == "".join(wanted["label_runs"])
    for name in ("input_ids", "labels"):
        theirs = wanted[f"{name}_sha256"]
        assert hashlib.sha256(dialogue[name][0].numpy().tobytes()).hexdigest() == theirs


def test_words_alone(processor: Sa2VAProcessor) -> None:
    wanted = facts("prompts")["inference"]["text_only"]
    assert processor._render_question(QUESTION) == wanted["exact"]
