"""Turns of questions and answers about what is shown: the model sees the earlier ones, and its words are streamed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from transformers.generation.streamers import BaseStreamer

from angiova.data.pixels import GreyImage
from angiova.data.prompts import Turn
from angiova.data.rle import BoolMask
from angiova.errors import ConfigError
from angiova.inference.asking.shown import Shown
from angiova.inference.cine import prepare
from angiova.inference.predictor import PRESENCE_THRESHOLD, BoolMasks, Logits, Predictor
from angiova.model.outputs import SpokenAnswers
from angiova.model.processing import Batch, Sa2VAProcessor
from angiova.model.tokenizer import SEG, SPECIAL_TOKENS

# A description of a whole tree has some 150 tokens of nano's tokenizer.
MAX_ANSWER_TOKENS: Final = 256
# More than there are segments; an untrained model may answer with nothing but `[SEG]`.
MOST_MASKS: Final = 32
# Tokens that make the form of a dialogue; in a question they would be another's words.
FORM_TOKENS: Final = tuple(token for token in SPECIAL_TOKENS if token != SEG)
HALF_LETTER: Final = "\ufffd"
# Where the name of a mask ends, in both scripts.
NAME_END: Final = re.compile(r"[,.;:!?，。；：！？、\n]|\band\b|\bwith\b")
# Words that join a name to its token.
NAME_START: Final = re.compile(r"^[\s(（]+")

HandOut = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NamedMask:
    """What the model draws of one object, in every frame that it was shown.

    Attributes:
        name: what its words call it; empty where they don't.
        masks: one mask (H, W) a frame, empty where the object is judged absent and the model gates by presence.
        presences: probability that the object is there, one a frame.
    """

    name: str
    masks: tuple[BoolMask, ...]
    presences: tuple[float, ...]

    def is_seen(self, frame: int) -> bool:
        """Say whether the object is judged present in a shown frame."""
        return self.presences[frame] >= PRESENCE_THRESHOLD


@dataclass(frozen=True, slots=True)
class Words:
    """What the model says to one question.

    Attributes:
        text: its words, with a `[SEG]` for each mask.
        confidence: mean probability of its tokens, 0 to 1.
        is_complete: whether the answer came to its end within the tokens it may have.
        masks: what it draws, in the order of the `[SEG]` tokens; at most MOST_MASKS.
        num_left_out: how many more it asked to draw.
    """

    text: str
    confidence: float
    is_complete: bool
    masks: tuple[NamedMask, ...]
    num_left_out: int = 0


class Conversation:
    """Questions about the same frame or run, one after another.

    Args:
        predictor: the model.
        shown: what it sees.
        max_new_tokens: longest answer.

    Attributes:
        turns: what was asked and answered so far.
        num_forgotten: how many of the first turns the model no longer sees, because it can't read as much.
    """

    def __init__(self, predictor: Predictor, shown: Shown, max_new_tokens: int = MAX_ANSWER_TOKENS) -> None:
        self.turns: list[Turn] = []
        self.num_forgotten = 0
        self._predictor, self._shown, self._max_new_tokens = predictor, shown, max_new_tokens

    def say(self, question: str, hand_out: HandOut | None = None) -> Words:
        """Ask a question and keep the turn.

        Args:
            question: in the user's words.
            hand_out: is handed the words of the answer as they are made.

        Raises:
            ConfigError: the question is empty, too long, or holds a token that is the model's own.
        """
        batch = self._batch(check_question(question))
        predictor = self._predictor
        with predictor.computing():
            spoken = predictor.model.speak(
                **batch,
                **predictor.words_end,
                max_new_tokens=self._max_new_tokens,
                streamer=None if hand_out is None else WordStream(predictor.processor, hand_out),
                with_probabilities=True,
            )
        text = predictor.processor.words(spoken.answer_ids[0])
        states_NH = self._own_states(spoken)
        names = [""] * len(states_NH) + names_in(text)
        names = names[-len(states_NH) :] if len(states_NH) else []
        self.turns.append(kept_turn(question, text))
        return Words(
            text=text,
            confidence=float(np.mean(spoken.probabilities[0])),
            is_complete=spoken.answer_ids[0][-1:] == [predictor.processor.eos_token_id],
            masks=self._draw(states_NH[:MOST_MASKS], names[:MOST_MASKS]) if names else (),
            num_left_out=max(len(names) - MOST_MASKS, 0),
        )

    @property
    def seen_turns(self) -> tuple[Turn, ...]:
        """The turns that the model still sees."""
        return tuple(self.turns[self.num_forgotten :])

    def _batch(self, question: str) -> Batch:
        """Return the inputs of a question after as many of the earlier turns as the model can read.

        Raises:
            ConfigError: it can't even read the question alone.
        """
        processor, is_run = self._predictor.processor, self._shown.is_run
        room = self._predictor.model.config.most_tokens - self._max_new_tokens
        for num_forgotten in range(self.num_forgotten, len(self.turns) + 1):
            turns = self.turns[num_forgotten:]
            batch = processor.conversation(self._shown.images, turns, question, is_run=is_run)
            excess = batch["input_ids"].shape[1] - room
            if excess <= 0:
                self.num_forgotten = num_forgotten
                return self._predictor.to_device(batch)
        remedy = "ask in fewer words, or show fewer key frames"
        raise ConfigError(f"{excess} tokens more than the model can read", where="question", remedy=remedy)

    def _own_states(self, spoken: SpokenAnswers) -> Tensor:
        """Return the states of this turn's `[SEG]` tokens; those of the earlier turns come first."""
        return spoken.states_NH[sum((turn.question + turn.answer).count(SEG) for turn in self.seen_turns) :]

    def _draw(self, states_NH: Tensor, names: Sequence[str]) -> tuple[NamedMask, ...]:
        """Return the masks of N objects in every shown frame."""
        drawn = [self._draw_frame(image_HW, states_NH) for image_HW in self._shown.images]
        return tuple(
            NamedMask(name, tuple(masks_NHW[n] for masks_NHW, _ in drawn), tuple(float(p_N[n]) for _, p_N in drawn))
            for n, name in enumerate(names)
        )

    def _draw_frame(self, image_HW: GreyImage, states_NH: Tensor) -> tuple[BoolMasks, Logits]:
        """Return masks (N, H, W) and presences (N,) of N objects in a frame."""
        predictor, frame = self._predictor, prepare(self._predictor, image_HW)
        first_N = torch.zeros(len(states_NH), dtype=torch.long, device=predictor.device)
        with predictor.computing():
            encoded = predictor.model.encode_frames(frame.pixels_3SS[None], [frame.image_1HW])
            drawn = predictor.model.decode_in_parts(encoded, states_NH, first_N)
        logits_NHW = np.stack([logits_HW.float().cpu().numpy() for logits_HW in drawn.logits_of()])
        presence_N = drawn.presence_N.float().sigmoid().cpu().numpy()
        return predictor.masks_of(logits_NHW, presence_N), presence_N


