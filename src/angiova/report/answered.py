"""The part of the report on questions answered in words, from questions.json of `angiova eval --questions`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from angiova.data.records import Split
from angiova.evaluation.answered import PICTURES_DIR, AskedCase, KindScores, QuestionEvaluation, Said, WrongAnswer
from angiova.evaluation.language import GUESS, MEASURED, MODEL
from angiova.evaluation.result import Interval, MetricSummary
from angiova.report import formats
from angiova.report.charts.bars import Row, interval_chart
from angiova.report.content import Block, Cell, Chart, Notice, Paragraph, Photo, Section, Source, Table, Value
from angiova.report.facts import RunFacts
from angiova.report.results import segment_label
from angiova.report.statement import answered
from angiova.report.text import Label, Text, capitalised, joined
from angiova.report.values import of_questions
from angiova.report.wording import say, say_if_known
from angiova.run_record import QUESTIONS_DIR

# In the order of the columns.
WHO: Final = (MODEL, MEASURED, GUESS)


def answer_section(facts: RunFacts) -> Section | None:
    """Return how questions were answered in words, measured and guessed; None where nothing was asked."""
    asked = facts.questions
    if asked is None:
        return None
    blocks: list[Block] = [*question_notices(facts), *_frames(facts, asked), kind_table(asked.kinds, "kinds")]
    blocks += _chart(asked)
    for language, kinds in asked.languages.items():
        caption = say("answers.in", language=say(f"answers.language.{language}"))
        blocks.append(kind_table(kinds, f"languages.{language}", caption, folded=True))
    if asked.descriptions:
        blocks.append(description_table(asked))
    blocks += _wrong(facts, asked)
    return Section("answers", say("answers.title"), tuple(blocks))


def question_notices(facts: RunFacts) -> Iterator[Notice]:
    """Yield what is said in red, and what is not known, about the frames that were asked about."""
    asked = facts.questions
    if asked is None:
        return
    leakage = asked.leakage
    if asked.split is Split.TRAIN and asked.dataset.manifest_sha256 == facts.record.data.manifest_sha256:
        yield Notice("error", say("answers.trained", n=asked.num_frames), answered("split"))
    elif leakage is None:
        yield Notice("warning", say("answers.unknown"), answered("leakage"))
    elif not leakage.is_clean:
        text = say(
            "answers.leakage",
            patients=leakage.num_shared_patients,
            files=leakage.num_shared_files,
            near=leakage.num_near_duplicates,
        )
        yield Notice("error", text, answered("leakage"))


def kind_table(kinds: Mapping[str, KindScores], field: str, caption: Label = "", *, folded: bool = False) -> Table:
    """Return one row a kind of question: how well the words, the masks' measurements and a guess answer it.

    Args:
        kinds: by kind of question.
        field: of questions.json that holds them.
        caption: of the table.
        folded: shown closed.
    """
    header = tuple(say(f"answers.{name}") for name in ("kind", "metric", "asked", *WHO, "unusable"))
    rows = tuple(_kind_row(kind, found, f"{field}.{kind}") for kind, found in kinds.items())
    return Table(header, rows, caption or say("answers.caption"), text_columns=(0, 1), folded=folded)


def description_table(asked: QuestionEvaluation) -> Table:
    """Return how many facts of each kind descriptions tell rightly, leave out and tell wrongly."""
    counted = ("present", "missing", "false")
    header = tuple(say(f"answers.{name}") for name in ("fact", *counted))
    rows = tuple(
        (
            kind_label(kind),
            *(_count(getattr(found, name), f"descriptions.{kind}.{name}") for name in counted),
        )
        for kind, found in asked.descriptions.items()
    )
    return Table(header, rows, say("answers.descriptions"))


def kind_label(kind: str) -> Label:
    """Return what questions of a kind ask for."""
    return say_if_known(f"answers.kind.{kind}", kind)


def told(value: Said | None, kind: str) -> Label:
    """Return an answer as it is shown: a side, yes or no, a number, or names of segments."""
    if value is None:
        return say("answers.nothing")
    if isinstance(value, bool):
        return say("answers.yes" if value else "answers.no")
    if isinstance(value, list):
        return ", ".join(map(segment_label, value)) or say("answers.nothing")
    if isinstance(value, str):
        return say_if_known(f"answers.side.{value}", value)
    return f"{value:.1f} px" if kind == "narrowest" else f"{value:.0f}"


def mean_of(summary: MetricSummary) -> float:
    """Return the mean over patients, or over frames where patients are unknown."""
    return summary.frame.mean if summary.patient is None else summary.patient.mean


def written(summary: MetricSummary) -> str:
    """Write a mean with its interval over patients, where there is one."""
    mean = f"{mean_of(summary):.3f}"
    return mean if not _has_interval(summary.patient) else f"{mean} {formats.interval(summary.patient)}"


def level_of(summary: MetricSummary) -> str:
    """Return the field of a summary that `mean_of` takes its mean from."""
    return "frame" if summary.patient is None else "patient"


def _has_interval(interval: Interval | None) -> bool:
    return interval is not None and interval.low is not None


def _frames(facts: RunFacts, asked: QuestionEvaluation) -> Iterator[Paragraph]:
    """Yield what was asked about, and how to read the figures."""
    values = {"n": formats.count(asked.num_frames), "split": asked.split.value, "folder": asked.dataset.folder}
    yield Paragraph(say("answers.frames", model=asked.model, **values), answered("num_frames", "split", "dataset"))
    if asked.split is Split.VAL and asked.dataset.manifest_sha256 == facts.record.data.manifest_sha256:
        yield Paragraph(say("headline.chosen"), answered("split"))
    if not asked.segments_complete:
        yield Paragraph(say("answers.partly"), answered("segments_complete"))
    has_patients = all(s.patient is not None for found in asked.kinds.values() for s in found.scores.values())
    yield Paragraph(say("answers.how"))
    yield Paragraph(say("answers.patients" if has_patients else "answers.no_patients"), answered("kinds"))


def _kind_row(kind: str, found: KindScores, field: str) -> tuple[Cell, ...]:
    return (
        kind_label(kind),
        of_questions(say(f"answers.metric.{found.metric}"), found.metric, f"{field}.metric"),
        _count(found.num_cases, f"{field}.num_cases"),
        *(_score(found.scores.get(who), f"{field}.scores.{who}") for who in WHO),
        _count(found.num_unusable.get(MODEL), f"{field}.num_unusable.{MODEL}"),
    )


def _score(summary: MetricSummary | None, field: str) -> Value:
    if summary is None:
        return Value(formats.UNKNOWN)
    ends = ("mean", "low", "high") if _has_interval(summary.patient) else ("mean",)
    fields = (f"{field}.{level_of(summary)}.{end}" for end in ends)
    return of_questions(written(summary), mean_of(summary), *fields)


def _count(value: int | None, field: str) -> Value:
    return Value(formats.UNKNOWN) if value is None else of_questions(formats.count(value), value, field)


def _chart(asked: QuestionEvaluation) -> Iterator[Chart]:
    """Yield shares of right answers, words above masks, with the guess as a mark; errors have no common scale."""
    rows = [
        _chart_row(kind, who, found)
        for kind, found in asked.kinds.items()
        if found.metric != "error"
        for who in (MODEL, MEASURED)
        if who in found.scores
    ]
    if rows:
        drawing = interval_chart(
            rows, say("answers.axis"), say("answers.title"), say("answers.guess"), limits=(0.0, 1.0)
        )
        yield Chart("answers.svg", drawing, say("answers.chart"), answered("kinds"))


def _chart_row(kind: str, who: str, found: KindScores) -> Row:
    summary, guess = found.scores[who], found.scores.get(GUESS)
    label = joined([kind_label(kind), say(f"answers.{who}")], " · ")
    patient = summary.patient
    low, high = (None, None) if patient is None else (patient.low, patient.high)
    reference = None if guess is None else mean_of(guess)
    return Row(label, mean_of(summary), low, high, reference, say("results.frames_only", n=summary.frame.n))


def _wrong(facts: RunFacts, asked: QuestionEvaluation) -> Iterator[Block]:
    """Yield wrong answers of each kind with the frame; say so where the file does not say which to show."""
    if not asked.wrong:
        yield Paragraph(say("answers.not_shown" if asked.wrong is None else "answers.all_right"), answered("cases"))
        return
    yield Paragraph(say("answers.wrong"), answered("wrong"))
    for shown in asked.wrong:
        yield _wrong_answer(facts, asked.cases[shown.case], shown)


def _wrong_answer(facts: RunFacts, case: AskedCase, shown: WrongAnswer) -> Block:
    caption = _caption(case)
    sources = answered(f"cases.{shown.case}")
    if shown.file not in facts.wrong_answers:
        return Paragraph(caption, sources)
    picture = Source(f"{QUESTIONS_DIR}/{PICTURES_DIR}/{shown.file}", "")
    return Photo(f"answer-{shown.file}", facts.wrong_answers[shown.file], caption, (*sources, picture))


def _caption(case: AskedCase) -> Text:
    values = {
        "kind": capitalised(kind_label(case.kind)),
        "frame": case.frame,
        "question": case.question,
        "words": case.words or say("answers.nothing"),
        "truth": told(case.truth, case.kind),
    }
    if MEASURED not in case.said:
        return say("answers.case", **values)
    return say("answers.case_measured", measured=told(case.said[MEASURED], case.kind), **values)
