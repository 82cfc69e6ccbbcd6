"""A trained model with its processor on a device: images and questions in, words and masks out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage, read_grey
from angiova.data.prompts import question_for
from angiova.data.records import FrameRecord, Prediction
from angiova.data.rle import BoolMask
from angiova.errors import DataError, ModelError
from angiova.model.modeling import Sa2VAModel
from angiova.model.opening import checkpoint_folder, open_model
from angiova.model.outputs import Sa2VAGeneration
from angiova.model.processing import Sa2VAProcessor

PRESENCE_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class MaskAnswer:
    """One mask of an answer.

    Attributes:
        mask_HW: the mask at image resolution; empty when the object is judged absent and the model gates by presence.
        presence: probability that the object is in the frame.
    """

    mask_HW: BoolMask
    presence: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's answer to one question.

    Attributes:
        text: its words, with a `[SEG]` for each mask.
        masks: its masks, in the order of the `[SEG]` tokens.
    """

    text: str
    masks: tuple[MaskAnswer, ...]


class Predictor:
    """Answers questions about frames.

    Args:
        model: the model; it is moved to `device` and set to evaluation mode.
        processor: its processor.
        device: where to run.
        threshold: probability above which a pixel is foreground.
    """

    def __init__(
        self, model: Sa2VAModel, processor: Sa2VAProcessor, device: torch.device, threshold: float = 0.5
    ) -> None:
        self.model, self.processor, self.device = model.to(device).eval(), processor, device
        # Inputs are float32; autocast lets them meet weights that are stored in half of that, all or some of them.
        self._bf16 = any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())
        self._cut = math.log(threshold / (1 - threshold)) if 0 < threshold < 1 else math.copysign(1e9, threshold - 0.5)

    def answer(
        self,
        images: Sequence[GreyImage],
        questions: Sequence[str],
        image_of_question: Sequence[int],
        max_new_tokens: int = 48,
    ) -> list[Answer]:
        """Answer each question about its image; an image's features are computed once for all its questions.

        Args:
            images: 8-bit grey images of any size.
            questions: what to ask.
            image_of_question: which image each question is about.
            max_new_tokens: longest answer.
        """
        batch = self.processor.prompts(images, questions, image_of_question)
        batch = {key: _to(value, self.device) for key, value in batch.items()}
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            generation = self.model.generate(
                **batch,
                eos_token_id=self.processor.eos_token_id,
                pad_token_id=self.processor.pad_token_id,
                max_new_tokens=max_new_tokens,
            )
        return self._answers(generation)

    def predict(self, manifest: Manifest, records: Iterable[FrameRecord], batch: int) -> Iterator[Prediction]:
        """Ask about every labelled phrase of each frame and yield one prediction a phrase."""
        for group in _batched(records, batch):
            images = [manifest.read_image(record) for record in group]
            asked = [(i, phrase) for i, record in enumerate(group) for phrase in phrases_of(record)]
            if not asked:
                continue
            answers = self.answer(images, [question_for(phrase) for _, phrase in asked], [i for i, _ in asked])
            for (i, phrase), answer in zip(asked, answers, strict=True):
                yield _prediction(group[i].frame_id, phrase, answer)

    def _answers(self, generation: Sa2VAGeneration) -> list[Answer]:
        masks: list[MaskAnswer] = []
        if generation.masks is not None:
            presence = generation.masks.presence_N.float().sigmoid().tolist()
            for logits_HW, probability in zip(generation.masks.logits_of(), presence, strict=True):
                is_there = probability >= PRESENCE_THRESHOLD or not self.model.config.presence_gate
                mask_HW = (logits_HW > self._cut).cpu().numpy()
                masks.append(MaskAnswer(mask_HW if is_there else np.zeros_like(mask_HW), probability))
        ends = np.cumsum(generation.num_masks_B).tolist()
        return [
            Answer(self.processor.words(ids), tuple(masks[end - count : end]))
            for ids, count, end in zip(generation.answer_ids, generation.num_masks_B, ends, strict=True)
        ]


def phrases_of(record: FrameRecord) -> list[str]:
    """Return the labelled phrases of a frame, each once, in order."""
    return list(dict.fromkeys(target.phrase for target in record.targets))


def choose_device(name: str | None = None) -> torch.device:
    """Return the named device, or the best there is.

    Raises:
        ModelError: the device does not exist here.
    """
    if name is None or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"device {name!r} cannot be used ({reason})", remedy="see `angiova doctor`") from None


def load(
    model: str | Path, device: str | None = None, threshold: float = 0.5, base: str | Path | None = None
) -> Predictor:
    """Open a run or checkpoint folder for prediction.

    Args:
        model: run or checkpoint folder.
        device: where to run; default: the best there is.
        threshold: probability above which a pixel is foreground.
        base: where the base of an adapter lies now; default: where it lay in training.

    Raises:
        ModelError: the folder holds no usable model.
    """
    network, processor = open_model(checkpoint_folder(Path(model)), None if base is None else Path(base))
    return Predictor(network, processor, choose_device(device), threshold)


def segment(model: str | Path, image: str | Path | GreyImage, prompt: str, device: str | None = None) -> Answer:
    """Answer one prompt about one image: ``angiova.segment("runs/demo", "frame.png", "segment the left main")``."""
    pixels_HW = image if isinstance(image, np.ndarray) else read_grey(Path(image))
    return load(model, device).answer([pixels_HW], [prompt], [0])[0]


def _prediction(frame_id: str, phrase: str, answer: Answer) -> Prediction:
    if not answer.masks:
        return Prediction(frame_id, phrase, None, 0.0, answer.text)
    first = answer.masks[0]
    return Prediction(frame_id, phrase, rle.encode(first.mask_HW), first.presence, answer.text)


def _batched(records: Iterable[FrameRecord], size: int) -> Iterator[list[FrameRecord]]:
    """Yield `size` records at a time."""
    if size < 1:
        raise DataError("batch must be at least 1")
    group: list[FrameRecord] = []
    for record in records:
        group.append(record)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _to(value: object, device: torch.device) -> object:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [_to(item, device) for item in value]
    return value
