"""The first screen of the report: what the model is, the honest result, and everything that speaks against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from angiova.data.records import Finding, Origin, Severity, Split
from angiova.evaluation.result import Evaluation, MetricSummary
from angiova.report import formats
from angiova.report.answered import question_notices
from angiova.report.audit.finding import AuditFinding
from angiova.report.configuration import whole_model
from angiova.report.content import Card, Notice, Source
from angiova.report.course import total_seconds
from angiova.report.facts import FINISHED, RunFacts
from angiova.report.results import chance_sentences, main_kind
from angiova.report.text import Text, capitalised, joined
from angiova.report.values import EVALUATION_FILE, of_evaluation, of_run
from angiova.report.wording import say, say_if_known
from angiova.run_record import RUN_NAME


def headline(facts: RunFacts) -> Iterator[Text]:
    """Yield the sentences that open the report."""
    record, whole = facts.record, whole_model(facts.record)
    if record.model_parts:
        yield say(
            "headline.model",
            preset=record.model_preset,
            total=formats.millions(whole.total),
            trainable=formats.millions(whole.trainable),
            share=formats.percent(whole.trainable, whole.total),
        )
    else:  # a filter has none, and nnU-Net's files are not opened
        yield say("headline.uncounted", preset=record.model_preset)
    if facts.evaluation is None:
        yield say("headline.none")
        return
    yield evaluated_on(facts.evaluation, same_data=facts.same_data)
    if facts.evaluation.split is Split.VAL:
        yield say("headline.chosen")
    if facts.evaluation.is_trustworthy:
        yield from _result(facts.evaluation)
        yield from chance_sentences(facts.evaluation)
    else:
        yield say("notice.untrusted")


def evaluated_on(evaluation: Evaluation, *, same_data: bool) -> Text:
    """Return on what the model was evaluated; "never trained on" is claimed only where the record shows it."""
    values = {"frames": formats.count(evaluation.num_frames), "split": evaluation.split.value}
    if evaluation.split is Split.TRAIN and same_data:
        return say("headline.trainsplit", **values)
    if not same_data:
        return say("headline.otherdata", **values)
    if evaluation.num_patients is None:
        return say("headline.frames", **values)
    if evaluation.num_patients_in_training:
        return say("headline.trained", patients=evaluation.num_patients_in_training, **values)
    return say("headline.unseen", patients=evaluation.num_patients, **values)


def cards(facts: RunFacts) -> Iterator[Card]:
    """Yield the figures set large; where they cannot be trusted their place says so instead."""
    if facts.evaluation is not None:
        yield from _score_cards(facts.evaluation)
    record, whole = facts.record, whole_model(facts.record)
    if record.model_parts:
        detail = say("card.parameters_detail", total=formats.millions(whole.total))
        trained = of_run(formats.millions(whole.trainable), whole.trainable, "model_parts.*.trainable")
        yield Card(say("card.parameters"), trained, detail)
    seconds = total_seconds(record)
    if seconds is not None:
        steps = say("card.time_detail", steps=formats.count(record.progress.optimizer_steps))
        yield Card(say("card.time"), of_run(formats.duration(seconds), seconds, "resources.seconds.total"), steps)


# What other notices and the evaluation's own findings say already.
_SAID_ELSEWHERE = frozenset({"files-missing", "not-finished", "train-test-overlap"})


def notices(facts: RunFacts, audited: Sequence[AuditFinding] = ()) -> Iterator[Notice]:
    """Yield everything that speaks against the figures, worst first."""
    yield from _contradictions(facts, audited)
    yield from (notice for notice in question_notices(facts) if notice.level == "error")
    record, evaluation = facts.record, facts.evaluation
    findings = [] if evaluation is None else evaluation.findings
    for severity in Severity:
        yield from (_of_finding(finding) for finding in findings if finding.severity is severity)
    if record.data.frames_are_independent:
        yield Notice("warning", say("notice.independent"), (Source(RUN_NAME, "data.frames_are_independent"),))
    if evaluation is not None:
        yield from _origins(evaluation)
    if record.status not in FINISHED:
        done, planned = record.progress.optimizer_steps, record.progress.planned_optimizer_steps
        text = say("notice.status", status=record.status, done=done, planned=planned)
        yield Notice("warning", text, (Source(RUN_NAME, "status"), Source(RUN_NAME, "progress")))
    if facts.missing:
        yield Notice("warning", say("notice.missing", names=", ".join(facts.missing)))


def _contradictions(facts: RunFacts, audited: Sequence[AuditFinding]) -> Iterator[Notice]:
    """Yield what the run's own figures contradict, unless a finding of the evaluation says it."""
    evaluation = facts.evaluation
    said = _SAID_ELSEWHERE | {finding.code for finding in (() if evaluation is None else evaluation.findings)}
    for finding in audited:
        if finding.code not in said:
            lines = "; ".join(finding.arithmetic)
            text = say(
                "notice.audit", code=finding.code, message=finding.message, where=finding.where, arithmetic=lines
            )
            yield Notice(finding.severity.value, text)


