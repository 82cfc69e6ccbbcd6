"""What is answered: the model's words, what it draws, and each fact beside the one that is measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from angiova.data.prompts import Turn
from angiova.data.rle import BoolMask
from angiova.inference.asking.conversation import NamedMask
from angiova.morphology.measures import VesselMeasures
from angiova.report.text import Label, Text


class Verdict(StrEnum):
    """How what is said stands to what is measured."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    NOT_USABLE = "not usable"
    NOT_MEASURED = "not measured"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class Statement:
    """One fact beside its measurement.

    Attributes:
        about: what it is a fact of.
        said: what the model's words say; None where they say nothing that could be read as an answer, and where the
            question is of no kind that could be compared.
        measured: what the measurement on the predicted masks says; None where it could not be made.
        verdict: how the two stand to each other.
        mask_HW: the mask of what a free question names, which the measurement was made on; None for other facts.
    """

    about: Label
    said: Label | None
    measured: Label | None
    verdict: Verdict
    mask_HW: BoolMask | None = None


@dataclass(frozen=True, slots=True)
class AnsweredMask:
    """A vessel that the answer names.

    Attributes:
        drawn: its masks in every frame that was shown.
        presence: probability that it is in the frame that is measured.
        measures: what is measured of it there; None where it is not seen.
    """

    drawn: NamedMask
    presence: float
    measures: VesselMeasures | None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one question.

    Attributes:
        question: what was asked.
        text: the model's words; "I can't tell" and why, where nothing or nobody could.
        words: the model's words, whatever `text` says; None where it was not asked.
        confidence: mean probability of the tokens of the model's words; None where it was not asked.
        doubts: why it can't be told; empty where it can.
        masks: the vessels that the answer names.
        measurements: each fact of the answer beside the one measured.
        earlier: the turns before that the model saw.
        notes: what else has to be known, such as earlier turns that the model no longer sees.
    """

    question: str
    text: str
    words: str | None
    confidence: float | None
    doubts: tuple[Text, ...]
    masks: tuple[AnsweredMask, ...]
    measurements: tuple[Statement, ...]
    earlier: tuple[Turn, ...]
    notes: tuple[Text, ...]

    @property
    def disagrees(self) -> bool:
        """Whether a fact contradicts its measurement."""
        return any(statement.verdict is Verdict.DISAGREES for statement in self.measurements)
