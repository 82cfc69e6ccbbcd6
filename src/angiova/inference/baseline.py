"""A baseline behind the same two questions as Sa2VA: it knows one phrase and refuses every other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from angiova.baselines.baseline import Baseline, Drawing
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage
from angiova.data.probabilities import levels_of
from angiova.data.prompts import question_for
from angiova.data.records import FrameRecord, Prediction
from angiova.errors import ConfigError
from angiova.inference.answers import Answer, MaskAnswer, batched, prediction_of


class BaselinePredictor:
    """Asks a baseline about frames.

    Args:
        baseline: what segments.
        threshold: probability above which a pixel is foreground.

    Attributes:
        phrases: the one phrase it knows.
        keep_probabilities: whether its answers hold the probabilities of pixels, if it has any to give.
    """

    phrases: tuple[str, ...] | None

    def __init__(self, baseline: Baseline, threshold: float = 0.5) -> None:
        self.baseline, self.phrases, self._threshold = baseline, (baseline.phrase,), threshold
        self.keep_probabilities = False

    def answer(
        self, images: Sequence[GreyImage], questions: Sequence[str], image_of_question: Sequence[int]
    ) -> list[Answer]:
        """Answer each question about its image with the same mask; see `Answerer.answer`.

        Raises:
            ConfigError: a question doesn't name the phrase that the baseline was trained for.
        """
        for question in questions:
            self._refuse_other(question)
        answers = [self._answer(drawing) for drawing in self.baseline.segment(images, self._threshold)]
        return [answers[image] for image in image_of_question]

    def predict(self, manifest: Manifest, records: Iterable[FrameRecord], batch: int) -> Iterator[Prediction]:
        """Segment each frame on which the phrase is labelled and yield one prediction for it."""
        asked = filter(lambda record: record.targets, (record.only(self.phrases) for record in records))
        for group in batched(asked, max(batch, self.baseline.images_a_call)):
            images = [manifest.read_image(record) for record in group]
            for record, drawing in zip(group, self.baseline.segment(images, self._threshold), strict=True):
                yield prediction_of(record.frame_id, self.baseline.phrase, self._answer(drawing))

    def _answer(self, drawing: Drawing) -> Answer:
        """Return a mask as an answer; a baseline has no presence score of its own, so it is 1 where there is a mask."""
        probability_HW = drawing.probability_HW if self.keep_probabilities else None
        levels = None if probability_HW is None else levels_of(probability_HW)
        return Answer("", (MaskAnswer(drawing.mask_HW, float(drawing.mask_HW.any()), levels),))

    def _refuse_other(self, question: str) -> None:
        if self.baseline.phrase.casefold() not in question.casefold():
            raise ConfigError(
                f"this baseline knows only {self.baseline.phrase!r}",
                where=question,
                remedy=f"ask it to {question_for(self.baseline.phrase)!r}, or ask a Sa2VA model",
            )