class WordStream(BaseStreamer):  # type: ignore[misc]
    """Hands out an answer as it is made; a letter of several tokens waits for the last of them."""

    def __init__(self, processor: Sa2VAProcessor, hand_out: HandOut) -> None:
        self._processor, self._hand_out = processor, hand_out
        self._ids: list[int] | None = None
        self._num_handed_out = 0

    def put(self, value: Tensor) -> None:
        """Take the prompt, then one token after another."""
        if self._ids is None:
            self._ids = []
            return
        self._ids += value.flatten().tolist()
        text = self._processor.words(self._ids)
        if not text.endswith(HALF_LETTER):
            self._advance(text)

    def end(self) -> None:
        """Hand out what waits still."""
        self._advance(self._processor.words(self._ids or []))

    def _advance(self, text: str) -> None:
        if len(text) > self._num_handed_out:
            self._hand_out(text[self._num_handed_out :])
            self._num_handed_out = len(text)


def names_in(text: str) -> list[str]:
    """Return what an answer calls its masks: the words behind each `[SEG]`, up to the next comma, stop or `and`."""
    return [NAME_END.split(NAME_START.sub("", part), maxsplit=1)[0].strip() for part in text.split(SEG)[1:]]


def kept_turn(question: str, answer: str) -> Turn:
    """Return a turn as the next ones see it: without tokens that a weak model says and that make a dialogue's form."""
    while any(token in answer for token in FORM_TOKENS):  # what is left may make one of them again
        for token in FORM_TOKENS:
            answer = answer.replace(token, "")
    return Turn(question.strip(), answer.strip(), ())


def check_question(question: str) -> str:
    """Return a question that can be asked.

    Raises:
        ConfigError: it is empty, no Unicode, or holds a token that makes the form of a dialogue.
    """
    if not question.strip():
        raise ConfigError("nothing is asked", where="question", remedy='e.g. "segment the proximal LAD"')
    if not question.isprintable() and any(0xD800 <= ord(letter) <= 0xDFFF for letter in question):
        raise ConfigError("letters that are no Unicode", where="question", remedy="type it in UTF-8")
    wrong = [token for token in FORM_TOKENS if token in question]
    if wrong:
        raise ConfigError(f"{wrong[0]!r} is the model's own token", where="question", remedy="ask without it")
    return question
