"""Asking a model questions about every frame of a split, and holding its answers against the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from angiova.data import rle
from angiova.data.contact_sheet import labelled
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage, write_png
from angiova.data.questions.drawing import plain
from angiova.data.questions.facts import Facts, described
from angiova.data.questions.kinds import DESCRIBED, Asked, Kind, Value, read_answer
from angiova.data.questions.phrasing import DESCRIBE, Language, question_of
from angiova.data.records import FrameRecord, Split
from angiova.data.syntax import SEGMENT_NAMES
from angiova.errors import ConfigError, DataError
from angiova.evaluation.answered import FORMAT, PICTURES_DIR, RESULT_NAME
from angiova.evaluation.language import (
    MEASURED,
    MODEL,
    AnsweredCase,
    description_results,
    is_right,
    results_by_kind,
    with_guesses,
    wrong_answers,
)
from angiova.export.overlay import ColourImage, contact_sheet
from angiova.files import write_json, write_text
from angiova.inference.asking.chat import open_predictor
from angiova.inference.asking.conversation import MAX_ANSWER_TOKENS
from angiova.inference.asking.measured import Measured
from angiova.inference.asking.shown import Shown
from angiova.inference.evaluation import check_leakage
from angiova.inference.predictor import Predictor
from angiova.report.questions import page_of

PAGE_NAME: Final = "questions.md"
PICTURE_NAME: Final = "wrong_answers.png"
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
# Asked of every frame that tells it; the segments that are asked for one by one are drawn.
ASKED_ALWAYS: Final = (
    Kind.TREE,
    Kind.SEGMENTS,
    Kind.CATHETER,
    Kind.CONTRAST,
    Kind.STENOSIS,
    Kind.BRANCHES,
    Kind.NARROWEST,
)
MOST_SHOWN: Final = 12
TILE_PX: Final = 360
# Shown in the report, and how high and wide their pictures are.
WRONG_OF_A_KIND: Final = 2
THUMBNAIL_PX: Final = 256


def evaluate_questions(
    model: Path,
    dataset: Path,
    *,
    split: str,
    out: Path,
    device: str | None = None,
    limit: int | None = None,
    complete: bool = True,
    measured: bool = True,
    allow_leakage: bool = False,
    base: Path | None = None,
) -> dict[str, Any]:
    """Ask about every labelled frame of a split in both languages, and write `questions.json`, a page and a picture.

    Args:
        model: run or checkpoint folder.
        dataset: data set folder.
        split: part to ask about.
        out: folder to write.
        device: where to run; default: the best there is.
        limit: most frames asked about, spread over the split; default: all.
        complete: whether every segment in view is labelled; where not, none is listed or said to be absent.
        measured: whether to measure on the predicted masks too, to compare with; it draws every named segment.
        allow_leakage: ask about frames that the model was trained on too.
        base: where the base of an adapter lies now; default: where it lay in training.

    Returns:
        What was written to `questions.json`; `angiova.evaluation.answered` says what it holds.

    Raises:
        ConfigError: there is no such split.
        DataError: nothing of the split can be asked about, or the model was trained on some of it.
    """
    if split not in list(Split):
        raise ConfigError(f"no split {split!r}", where="--split", remedy=f"one of: {', '.join(Split)}")
    manifest, predictor = Manifest(dataset), open_predictor(model, device, base=base)
    records = [record for record in manifest.records(Split(split)) if record.targets]
    if limit is not None and limit < len(records):
        records = [records[index] for index in np.linspace(0, len(records) - 1, limit).round().astype(int)]
    leaks = check_leakage(model, manifest, Split(split), records, allowed=allow_leakage)
    cases: list[AnsweredCase] = []
    for record in track(records, "asking", console=Console(stderr=True)):
        cases += _ask(predictor, manifest, record, complete=complete, measured=measured)
    if not cases:
        raise DataError(f"nothing can be asked about in split {split!r}", where=dataset, remedy="label vessels first")
    cases = with_guesses(cases)
    result = {
        "format": FORMAT,
        "model": str(model),
        "dataset": {"folder": str(dataset), "manifest_sha256": manifest.sha256()},
        "split": split,
        "num_frames": len(records),
        "segments_complete": complete,
        "leakage": None if leaks is None else leaks.model_dump(mode="json") | {"is_clean": leaks.is_clean},
        **_figures(cases),
    }
    result["wrong"] = _write_wrong(out / PICTURES_DIR, manifest, records, cases)
    write_json(out / RESULT_NAME, result)
    write_text(out / PAGE_NAME, "\n".join(page_of(result, cases)) + "\n")
    _write_failures(out / PICTURE_NAME, manifest, records, cases)
    return result


def _figures(cases: Sequence[AnsweredCase]) -> dict[str, Any]:
    """Return every figure, and the cases that they are made of, as JSON."""
    by_language = {language: [case for case in cases if case.language == language] for language in LANGUAGES}
    return {
        "kinds": _as_json(cases),
        "languages": {language: _as_json(own) for language, own in by_language.items()},
        "descriptions": {
            kind: {"present": found.num_present, "missing": found.num_missing, "false": found.num_false}
            for kind, found in description_results(cases).items()
        },
        "cases": [case.as_json() for case in cases],
    }


def _as_json(cases: Sequence[AnsweredCase]) -> dict[str, Any]:
    return {kind: found.as_json() for kind, found in results_by_kind(cases).items()}


def _ask(
    predictor: Predictor, manifest: Manifest, record: FrameRecord, *, complete: bool, measured: bool
) -> list[AnsweredCase]:
    """Ask everything about one frame; what is asked depends on the frame's name alone."""
    rng = np.random.default_rng(list(record.frame_id.encode()))
    facts = Facts(record.targets, tuple(rle.decode(target.mask) for target in record.targets), complete)
    language: Language = LANGUAGES[int(rng.integers(len(LANGUAGES)))]
    told = described(facts, [*map(plain, ASKED_ALWAYS), *_segments_to_ask(facts, rng)])
    # Each question with what it asks: one thing, or all that a description should tell.
    asked = [(question_of(each, language, rng), {each: truth}) for each, truth in told.items()]
    of_description = described(facts, [*map(plain, DESCRIBED)])
    if len(of_description) > 1:
        asked.append((str(rng.choice(DESCRIBE[language])), of_description))
    if not asked:
        return []
    image_HW = manifest.read_image(record)
    all_words = _words(predictor, image_HW, [question for question, _ in asked])
    shown = Shown(record.frame_id, (image_HW,), (0,), spacing_mm=record.spacing_mm)
    on_masks = Measured(predictor, shown) if measured else None
    return [
        AnsweredCase(
            frame_id=record.frame_id,
            run=record.run,
            patient=record.patient,
            question=question,
            language=language,
            asked=each,
            truth=truth,
            words=words,
            said=_said(each, words, on_masks),
            is_description=len(truths) > 1,
        )
        for (question, truths), words in zip(asked, all_words, strict=True)
        for each, truth in truths.items()
    ]


