"""Everything a report is made from, read from one run folder; what is not there is named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from angiova.errors import DataError
from angiova.evaluation.answered import PICTURES_DIR, RESULT_NAME, QuestionEvaluation, WrongAnswer, read_questions
from angiova.evaluation.comparing import COMPARISON_NAME, Comparison, read_comparison
from angiova.evaluation.result import Evaluation, Picture
from angiova.evaluation.store import COMPARISONS_DIR, EVALUATION_NAME, FRAMES_NAME, read_evaluation, read_frames
from angiova.files import sha256_file
from angiova.run_record import COMPARISON_DIR, EVALUATION_DIR, METRICS_NAME, QUESTIONS_DIR, RunRecord, read_run

Line = Mapping[str, Any]

FINISHED: Final = frozenset({"finished", "done", "complete", "completed"})


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run folder holds.

    Attributes:
        name: the folder's name.
        record: run.json.
        training: the lines of metrics.jsonl logged in training, in order.
        validation: those logged in validation.
        evaluation: evaluation.json; None when the run was not evaluated.
        evaluation_sha256: of evaluation.json.
        frames: frames.csv, one row a case.
        comparison: comparison.json; None when the run was not compared with others.
        questions: questions.json; None when the model was not asked about labelled frames.
        pictures: comparison pictures as PNG files, by name.
        wrong_answers: pictures of frames with wrong answers as PNG files, by name.
        missing: files that the run names and the folder lacks, relative to it.
    """

    name: str
    record: RunRecord
    training: list[Line]
    validation: list[Line]
    evaluation: Evaluation | None
    evaluation_sha256: str | None
    frames: pl.DataFrame | None
    comparison: Comparison | None
    questions: QuestionEvaluation | None
    pictures: dict[str, bytes]
    wrong_answers: dict[str, bytes]
    missing: list[str]

    @property
    def same_data(self) -> bool:
        """Whether the evaluation used the very data set that was trained on, so that its splits keep patients apart."""
        return self.evaluation is not None and self.evaluation.manifest_sha256 == self.record.data.manifest_sha256


def read_facts(run: Path) -> RunFacts:
    """Read a run folder.

    Raises:
        DataError: run.json is missing, or a file that is there is damaged.
    """
    record, folder, compared, asked = read_run(run), run / EVALUATION_DIR, run / COMPARISON_DIR, run / QUESTIONS_DIR
    lines = _read_lines(run / METRICS_NAME)
    evaluation = read_evaluation(folder) if (folder / EVALUATION_NAME).exists() else None
    pictures = _read_pictures(folder / COMPARISONS_DIR, [] if evaluation is None else evaluation.pictures)
    questions = read_questions(asked) if (asked / RESULT_NAME).exists() else None
    wrong = _read_pictures(asked / PICTURES_DIR, [] if questions is None else questions.wrong or [])
    return RunFacts(
        name=run.resolve().name,
        record=record,
        training=[line for line in lines if "losses" in line],
        validation=[line for line in lines if "validation" in line],
        evaluation=evaluation,
        evaluation_sha256=None if evaluation is None else sha256_file(folder / EVALUATION_NAME),
        frames=read_frames(folder) if evaluation is not None and (folder / FRAMES_NAME).exists() else None,
        comparison=read_comparison(compared) if (compared / COMPARISON_NAME).exists() else None,
        questions=questions,
        pictures=pictures,
        wrong_answers=wrong,
        missing=_missing(run, record, evaluation, pictures) + _missing_answers(questions, wrong),
    )


def _read_lines(path: Path) -> list[Line]:
    if not path.exists():
        return []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [_line(text, path, number) for number, text in enumerate(texts, 1) if not _is_cut(text, number, texts)]


def _is_cut(text: str, number: int, texts: list[str]) -> bool:
    """Whether this is the last line of a run that was killed while writing it."""
    return not text.strip() or (number == len(texts) and not text.rstrip().endswith("}"))


def _line(text: str, path: Path, number: int) -> Line:
    try:
        line = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"line {number} is not JSON ({error})", where=path, remedy="delete that line") from None
    if not isinstance(line, dict) or "optimizer_step" not in line:
        raise DataError(f"line {number} has no optimizer_step", where=path, remedy="delete that line")
    return line


def _read_pictures(folder: Path, pictures: Sequence[Picture | WrongAnswer]) -> dict[str, bytes]:
    """Read the pictures that lie in `folder` itself: a name that leads elsewhere is not followed."""
    names = [picture.file for picture in pictures if Path(picture.file).name == picture.file]
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _missing(run: Path, record: RunRecord, evaluation: Evaluation | None, pictures: Mapping[str, bytes]) -> list[str]:
    named = [METRICS_NAME, *(checkpoint.path for checkpoint in record.checkpoints)]
    if record.evaluations or evaluation is not None:
        named += [f"{EVALUATION_DIR}/{EVALUATION_NAME}", f"{EVALUATION_DIR}/{FRAMES_NAME}"]
    missing = [name for name in named if not (run / name).exists()]
    shown = [] if evaluation is None else evaluation.pictures
    return missing + [f"{EVALUATION_DIR}/{COMPARISONS_DIR}/{p.file}" for p in shown if p.file not in pictures]


def _missing_answers(questions: QuestionEvaluation | None, wrong: Mapping[str, bytes]) -> list[str]:
    shown = [] if questions is None else questions.wrong or []
    return [f"{QUESTIONS_DIR}/{PICTURES_DIR}/{answer.file}" for answer in shown if answer.file not in wrong]
