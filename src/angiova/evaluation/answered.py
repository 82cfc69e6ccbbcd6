"""What `angiova eval --questions` states, as `questions.json` holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from angiova.data.records import Split
from angiova.errors import DataError
from angiova.evaluation.result import LeakageFacts, MetricSummary
from angiova.files import read_json

FORMAT: Final = "angiova-questions/1"
RESULT_NAME: Final = "questions.json"
PICTURES_DIR: Final = "wrong"

Said = bool | float | str | list[str]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AskedData(_Part):
    """The data set that was asked about."""

    folder: str
    manifest_sha256: str


class KindScores(_Part):
    """How well questions of a kind are answered; as `angiova.evaluation.language.KindResult`."""

    metric: Literal["accuracy", "F1", "error"]
    num_cases: int
    num_unusable: dict[str, int]
    scores: dict[str, MetricSummary]


class FactsTold(_Part):
    """Facts of one kind in descriptions: told and right, not told, told and wrong."""

    present: int
    missing: int
    false: int


class AskedCase(_Part):
    """One thing asked about one frame; as `angiova.evaluation.language.AnsweredCase`."""

    frame: str
    run: str
    patient: str | None
    question: str
    language: str
    kind: str
    threshold: float
    segment: str
    is_description: bool
    words: str
    truth: Said
    said: dict[str, Said | None]


class WrongAnswer(_Part):
    """A wrong answer that is shown.

    Attributes:
        case: its place in `cases`.
        file: picture in PICTURES_DIR: the frame, and the frame with its labels.
    """

    case: int
    file: str


class QuestionEvaluation(_Part):
    """A model's answers held against labels.

    Attributes:
        segments_complete: whether every segment in view is labelled.
        leakage: what the frames share with those trained on; None where these are not known.
        kinds: by kind of question.
        languages: the same of the questions of each language.
        descriptions: by kind of fact.
        wrong: some wrong answers of each kind; None in files of versions before it.
    """

    format: Literal["angiova-questions/1"]
    model: str
    dataset: AskedData
    split: Split
    num_frames: int
    segments_complete: bool
    leakage: LeakageFacts | None
    kinds: dict[str, KindScores]
    languages: dict[str, dict[str, KindScores]]
    descriptions: dict[str, FactsTold]
    cases: list[AskedCase]
    wrong: list[WrongAnswer] | None = None

    @field_validator("leakage", mode="before")
    @classmethod
    def _without_verdict(cls, leakage: Any) -> Any:  # noqa: ANN401  (JSON, not yet checked)
        """Leave out `is_clean`, which is written for readers of the file and follows from the counts."""
        return {k: v for k, v in leakage.items() if k != "is_clean"} if isinstance(leakage, dict) else leakage


def read_questions(folder: Path) -> QuestionEvaluation:
    """Read questions.json of `folder`.

    Raises:
        DataError: it is missing or not of this form, or shows a case that it does not hold.
    """
    path, remedy = folder / RESULT_NAME, "ask again with `angiova eval --questions`, or remove it"
    try:
        found = QuestionEvaluation.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(f"field {field}: {first['msg']}", where=path, remedy=remedy) from None
    for number, shown in enumerate(found.wrong or []):
        if not 0 <= shown.case < len(found.cases):
            raise DataError(f"field wrong.{number}.case: there is no case {shown.case}", where=path, remedy=remedy)
    return found
