"""A baseline behind the same two questions as Sa2VA: it knows one phrase and refuses every other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from angiova.baselines.baseline import Baseline
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage
from angiova.data.prompts import question_for
from angiova.data.records import FrameRecord, Prediction
from angiova.data.rle import BoolMask
from angiova.errors import ConfigError
from angiova.inference.answers import Answer, MaskAnswer, batched, prediction_of


class BaselinePredictor:
    """Asks a baseline about frames.

    Args:
        baseline: what segments.
        threshold: probability above which a pixel is foreground.

    Attributes:
        phrases: the one phrase it knows.
    """

    phrases: tuple[str, ...] | None

    def __init__(self, baseline: Baseline, threshold: float = 0.5) -> None:
        self.baseline, self.phrases, self._threshold = baseline, (baseline.phrase,), threshold
        self.keep_probabilities = False  # a baseline hands out masks alone, whatever is asked

    def answer(
        self, images: Sequence[GreyImage], questions: Sequence[str], image_of_question: Sequence[int]
    ) -> list[Answer]:
        """Answer each question about its image with the same mask; see `Answerer.answer`.

        Raises:
            ConfigError: a question doesn't name the phrase that the baseline was trained for.
        """
        for question in questions:
            self._refuse_other(question)
        answers = [_answer(mask_HW) for mask_HW in self.baseline.segment(images, self._threshold)]
        return [answers[image] for image in image_of_question]

    def predict(self, manifest: Manifest, records: Iterable[FrameRecord], batch: int) -> Iterator[Prediction]:
        """Segment each frame on which the phrase is labelled and yield one prediction for it."""
        asked = filter(lambda record: record.targets, (record.only(self.phrases) for record in records))
        for group in batched(asked, max(batch, self.baseline.images_a_call)):
            images = [manifest.read_image(record) for record in group]
            for record, mask_HW in zip(group, self.baseline.segment(images, self._threshold), strict=True):
                yield prediction_of(record.frame_id, self.baseline.phrase, _answer(mask_HW))

    def _refuse_other(self, question: str) -> None:
        if self.baseline.phrase.casefold() not in question.casefold():
            raise ConfigError(
                f"this baseline knows only {self.baseline.phrase!r}",
                where=question,
                remedy=f"ask it to {question_for(self.baseline.phrase)!r}, or ask a Sa2VA model",
            )


def _answer(mask_HW: BoolMask) -> Answer:
    """Return a mask as an answer; a baseline has no presence score of its own, so it is 1 where there is a mask."""
    return Answer("", (MaskAnswer(mask_HW, float(mask_HW.any())),))