def _said(asked: Asked, words: str, on_masks: Measured | None) -> dict[str, Value | None]:
    said: dict[str, Value | None] = {MODEL: read_answer(asked, words)}
    return said if on_masks is None else said | {MEASURED: on_masks.value(asked)}


def _segments_to_ask(facts: Facts, rng: np.random.Generator) -> list[Asked]:
    """Return a segment in view and one that is known not to be, so that both answers are as frequent."""
    asked = [Asked(Kind.VISIBLE, segment=number) for number in SEGMENT_NAMES]
    by_answer: dict[Value, list[Asked]] = {}
    for each, value in described(facts, asked).items():
        by_answer.setdefault(value, []).append(each)
    if len(by_answer) < 2:
        return []
    return [candidates[int(rng.integers(len(candidates)))] for _, candidates in sorted(by_answer.items(), key=str)]


def _words(predictor: Predictor, image_HW: GreyImage, questions: Sequence[str]) -> list[str]:
    """Return the model's words, without the masks that they may ask for."""
    batch = predictor.to_device(predictor.processor.prompts([image_HW], questions, [0] * len(questions)))
    read = {name: value for name, value in batch.items() if name not in ("segmenter_pixels", "images")}
    with predictor.computing():
        spoken = predictor.model.speak(**read, **predictor.words_end, max_new_tokens=MAX_ANSWER_TOKENS)
    return [predictor.processor.words(ids) for ids in spoken.answer_ids]


def _write_wrong(
    folder: Path, manifest: Manifest, records: Sequence[FrameRecord], cases: Sequence[AnsweredCase]
) -> list[dict[str, Any]]:
    """Write a picture of each wrong answer that the report shows, and return which they are.

    Pictures of an earlier evaluation go: they would stand beside the answers of another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("wrong-*.png"):
        earlier.unlink()
    by_id = {record.frame_id: record for record in records}
    shown = []
    for number, place in enumerate(wrong_answers(cases, WRONG_OF_A_KIND), 1):
        name = f"wrong-{number:02d}.png"
        write_png(folder / name, _bare_and_labelled(manifest, by_id[cases[place].frame_id]))
        shown.append({"case": place, "file": name})
    return shown


def _bare_and_labelled(manifest: Manifest, record: FrameRecord) -> ColourImage:
    """Return a frame beside itself with its labels, each at most THUMBNAIL_PX high and wide, shape (H, W, 3)."""
    image_HW = manifest.read_image(record)
    pair = np.concatenate([np.repeat(image_HW[:, :, None], 3, axis=2), labelled(image_HW, record)], axis=1)
    picture = Image.fromarray(pair)
    picture.thumbnail((2 * THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _write_failures(
    path: Path, manifest: Manifest, records: Sequence[FrameRecord], cases: Sequence[AnsweredCase]
) -> None:
    """Write a picture of frames with wrong answers: bare with the question, and with its labels and what was said."""
    by_id = {record.frame_id: record for record in records}
    told = [case for case in cases if case.language == "en" and not case.is_description]
    by_frame: dict[str, list[AnsweredCase]] = {}
    for case in told:
        if not is_right(case, MODEL):
            by_frame.setdefault(case.frame_id, []).append(case)
    # One a frame, of another kind from frame to frame.
    shown = [wrong[place % len(wrong)] for place, wrong in enumerate(by_frame.values())][:MOST_SHOWN]
    if not shown:
        return
    tiles, captions = [], []
    for case in shown:
        image_HW = manifest.read_image(by_id[case.frame_id])
        tiles += [np.repeat(image_HW[:, :, None], 3, axis=2), labelled(image_HW, by_id[case.frame_id])]
        captions += [case.question, case.words or "nothing"]
    write_png(path, contact_sheet(tiles, captions, columns=4, tile_px=TILE_PX))
