"""What the model draws of named things in one frame: asked for when it is needed, and once."""

from __future__ import annotations

from collections.abc import Iterable

from angiova.data.pixels import GreyImage
from angiova.data.prompts import question_for
from angiova.data.rle import BoolMask
from angiova.data.syntax import SEGMENT_NAMES, TREE_PHRASE, VESSELS_PHRASE
from angiova.inference.answers import Answer, Answerer, MaskAnswer
from angiova.inference.asking.conversation import names_in
from angiova.inference.predictor import PRESENCE_THRESHOLD

# As many questions as are asked at once: each holds its logits at the frame's resolution.
QUESTIONS_AT_ONCE = 16


class DrawnVessels:
    """The masks that measurements are made on.

    Args:
        predictor: the model.
        image_HW: the frame, 8-bit grey.
    """

    def __init__(self, predictor: Answerer, image_HW: GreyImage) -> None:
        self._predictor, self._image_HW = predictor, image_HW
        self._found: dict[str, MaskAnswer | None] = {}

    def gather(self, phrases: Iterable[str]) -> None:
        """Ask for all of several phrases at once, so that the frame is encoded once for them."""
        missing = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._found]
        for start in range(0, len(missing), QUESTIONS_AT_ONCE):
            group = missing[start : start + QUESTIONS_AT_ONCE]
            questions = [question_for(phrase) for phrase in group]
            answers = self._predictor.answer([self._image_HW], questions, [0] * len(group))
            for phrase, answer in zip(group, answers, strict=True):
                self._found[phrase] = _mask_of(answer, phrase)

    def found(self, phrase: str) -> MaskAnswer | None:
        """Return what is drawn of a phrase; None where the model has no mask for it, or names it something else."""
        self.gather([phrase])
        return self._found[phrase]

    def tree(self) -> MaskAnswer | None:
        """Return the vessels as a whole, under whichever name the model knows them."""
        return self.found(TREE_PHRASE) or self.found(VESSELS_PHRASE)

    def segments(self) -> dict[str, BoolMask]:
        """Return the masks (H, W) of the named segments that are judged present, by SYNTAX number."""
        self.gather(SEGMENT_NAMES.values())
        drawn = {number: self.found(name) for number, name in SEGMENT_NAMES.items()}
        return {
            number: answer.mask_HW
            for number, answer in drawn.items()
            if answer is not None and answer.presence >= PRESENCE_THRESHOLD and answer.mask_HW.any()
        }


def _mask_of(answer: Answer, phrase: str) -> MaskAnswer | None:
    """Return the first mask of an answer, unless its words call it by another name than the one asked for."""
    if not answer.masks:
        return None
    name = (names_in(answer.text) or [""])[0]
    return answer.masks[0] if name.casefold() in ("", phrase.casefold()) else None
