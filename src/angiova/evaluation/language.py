"""Answers in words beside the truth: accuracy, sets of segments, errors of numbers, facts of descriptions.

Facts are compared, never wordings. Three answer beside each other: the model, what is measured on the masks that it
draws, and the best guess that needs no image (the answer that is most often right to the same question among the very
frames evaluated, which flatters it).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

from angiova.data.questions.kinds import Asked, Kind, Value
from angiova.evaluation.result import MetricSummary
from angiova.evaluation.statistics import Observation, summarise
from angiova.morphology.anatomy import Side

MODEL: Final = "model"
MEASURED: Final = "measured"
GUESS: Final = "guess"
NUMBERS: Final = (Kind.BRANCHES, Kind.NARROWEST, Kind.BEST_FRAME)


@dataclass(frozen=True, slots=True)
class AnsweredCase:
    """One thing asked about one frame.

    Attributes:
        frame_id: the frame.
        run: its run.
        patient: its patient, where known.
        question: the words of the question.
        language: of the question.
        asked: what it asks.
        truth: the right answer.
        words: what the model said.
        said: what each of those who answer says, by name; None for nothing that is usable.
        is_description: whether the fact was one of a description.
    """

    frame_id: str
    run: str
    patient: str | None
    question: str
    language: str
    asked: Asked
    truth: Value
    words: str
    said: Mapping[str, Value | None]
    is_description: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the case as JSON."""
        return {
            "frame": self.frame_id,
            "run": self.run,
            "patient": self.patient,
            "question": self.question,
            "language": self.language,
            "kind": self.asked.kind.value,
            "threshold": self.asked.threshold,
            "segment": self.asked.segment,
            "is_description": self.is_description,
            "words": self.words,
            "truth": _plain(self.truth),
            "said": {name: _plain(value) for name, value in self.said.items()},
        }


@dataclass(frozen=True, slots=True)
class KindResult:
    """How well questions of a kind are answered.

    Attributes:
        metric: `accuracy`; `F1` of the segments named; `error` of a number, absolute, of those that are usable.
        num_cases: questions asked.
        num_unusable: of each who answers, how many answers say nothing usable; wrong, but in no mean of errors.
        scores: the metric of each who answers, over frames and, where known, patients; none without a usable answer.
    """

    metric: str
    num_cases: int
    num_unusable: Mapping[str, int]
    scores: Mapping[str, MetricSummary]

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "metric": self.metric,
            "num_cases": self.num_cases,
            "num_unusable": dict(self.num_unusable),
            "scores": {name: summary.model_dump() for name, summary in self.scores.items()},
        }


@dataclass(frozen=True, slots=True)
class DescriptionResult:
    """The facts of descriptions.

    Attributes:
        num_present: facts that are told, and right.
        num_missing: facts of which nothing is told.
        num_false: facts that are told, and wrong.
    """

    num_present: int
    num_missing: int
    num_false: int


def with_guesses(cases: Sequence[AnsweredCase]) -> list[AnsweredCase]:
    """Return the cases with the best answer that needs no image added to each."""
    guesses = {asked: _best_guess(asked, truths) for asked, truths in _truths(cases).items()}
    return [replace(case, said=dict(case.said) | {GUESS: guesses[case.asked]}) for case in cases]


def results_by_kind(cases: Sequence[AnsweredCase]) -> dict[str, KindResult]:
    """Return how well each kind is answered by each who answers; facts of descriptions are left out."""
    groups: dict[Kind, list[AnsweredCase]] = defaultdict(list)
    for case in cases:
        if not case.is_description:
            groups[case.asked.kind].append(case)
    return {kind.value: _result(kind, groups[kind]) for kind in Kind if kind in groups}


def description_results(cases: Sequence[AnsweredCase]) -> dict[str, DescriptionResult]:
    """Return the facts of descriptions present, missing and false, of each kind of fact."""
    found = {}
    for kind in Kind:
        own = [case for case in cases if case.is_description and case.asked.kind is kind]
        if own:
            missing = sum(case.said[MODEL] is None for case in own)
            present = sum(is_right(case, MODEL) for case in own)
            found[kind.value] = DescriptionResult(present, missing, len(own) - present - missing)
    return found


def is_right(case: AnsweredCase, name: str) -> bool:
    """Say whether an answer is right: equal, numbers within half a branch or one pixel."""
    said = case.said[name]
    if said is None:
        return False
    if case.asked.kind in NUMBERS:
        assert isinstance(said, float)
        assert isinstance(case.truth, float)
        return abs(said - case.truth) <= (1.0 if case.asked.kind is Kind.NARROWEST else 0.5)
    return said == case.truth


