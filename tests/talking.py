"""A small model that was taught a few sentences, so that its answers are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from angiova.data.prompts import Turn
from angiova.inference.predictor import Predictor
from models import small_model

STEPS = 35


def talking_model(
    sentences: Mapping[str, str],
    image_HW: np.ndarray,
    folder: Path | None = None,
    talks: Sequence[Sequence[str]] = (),
) -> Predictor:
    """Return a model that answers each question with its sentence, and draws something for each `[SEG]`.

    Args:
        sentences: answers by question.
        image_HW: the frame that it learns them about.
        folder: where to write it as a checkpoint.
        talks: questions that it learns to answer one after the other, too.
    """
    model, processor = small_model(refiner_width=None)
    dialogues = [*((question,) for question in sentences), *talks]
    turns = [[Turn(question, sentences[question], ()) for question in questions] for questions in dialogues]
    batch = processor.dialogues(turns, [processor.image_block(1)] * len(turns))
    batch |= {
        "tiles": processor.tiles(image_HW),
        "tile_counts": [1],
        "frame_of_sequence": torch.zeros(len(turns), dtype=torch.long),
    }
    learning = model.vlm.model.language_model, model.vlm.lm_head
    weights = [weight for part in learning for weight in part.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, betas=(0.9, 0.98))
    for _ in range(STEPS):
        states_BLH = model._language_states(
            *(batch[name] for name in ("input_ids", "attention_mask", "tiles", "tile_counts", "frame_of_sequence"))
        )
        model._language_loss(states_BLH, batch["labels"]).backward()
        optimizer.step()
        optimizer.zero_grad()
    predictor = Predictor(model, processor, torch.device("cpu"))
    judge_presence(predictor, 0.99)
    if folder is not None:
        model.save_pretrained(folder)
        processor.tokenizer.save_pretrained(folder)
    return predictor


def judge_presence(predictor: Predictor, probability: float) -> None:
    """Let a model of `talking_model` give everything that it draws this presence score."""
    score = predictor.model.segmenter.mask_decoder.pred_obj_score_head.proj_out
    with torch.no_grad():
        score.weight.zero_()
        score.bias.fill_(math.log(probability / (1 - probability)))
