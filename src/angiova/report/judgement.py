"""Strengths, limits and what to do next, each derived by a rule from recorded figures; nothing here is always said.

A rule is a function that looks at the figures and yields statements, or none; `rules_result`, `rules_answers` and
`rules_training` hold them with the limits that they compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

from angiova.report import rules_answers, rules_result, rules_training
from angiova.report.content import Block, Notice, Paragraph, Section
from angiova.report.facts import RunFacts
from angiova.report.statement import Role, Statement
from angiova.report.wording import say

Rule = Callable[[RunFacts], Iterator[Statement]]

RULES: Final[tuple[Rule, ...]] = (
    rules_result.patients,
    rules_result.leakage,
    rules_result.certainty,
    rules_result.centreline,
    rules_result.balance,
    rules_result.pieces,
    rules_result.thin_vessels,
    rules_result.divisions,
    rules_result.missed,
    rules_result.names,
    rules_result.calibration,
    rules_answers.words,
    rules_answers.descriptions,
    rules_training.convergence,
    rules_training.clipping,
    rules_training.validation,
    rules_training.resources,
    rules_training.warnings_seen,
)

_LEVELS: Final[dict[Role, Literal["good", "warning"]]] = {"strength": "good", "limit": "warning"}


def statements(facts: RunFacts) -> list[Statement]:
    """Return everything that the rules find, in their order."""
    return [statement for rule in RULES for statement in rule(facts)]


def judgement_section(facts: RunFacts) -> Section:
    """Return the strengths and limits that follow from the figures."""
    found = statements(facts)
    blocks: list[Block] = [Paragraph(say("judgement.how"))]
    for role, level in _LEVELS.items():
        chosen = [statement for statement in found if statement.role == role]
        blocks.append(Paragraph(say(f"judgement.{role}s" if chosen else f"judgement.no_{role}s", n=len(chosen))))
        blocks += [Notice(level, s.text, s.sources) for s in chosen]
    return Section("judgement", say("judgement.title"), tuple(blocks))


def next_section(facts: RunFacts) -> Section:
    """Return what to do next, as far as the figures say."""
    chosen = [statement for statement in statements(facts) if statement.role == "next"]
    blocks: list[Block] = [Notice("note", s.text, s.sources) for s in chosen]
    return Section("next", say("next.title"), tuple(blocks or [Paragraph(say("next.none"))]))
