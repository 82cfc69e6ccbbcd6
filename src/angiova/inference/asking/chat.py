"""Questions about a frame or a run, each answered in words, masks and measurements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from angiova.data.decoding.limits import DecodeLimits
from angiova.data.questions.kinds import phrases_in, understand
from angiova.errors import ModelError
from angiova.inference.asking import wording
from angiova.inference.asking.comparing import compare
from angiova.inference.asking.conversation import (
    MAX_ANSWER_TOKENS,
    Conversation,
    HandOut,
    NamedMask,
    Words,
    check_question,
)
from angiova.inference.asking.language import choose_language
from angiova.inference.asking.measured import Measured
from angiova.inference.asking.reply import AnsweredMask, Reply, Statement
from angiova.inference.asking.shown import Choice, Shown, show
from angiova.inference.predictor import Predictor, load
from angiova.report.text import Text, fill, in_language, joined


class Chat:
    """Questions about the same frame or run; the model sees the earlier ones and its own answers.

    Args:
        predictor: the model.
        shown: what is asked about.
        max_new_tokens: longest answer.
    """

    def __init__(self, predictor: Predictor, shown: Shown, max_new_tokens: int = MAX_ANSWER_TOKENS) -> None:
        self.shown, self.measured = shown, Measured(predictor, shown)
        self._conversation = Conversation(predictor, shown, max_new_tokens)

    def ask(self, question: str, *, language: str | None = None, hand_out: HandOut | None = None) -> Reply:
        """Ask a question.

        The model is not asked where nobody could answer: where the frame shows nothing, or the question is about
        vessels and none are judged present.

        Args:
            question: in the user's words.
            language: en or zh, of what is not the model's own words; default: that of the question.
            hand_out: is handed the model's words as they are made.

        Raises:
            ConfigError: the question or the language cannot be used.
        """
        chosen = choose_language(language, question)
        asked = understand(check_question(question))
        doubts = self.measured.doubts(asked)
        if doubts:
            text = in_language(wording.CANT_TELL, chosen) + in_language(joined(list(doubts), "; "), chosen)
            return Reply(question, text, None, None, tuple(doubts), (), (), (), ())
        words = self._conversation.say(question, hand_out)
        measured = self.measured
        compared = [compare(each, words.text, measured.value(each), measured.detail(each)) for each in asked]
        return Reply(
            question=question,
            text=words.text,
            words=words.text,
            confidence=words.confidence,
            doubts=(),
            masks=tuple(self._measure(mask) for mask in words.masks),
            measurements=tuple(compared if asked else self._beside(question, words)),
            earlier=self._conversation.seen_turns[:-1],
            notes=tuple(self._notes(words)),
        )

    def _beside(self, question: str, words: Words) -> Iterator[Statement]:
        """Yield what is measured of the vessels that a free question names, and that the answer draws none of."""
        drawn = {mask.name.casefold() for mask in words.masks}
        for name in phrases_in(question):
            if name.casefold() not in drawn:
                yield self.measured.beside(name)

    def _measure(self, drawn: NamedMask) -> AnsweredMask:
        place = self.shown.measured
        is_measured = drawn.is_seen(place) and bool(drawn.masks[place].any())
        return AnsweredMask(
            drawn, drawn.presences[place], self.measured.of(drawn.masks[place]) if is_measured else None
        )

    def _notes(self, words: Words) -> Iterator[Text]:
        if not words.is_complete:
            yield wording.INCOMPLETE
        if words.num_left_out:
            yield fill(wording.LEFT_OUT, {"count": words.num_left_out})
        if self._conversation.num_forgotten:
            yield fill(wording.FORGOTTEN, {"count": self._conversation.num_forgotten})


def open_chat(
    predictor: Predictor,
    source: str | Path | npt.NDArray[np.generic],
    *,
    run: str | None = None,
    frame: int | None = None,
    key_frames: int | None = None,
    limits: DecodeLimits | None = None,
    bright_vessels: bool = False,
) -> Chat:
    """Return a chat about a source.

    Args:
        predictor: the model.
        source: an image, a DICOM or video file, a folder of frames, a data set; or 8-bit grey pixels, (H, W) of a frame
            or (T, H, W) of a run.
        run: name of the run, where the source has several.
        frame: index of a frame of the run that is asked about alone.
        key_frames: most frames of a run that the model sees; default: as it is configured.
        limits: what opening a DICOM or video file may cost.
        bright_vessels: whether vessels in files are brighter than their surroundings; frames are inverted then.

    Raises:
        ConfigError: the source has no such run or frame.
        DataError: the source cannot be read.
    """
    wanted = predictor.model.config.num_key_frames if key_frames is None else key_frames
    return Chat(predictor, show(source, Choice(wanted, run, frame, limits, bright_vessels)))


def ask(
    model: str | Path,
    source: str | Path | npt.NDArray[np.generic],
    question: str,
    *,
    language: str | None = None,
    run: str | None = None,
    frame: int | None = None,
    key_frames: int | None = None,
    device: str | None = None,
) -> Reply:
    """Ask one question: ``angiova.ask("runs/demo", "frame.png", "which coronary tree is this?")``.

    For several, or about several sources, load the model once: ``angiova.load("runs/demo").ask(...)``.

    Args:
        model: run or checkpoint folder.
        source: see `open_chat`, as for `run`, `frame` and `key_frames`.
        question: in the user's words.
        language: en or zh; default: that of the question.
        device: where to run; default: the best there is.

    Raises:
        ConfigError: the question cannot be asked, or the source has no such run or frame.
        DataError: the source cannot be read.
        ModelError: there is no model, or none that can be asked.
    """
    chat = open_chat(open_predictor(model, device), source, run=run, frame=frame, key_frames=key_frames)
    return chat.ask(question, language=language)


def open_predictor(
    model: str | Path, device: str | None = None, threshold: float = 0.5, base: Path | None = None
) -> Predictor:
    """Open a model that has words to answer with; see `angiova.load` for the arguments.

    Raises:
        ModelError: there is no model, or it is a baseline.
    """
    predictor = load(model, device, threshold, base)
    if not isinstance(predictor, Predictor):
        raise ModelError("a baseline has no words to answer with", where=model, remedy="use `angiova predict`")
    return predictor
