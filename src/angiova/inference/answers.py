"""What a model answers, and what it is asked about a data set: the same for Sa2VA and for a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage
from angiova.data.probabilities import ProbabilityLevels
from angiova.data.records import FrameRecord, Prediction
from angiova.data.rle import BoolMask
from angiova.errors import DataError

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class MaskAnswer:
    """One mask of an answer.

    Attributes:
        mask_HW: the mask at image resolution; empty when the object is judged absent and the model gates by presence.
        presence: probability that the object is in the frame.
        levels: the probabilities of its pixels, where they are kept and the object is not judged absent.
    """

    mask_HW: BoolMask
    presence: float
    levels: ProbabilityLevels | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's answer to one question.

    Attributes:
        text: its words, with a `[SEG]` for each mask.
        masks: its masks, in the order of the `[SEG]` tokens.
    """

    text: str
    masks: tuple[MaskAnswer, ...]


class Answerer(Protocol):
    """Whatever can be asked about frames.

    Attributes:
        keep_probabilities: whether its answers hold the probabilities of pixels, if it has any to give.
    """

    keep_probabilities: bool

    @property
    def phrases(self) -> tuple[str, ...] | None:
        """What it can be asked for; None when that is anything."""

    def answer(
        self, images: Sequence[GreyImage], questions: Sequence[str], image_of_question: Sequence[int]
    ) -> list[Answer]:
        """Answer each question about its image.

        Args:
            images: 8-bit grey images of any size.
            questions: what to ask.
            image_of_question: which image each question is about.
        """

    def predict(self, manifest: Manifest, records: Iterable[FrameRecord], batch: int) -> Iterator[Prediction]:
        """Ask about every labelled phrase of each frame that it knows, and yield one prediction a phrase."""


def phrases_of(record: FrameRecord) -> list[str]:
    """Return the labelled phrases of a frame, each once, in order."""
    return list(dict.fromkeys(target.phrase for target in record.targets))


def prediction_of(frame_id: str, phrase: str, answer: Answer) -> Prediction:
    """Return the first mask of an answer as the prediction for a phrase."""
    if not answer.masks:
        return Prediction(frame_id, phrase, None, 0.0, answer.text)
    first = answer.masks[0]
    return Prediction(frame_id, phrase, rle.encode(first.mask_HW), first.presence, answer.text, first.levels)


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield `size` items at a time."""
    if size < 1:
        raise DataError("batch must be at least 1")
    group: list[Item] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
