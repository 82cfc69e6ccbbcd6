"""What the answers in words say: rules on words, the masks' measurements and the guess that sees nothing.

Every comparison prints the figures that made it. Words count as better than the guess only if the whole interval of
their mean is: over patients, or where these are unknown two standard errors over frames, which is too narrow and still
keeps a handful of lucky answers from being praised. To be called worse, a mean below the guess is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Final

from angiova.evaluation.answered import KindScores
from angiova.evaluation.language import GUESS, MEASURED, MODEL
from angiova.evaluation.result import MetricSummary
from angiova.report.answered import kind_label, level_of, mean_of, question_notices, written
from angiova.report.facts import RunFacts
from angiova.report.statement import Role, Statement, answered, state
from angiova.report.text import capitalised
from angiova.report.wording import say

# Share of the told facts of a kind whose being wrong a reader would notice.
MANY_FALSE: Final = 0.05


def words(facts: RunFacts) -> Iterator[Statement]:
    """Which kinds of question do words answer better than a guess, and where are the masks the better source?"""
    for kind, found in _trusted(facts).items():
        told, guess = found.scores.get(MODEL), found.scores.get(GUESS)
        if told is None:
            yield _state("no_answer", "limit", kind, found, (f"num_unusable.{MODEL}",))
        elif guess is not None and _is_worse(told, guess, found.metric):
            yield _state("words_below_guess", "limit", kind, found)
        elif guess is not None and _is_better(told, guess, found.metric):
            yield _state("words_beat_guess", "strength", kind, found)
        yield from _masks_instead(kind, found)


def descriptions(facts: RunFacts) -> Iterator[Statement]:
    """Which kinds of fact do descriptions tell rightly, and which not?"""
    asked = facts.questions if _trusted(facts) else None
    for kind, found in ({} if asked is None else asked.descriptions).items():
        num_told = found.present + found.false
        if not num_told:
            continue
        values = {"fact": capitalised(kind_label(kind)), "false": found.false, "told": num_told}
        sources = answered(f"descriptions.{kind}.false", f"descriptions.{kind}.present")
        if found.false > MANY_FALSE * num_told:
            yield state("facts_false", "limit", sources, **values)
        else:
            yield state("facts_right", "strength", sources, **values)


def _trusted(facts: RunFacts) -> dict[str, KindScores]:
    """Return the kinds; none where the model was trained on what it was asked about."""
    asked = facts.questions
    if asked is None or any(notice.level == "error" for notice in question_notices(facts)):
        return {}
    return asked.kinds


def _masks_instead(kind: str, found: KindScores) -> Iterator[Statement]:
    """Say to take the masks' measurement where words do not beat the guess, or say nothing usable, and it is better."""
    told, measured, guess = (found.scores.get(who) for who in (MODEL, MEASURED, GUESS))
    if measured is None or guess is None:
        return
    if told is None or not _is_better(told, guess, found.metric):
        if _is_worse(measured, guess, found.metric):
            yield _state("neither", "limit", kind, found)
        elif told is None or _is_worse(told, measured, found.metric):
            yield _state("trust_masks", "next", kind, found)


def _is_worse(one: MetricSummary, other: MetricSummary, metric: str) -> bool:
    difference = mean_of(one) - mean_of(other)
    return difference > 0 if metric == "error" else difference < 0


def _is_better(one: MetricSummary, other: MetricSummary, metric: str) -> bool:
    """Say whether the whole interval of one is better; one without an interval is not."""
    ends = _ends(one)
    if ends is None:
        return False
    return ends[1] < mean_of(other) if metric == "error" else ends[0] > mean_of(other)


def _ends(summary: MetricSummary) -> tuple[float, float] | None:
    """Return the interval over patients, or mean ± two standard errors over frames; None for a single value."""
    patient, frame = summary.patient, summary.frame
    if patient is not None:
        return None if patient.low is None or patient.high is None else (patient.low, patient.high)
    if frame.sd is None:
        return None
    half = 2 * frame.sd / sqrt(frame.n)
    return frame.mean - half, frame.mean + half


def _state(code: str, role: Role, kind: str, found: KindScores, fields: tuple[str, ...] = ()) -> Statement:
    """Return a statement that prints what each who answers reached."""
    shown = {who: found.scores[who] for who in (MODEL, MEASURED, GUESS) if who in found.scores}
    fields += tuple(f"scores.{who}.{level_of(summary)}.mean" for who, summary in shown.items())
    values: dict[str, object] = {who: written(summary) for who, summary in shown.items()}
    values |= {
        "kind": capitalised(kind_label(kind)),
        "metric": say(f"answers.metric.{found.metric}"),
        "n": found.num_cases,
    }
    sources = answered(*(f"kinds.{kind}.{field}" for field in fields))
    return state(code, role, sources, **values)
