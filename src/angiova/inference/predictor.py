"""A trained model with its processor on a device: images and questions in, words and masks out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from angiova.baselines.opening import open_baseline
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage, read_grey
from angiova.data.probabilities import levels_of
from angiova.data.prompts import question_for
from angiova.data.records import FrameRecord, Prediction
from angiova.errors import ModelError
from angiova.inference.answers import (
    Answer,
    Answerer,
    MaskAnswer,
    batched,
    phrases_of,
    prediction_of,
)
from angiova.inference.baseline import BaselinePredictor
from angiova.model.modeling import Sa2VAModel
from angiova.model.opening import checkpoint_folder, open_model
from angiova.model.outputs import Sa2VAGeneration
from angiova.model.processing import Batch, Sa2VAProcessor

if TYPE_CHECKING:
    from angiova.inference.asking.chat import Chat
    from angiova.inference.asking.reply import Reply

Logits = npt.NDArray[np.float32]
BoolMasks = npt.NDArray[np.bool_]
PRESENCE_THRESHOLD = 0.5
MAX_NEW_TOKENS = 48


class Predictor:
    """Answers questions about frames.

    Args:
        model: the model; it is moved to `device` and set to evaluation mode.
        processor: its processor.
        device: where to run.
        threshold: probability above which a pixel is foreground.

    Attributes:
        phrases: None: it can be asked for anything.
        cut: logit above which a pixel is foreground.
    """

    phrases: tuple[str, ...] | None

    def __init__(
        self, model: Sa2VAModel, processor: Sa2VAProcessor, device: torch.device, threshold: float = 0.5
    ) -> None:
        self.model, self.processor, self.device = model.to(device).eval(), processor, device
        self.keep_probabilities = False  # evaluation wants them; they cost nine masks for one
        # Inputs are float32; autocast lets them meet weights that are stored in half of that, all or some of them.
        self._bf16 = any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())
        self.phrases = None
        self.cut = math.log(threshold / (1 - threshold)) if 0 < threshold < 1 else math.copysign(1e9, threshold - 0.5)

    def answer(
        self,
        images: Sequence[GreyImage],
        questions: Sequence[str],
        image_of_question: Sequence[int],
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> list[Answer]:
        """Answer each question about its image; an image's features are computed once for all its questions.

        Args:
            images: 8-bit grey images of any size.
            questions: what to ask.
            image_of_question: which image each question is about.
            max_new_tokens: longest answer.
        """
        return self._answers(self.generate(images, questions, image_of_question, max_new_tokens))

    def ask(
        self,
        source: str | Path | npt.NDArray[np.generic],
        question: str,
        *,
        language: str | None = None,
        run: str | None = None,
        frame: int | None = None,
        key_frames: int | None = None,
    ) -> Reply:
        """Answer a question about a frame or a run in words, masks and measurements.

        Args:
            source: see `angiova.inference.asking.chat.open_chat`, as for `run`, `frame` and `key_frames`.
            question: in the user's words.
            language: en or zh, of what is not the model's own words; default: that of the question.

        Raises:
            ConfigError: the question cannot be asked, or the source has no such run or frame.
            DataError: the source cannot be read.
        """
        return self.chat(source, run=run, frame=frame, key_frames=key_frames).ask(question, language=language)

    def chat(
        self,
        source: str | Path | npt.NDArray[np.generic],
        *,
        run: str | None = None,
        frame: int | None = None,
        key_frames: int | None = None,
    ) -> Chat:
        """Return a chat about a frame or a run: each of its questions is answered with those before it; see `ask`."""
        from angiova.inference.asking.chat import open_chat  # which is built on this module

        return open_chat(self, source, run=run, frame=frame, key_frames=key_frames)

    def generate(
        self,
        images: Sequence[GreyImage],
        questions: Sequence[str],
        image_of_question: Sequence[int],
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> Sa2VAGeneration:
        """Return what the model says and draws before a threshold makes masks of it; see `answer`."""
        batch = self.to_device(self.processor.prompts(images, questions, image_of_question))
        with self.computing():
            generation: Sa2VAGeneration = self.model.generate(**batch, **self.words_end, max_new_tokens=max_new_tokens)
        return generation

    @property
    def words_end(self) -> dict[str, int]:
        """Which tokens end an answer and fill up behind it, as `Sa2VAModel.speak` takes them."""
        return {"eos_token_id": self.processor.eos_token_id, "pad_token_id": self.processor.pad_token_id}

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute without gradients, and in the type that the weights are stored in."""
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            yield

    def to_device(self, batch: Batch) -> Batch:
        """Return a batch with its tensors on the model's device."""
        return {key: _to(value, self.device) for key, value in batch.items()}

    def masks_of(self, logits_NHW: Logits, presence_N: Logits) -> BoolMasks:
        """Return masks (N, H, W) of logits; empty where the model gates by presence (N,) and says absent."""
        masks_NHW = logits_NHW > self.cut
        if self.model.config.presence_gate:
            masks_NHW &= (presence_N >= PRESENCE_THRESHOLD)[:, None, None]
        return masks_NHW

    def predict(self, manifest: Manifest, records: Iterable[FrameRecord], batch: int) -> Iterator[Prediction]:
        """Ask about every labelled phrase of each frame and yield one prediction a phrase."""
        for group in batched(records, batch):
            images = [manifest.read_image(record) for record in group]
            asked = [(i, phrase) for i, record in enumerate(group) for phrase in phrases_of(record)]
            if not asked:
                continue
            answers = self.answer(images, [question_for(phrase) for _, phrase in asked], [i for i, _ in asked])
            for (i, phrase), answer in zip(asked, answers, strict=True):
                yield prediction_of(group[i].frame_id, phrase, answer)

    def _answers(self, generation: Sa2VAGeneration) -> list[Answer]:
        masks: list[MaskAnswer] = []
        if generation.masks is not None:
            presence = generation.masks.presence_N.float().sigmoid().tolist()
            for logits_HW, probability in zip(generation.masks.logits_of(), presence, strict=True):
                is_there = probability >= PRESENCE_THRESHOLD or not self.model.config.presence_gate
                mask_HW = (logits_HW > self.cut).cpu().numpy()
                levels = (
                    levels_of(logits_HW.float().sigmoid().cpu().numpy())
                    if self.keep_probabilities and is_there
                    else None
                )
                masks.append(MaskAnswer(mask_HW if is_there else np.zeros_like(mask_HW), probability, levels))
        ends = np.cumsum(generation.num_masks_B).tolist()
        return [
            Answer(self.processor.words(ids), tuple(masks[end - count : end]))
            for ids, count, end in zip(generation.answer_ids, generation.num_masks_B, ends, strict=True)
        ]


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
) -> Answerer:
    """Open a run or checkpoint folder for prediction, of Sa2VA or of a baseline.

    Args:
        model: run or checkpoint folder.
        device: where to run; default: the best there is.
        threshold: probability above which a pixel is foreground.
        base: where the base of an adapter lies now; default: where it lay in training.

    Raises:
        ModelError: the folder holds no usable model.
    """
    folder = checkpoint_folder(Path(model))
    baseline = open_baseline(folder, choose_device(device))
    if baseline is not None:
        return BaselinePredictor(baseline, threshold)
    network, processor = open_model(folder, None if base is None else Path(base))
    return Predictor(network, processor, choose_device(device), threshold)


def segment(model: str | Path, image: str | Path | GreyImage, prompt: str, device: str | None = None) -> Answer:
    """Answer one prompt about one image: ``angiova.segment("runs/demo", "frame.png", "segment the left main")``."""
    pixels_HW = image if isinstance(image, np.ndarray) else read_grey(Path(image))
    return load(model, device).answer([pixels_HW], [prompt], [0])[0]


def _to(value: object, device: torch.device) -> object:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [_to(item, device) for item in value]
    return value
