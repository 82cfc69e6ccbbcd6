"""The first screen of the report: what the model is, the honest result, and everything that speaks against it."""

from __future__ import annotations

from collections.abc import Iterator

from angiova.data.records import Finding, Origin, Severity, Split
from angiova.evaluation.result import Evaluation, MetricSummary
from angiova.report import formats
from angiova.report.content import Card, Notice
from angiova.report.facts import FINISHED, RunFacts
from angiova.report.results import chance_sentences, main_kind
from angiova.report.training import whole_model
from angiova.report.wording import Words


def headline(facts: RunFacts, words: Words) -> Iterator[str]:
    """Yield the sentences that open the report."""
    record, whole = facts.record, whole_model(facts.record)
    yield words(
        "headline.model",
        preset=record.model_preset,
        total=formats.millions(whole.total),
        trainable=formats.millions(whole.trainable),
        share=formats.percent(whole.trainable, whole.total),
    )
    if facts.evaluation is None:
        yield words("headline.none")
        return
    yield evaluated_on(facts.evaluation, words, same_data=facts.same_data)
    if facts.evaluation.split is Split.VAL:
        yield words("headline.chosen")
    if facts.evaluation.is_trustworthy:
        yield from _result(facts.evaluation, words)
        yield from chance_sentences(facts.evaluation, words)
    else:
        yield words("notice.untrusted")


def evaluated_on(evaluation: Evaluation, words: Words, *, same_data: bool) -> str:
    """Return on what the model was evaluated; "never trained on" is claimed only where the record shows it."""
    values = {"frames": formats.count(evaluation.num_frames), "split": evaluation.split.value}
    if evaluation.split is Split.TRAIN and same_data:
        return words("headline.trainsplit", **values)
    if not same_data:
        return words("headline.otherdata", **values)
    if evaluation.num_patients is None:
        return words("headline.frames", **values)
    if evaluation.num_patients_in_training:
        return words("headline.trained", patients=evaluation.num_patients_in_training, **values)
    return words("headline.unseen", patients=evaluation.num_patients, **values)


def cards(facts: RunFacts, words: Words) -> Iterator[Card]:
    """Yield the figures set large; where they cannot be trusted their place says so instead."""
    if facts.evaluation is not None:
        yield from _score_cards(facts.evaluation, words)
    whole, progress = whole_model(facts.record), facts.record.progress
    detail = words("card.parameters_detail", total=formats.millions(whole.total))
    yield Card(words("card.parameters"), formats.millions(whole.trainable), detail)
    seconds = facts.record.resources.seconds
    if seconds:
        total = seconds.get("total", sum(seconds.values()))
        steps = words("card.time_detail", steps=formats.count(progress.optimizer_steps))
        yield Card(words("card.time"), formats.duration(total), steps)


def notices(facts: RunFacts, words: Words) -> Iterator[Notice]:
    """Yield everything that speaks against the figures, worst first."""
    record, evaluation = facts.record, facts.evaluation
    findings = [] if evaluation is None else evaluation.findings
    for severity in Severity:
        yield from (_of_finding(finding, words) for finding in findings if finding.severity is severity)
    if record.data.frames_are_independent:
        yield Notice("warning", words("notice.independent"))
    if evaluation is not None:
        yield from _origins(evaluation, words)
    if record.status not in FINISHED:
        done, planned = record.progress.optimizer_steps, record.progress.planned_optimizer_steps
        yield Notice("warning", words("notice.status", status=record.status, done=done, planned=planned))
    if facts.missing:
        yield Notice("warning", words("notice.missing", names=", ".join(facts.missing)))


def _result(evaluation: Evaluation, words: Words) -> Iterator[str]:
    """Yield the result of the main kind, if anything was scored."""
    kind = main_kind(evaluation)
    if kind is None:
        return
    metrics = evaluation.kinds[kind].metrics
    dice, detail = _mean(metrics["dice"], words, "headline.patients")
    cldice, _ = _mean(metrics["cldice"], words)
    name = words(f"kind.{kind}")
    yield words("headline.result", kind=name[0].upper() + name[1:], dice=dice, cldice=cldice, detail=detail)


def _score_cards(evaluation: Evaluation, words: Words) -> Iterator[Card]:
    kind = main_kind(evaluation)
    for metric in ("dice", "cldice") if kind is not None else ():
        value, detail = _mean(evaluation.kinds[str(kind)].metrics[metric], words)
        yield _score_card(words(f"card.{metric}", kind=words(f"kind.{kind}")), value, detail, evaluation, words)
    if evaluation.chance is not None:
        interval = evaluation.chance.interval
        unit = words(f"unit.{evaluation.chance.unit}")
        detail = words("card.margin_detail", interval=formats.interval(interval), n=interval.n, unit=unit)
        yield _score_card(words("card.margin"), f"{evaluation.chance.margin:+.3f}", detail, evaluation, words)


def _score_card(label: str, value: str, detail: str, evaluation: Evaluation, words: Words) -> Card:
    trusted = evaluation.is_trustworthy
    return Card(label, value, detail if trusted else words("card.untrusted"), trusted)


def _mean(metric: MetricSummary, words: Words, sentence: str = "card.patients") -> tuple[str, str]:
    """Return the mean over patients, or over frames where patients are unknown, and what it is a mean of."""
    patient = metric.patient
    if patient is None:
        return f"{metric.frame.mean:.3f}", words("card.frames", n=metric.frame.n)
    if patient.low is None:
        return f"{patient.mean:.3f}", words("card.patients_alone", n=patient.n)
    return f"{patient.mean:.3f}", words(sentence, n=patient.n, interval=formats.interval(patient))


def _of_finding(finding: Finding, words: Words) -> Notice:
    title = words.optional(f"finding.{finding.code}") or finding.code
    text = words(
        "notice.finding", title=title, where=finding.where, message=finding.message, remedy=finding.remedy.capitalize()
    )
    return Notice(finding.severity.value, text.rstrip(". ") + ".")


def _origins(evaluation: Evaluation, words: Words) -> Iterator[Notice]:
    total = sum(evaluation.origins.values())
    for origin in (Origin.SIMULATED, Origin.PSEUDO):
        number = evaluation.origins.get(origin.value, 0)
        if number:
            yield Notice("warning", words(f"notice.{origin.value}", n=number, total=total))