def wrong_answers(cases: Sequence[AnsweredCase], of_a_kind: int) -> list[int]:
    """Return the places of up to `of_a_kind` wrong answers of each kind, spread over those of the kind.

    Facts of descriptions are left out: each has a question of its own.
    """
    chosen: list[int] = []
    for kind in Kind:
        wrong = [
            place
            for place, case in enumerate(cases)
            if case.asked.kind is kind and not case.is_description and not is_right(case, MODEL)
        ]
        shown = min(of_a_kind, len(wrong))
        chosen += [wrong[number * len(wrong) // shown] for number in range(shown)]
    return chosen


def set_f1(truth: frozenset[str], said: frozenset[str]) -> float:
    """Return the F1 of named segments: 2 TP / (2 TP + FP + FN); 1 for two empty sets."""
    total = len(truth) + len(said)
    return 2 * len(truth & said) / total if total else 1.0


def rows_of(results: Mapping[str, KindResult]) -> Iterator[str]:
    """Yield a table in Markdown, a row a kind: means over patients with 95 % intervals, else over frames."""
    names = (MODEL, MEASURED, GUESS)
    shown = [name for name in names if any(name in result.num_unusable for result in results.values())]
    yield "| question | metric | asked | " + " | ".join(shown) + " | no usable answer |"
    yield "| --- " * (len(shown) + 4) + "|"
    for kind, result in results.items():
        cells = [_cell(result, name) for name in shown]
        unusable = result.num_unusable.get(MODEL, 0)
        yield f"| {kind} | {result.metric} | {result.num_cases} | " + " | ".join(cells) + f" | {unusable} |"


def _cell(result: KindResult, name: str) -> str:
    summary = result.scores.get(name)
    if summary is None:
        return ""
    found = summary.patient
    if found is None or found.low is None or found.high is None:
        return f"{summary.frame.mean:.3f}"
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _result(kind: Kind, cases: Sequence[AnsweredCase]) -> KindResult:
    metric, score = _metric_of(kind)
    unusable: dict[str, int] = {}
    scores: dict[str, MetricSummary] = {}
    for name in cases[0].said:
        values = [(case, score(case, name)) for case in cases]
        unusable[name] = sum(case.said[name] is None for case in cases)
        found = [Observation(c.frame_id, c.run, c.patient, value) for c, value in values if value is not None]
        if found:
            scores[name] = summarise(found)
    return KindResult(metric, len(cases), unusable, scores)


def _metric_of(kind: Kind) -> tuple[str, Callable[[AnsweredCase, str], float | None]]:
    if kind is Kind.SEGMENTS:
        return "F1", _f1
    return ("error", _error) if kind in NUMBERS else ("accuracy", lambda case, name: float(is_right(case, name)))


def _f1(case: AnsweredCase, name: str) -> float:
    said = case.said[name]
    assert isinstance(case.truth, frozenset)
    return set_f1(case.truth, said) if isinstance(said, frozenset) else 0.0


def _error(case: AnsweredCase, name: str) -> float | None:
    said = case.said[name]
    assert isinstance(case.truth, float)
    return abs(said - case.truth) if isinstance(said, float) else None


def _truths(cases: Sequence[AnsweredCase]) -> dict[Asked, list[Value]]:
    truths: dict[Asked, list[Value]] = defaultdict(list)
    for case in cases:
        truths[case.asked].append(case.truth)
    return truths


def _best_guess(asked: Asked, truths: Sequence[Value]) -> Value:
    """Return the answer that does best where nothing is seen: the most frequent, the median, or a set.

    Of sets of segments it is the set, among those of the most frequent segments, that has the highest mean F1.
    """
    if asked.kind in NUMBERS:
        return float(median(truth for truth in truths if isinstance(truth, float)))
    if asked.kind is not Kind.SEGMENTS:
        return Counter(truths).most_common(1)[0][0]
    sets = [truth for truth in truths if isinstance(truth, frozenset)]
    frequent = [number for number, _ in Counter(n for truth in sets for n in truth).most_common()]
    candidates = [frozenset(frequent[:count]) for count in range(1, len(frequent) + 1)]
    return max(candidates, key=lambda guess: sum(set_f1(truth, guess) for truth in sets))


def _plain(value: Value | None) -> bool | float | str | list[str] | None:
    if isinstance(value, Side):
        return value.value
    return sorted(value) if isinstance(value, frozenset) else value