def _result(evaluation: Evaluation) -> Iterator[Text]:
    """Yield the result of the main kind, if anything was scored."""
    kind = main_kind(evaluation)
    if kind is None:
        return
    metrics = evaluation.kinds[kind].metrics
    dice, detail = _mean(metrics["dice"], "headline.patients")
    cldice, _ = _mean(metrics["cldice"])
    yield say("headline.result", kind=capitalised(say(f"kind.{kind}")), dice=dice, cldice=cldice, detail=detail)


def _score_cards(evaluation: Evaluation) -> Iterator[Card]:
    kind = main_kind(evaluation)
    for metric in ("dice", "cldice") if kind is not None else ():
        summary = evaluation.kinds[str(kind)].metrics[metric]
        value, detail = _mean(summary)
        level = "frame" if summary.patient is None else "patient"
        field = f"kinds.{kind}.metrics.{metric}.{level}.mean"
        yield _score_card(say(f"card.{metric}", kind=say(f"kind.{kind}")), value, detail, field, evaluation)
    if evaluation.chance is not None:
        interval = evaluation.chance.interval
        unit = say(f"unit.{evaluation.chance.unit}")
        detail = say("card.margin_detail", interval=formats.interval(interval), n=interval.n, unit=unit)
        yield _score_card(say("card.margin"), f"{evaluation.chance.margin:+.3f}", detail, "chance.margin", evaluation)


def _score_card(label: Text, value: str, detail: Text, field: str, evaluation: Evaluation) -> Card:
    trusted = evaluation.is_trustworthy
    shown = of_evaluation(value, float(value), field)
    return Card(label, shown, detail if trusted else say("card.untrusted"), trusted)


def _mean(metric: MetricSummary, sentence: str = "card.patients") -> tuple[str, Text]:
    """Return the mean over patients, or over frames where patients are unknown, and what it is a mean of."""
    patient = metric.patient
    if patient is None:
        return f"{metric.frame.mean:.3f}", say("card.frames", n=metric.frame.n)
    if patient.low is None:
        return f"{patient.mean:.3f}", say("card.patients_alone", n=patient.n)
    return f"{patient.mean:.3f}", say(sentence, n=patient.n, interval=formats.interval(patient))


def _of_finding(finding: Finding) -> Notice:
    title = say_if_known(f"finding.{finding.code}", finding.code)
    parts = (f"{finding.where}: {finding.message}. {finding.remedy.capitalize()}").rstrip(". ") + "."
    return Notice(finding.severity.value, joined([title, parts], " "), (Source(EVALUATION_FILE, "findings"),))


def _origins(evaluation: Evaluation) -> Iterator[Notice]:
    total = sum(evaluation.origins.values())
    for origin in (Origin.SIMULATED, Origin.PSEUDO):
        number = evaluation.origins.get(origin.value, 0)
        if number:
            source = Source(EVALUATION_FILE, f"origins.{origin.value}")
            yield Notice("warning", say(f"notice.{origin.value}", n=number, total=total), (source,))
