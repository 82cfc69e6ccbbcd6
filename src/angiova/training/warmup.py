"""Teaching a language model with random weights the names of vessels, on text alone, before it sees a frame.

With random weights the prompts of all names are alike, and a segmenter that gets like prompts learns one mask for all
of them. A few hundred short texts, which cost seconds, make the state at `[SEG]` follow the name; frames then only
have to teach where the named vessel is. Pretrained language models do not need it.
"""

from __future__ import annotations

import numpy as np
import torch

from angiova.data.prompts import Turn, known_phrases, make_named_turn
from angiova.model.modeling import Sa2VAModel
from angiova.model.processing import Sa2VAProcessor
from angiova.training.config import WarmupSettings

TURNS_A_TEXT = 2


def teach_names(
    model: Sa2VAModel, processor: Sa2VAProcessor, settings: WarmupSettings, seed: int, device: torch.device
) -> tuple[float, float]:
    """Train the language model on questions and answers without images; return the first and the last loss in nats."""
    rng = np.random.default_rng([seed, 7])
    model.to(device).train()
    language_model = [*model.vlm.model.language_model.parameters(), *model.vlm.lm_head.parameters()]
    optimizer = torch.optim.AdamW(language_model, lr=settings.lr, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=settings.steps)
    history = []
    for _ in range(settings.steps):
        texts = [_draw_text(rng) for _ in range(settings.batch)]
        batch = {name: tensor.to(device) for name, tensor in processor.collate_text(texts).items()}
        loss = model.language_loss(**batch)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(language_model, 1.0)
        optimizer.step()
        schedule.step()
        history.append(float(loss.detach()))
    return history[0], history[-1]


def _draw_text(rng: np.random.Generator) -> list[Turn]:
    phrases = rng.choice(known_phrases(), size=TURNS_A_TEXT, replace=False)
    return [make_named_turn([str(phrase)], rng) for phrase in phrases]
