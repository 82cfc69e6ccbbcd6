"""The page of answered questions: figures with what they are, and answers that are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from angiova.data.questions.kinds import Kind
from angiova.evaluation.language import MODEL, AnsweredCase, is_right, results_by_kind, rows_of

WRONG_OF_A_KIND: Final = 3
WHAT: Final = (
    "{num_frames} frames of {folder}, split {split}. Means over patients with 95 % intervals where patients are known, "
    "over frames otherwise. `model` is what its words say, `measured` what is measured on the masks that it draws, "
    "`guess` the answer to the same question that is most often right among these very frames. Errors are absolute "
    "(branches, pixels), of usable answers."
)


def page_of(result: Mapping[str, Any], cases: Sequence[AnsweredCase]) -> Iterator[str]:
    """Yield the lines of the page in Markdown.

    Args:
        result: what `angiova.inference.question_evaluation` writes as JSON.
        cases: the questions with their answers.
    """
    facts = {"num_frames": result["num_frames"], "folder": result["dataset"]["folder"], "split": result["split"]}
    yield f"# Answers of {result['model']}\n"
    yield "Research use only; not a medical device.\n"
    yield WHAT.format(**facts) + "\n"
    if result["leakage"] is not None and not result["leakage"]["is_clean"]:
        yield "**The model was trained on some of these frames: the figures say nothing about other patients.**\n"
    yield from rows_of(results_by_kind(cases))
    for language in sorted({case.language for case in cases}):
        yield f"\nAsked in {language}:\n"
        yield from rows_of(results_by_kind([case for case in cases if case.language == language]))
    if result["descriptions"]:
        yield "\n## Descriptions\n"
        yield "| fact | present | missing | false |"
        yield "| --- | --- | --- | --- |"
        for kind, counts in result["descriptions"].items():
            yield f"| {kind} | {counts['present']} | {counts['missing']} | {counts['false']} |"
    yield from _wrong(cases)


def _wrong(cases: Sequence[AnsweredCase]) -> Iterator[str]:
    wrong = [case for case in cases if not is_right(case, MODEL)]
    yield f"\n## Wrong answers\n\n{len(wrong)} of {len(cases)}; some of each kind:\n"
    for kind in Kind:
        for case in [case for case in wrong if case.asked.kind is kind][:WRONG_OF_A_KIND]:
            truth = case.as_json()["truth"]
            yield f"- {case.frame_id}: {case.question} -> {case.words or 'nothing'} (labels: {truth})"
