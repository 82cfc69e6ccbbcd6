"""Which cases the report shows: best, median, worst and two at random, so that nobody chooses the pictures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, Literal

from angiova.data.records import TargetKind
from angiova.evaluation.cases import Case
from angiova.evaluation.result import Picture

NUM_RANDOM: Final = 2
_SEED: Final = 20251119  # fixed, so that an evaluation computed again shows the same frames


def select_pictures(cases: Sequence[Case]) -> list[Picture]:
    """Return up to five different cases with scores, by Dice of the vessel tree, or of the first kind there is.

    Ties go by frame_id and phrase, so the choice depends on the scores alone. With fewer than five cases there are
    fewer pictures.
    """
    ranked = _ranked(cases)
    if not ranked:
        return []
    last = len(ranked) - 1
    roles: dict[int, Literal["best", "median", "worst", "random"]] = {}
    for index, role in ((last, "best"), (0, "worst"), (last // 2, "median")):
        roles.setdefault(index, role)  # type: ignore[arg-type]  # mypy widens the tuple's strings
    rest = [index for index in range(len(ranked)) if index not in roles]
    for index in random.Random(_SEED).sample(rest, min(NUM_RANDOM, len(rest))):
        roles[index] = "random"
    order = ("best", "median", "worst", "random")
    chosen = sorted(roles.items(), key=lambda item: (order.index(item[1]), item[0]))
    return [_picture(number, role, ranked[index]) for number, (index, role) in enumerate(chosen, 1)]


def _ranked(cases: Sequence[Case]) -> list[Case]:
    """Return the cases to choose from, worst first."""
    kinds = {case.kind for case in cases if case.scores is not None}
    kind = next((kind for kind in TargetKind if kind in kinds), None)
    shown = [case for case in cases if case.kind is kind and case.scores is not None]
    return sorted(shown, key=lambda case: (_dice(case), case.frame_id, case.phrase))


def _dice(case: Case) -> float:
    return case.scores["dice"] if case.scores is not None else 0.0


def _picture(number: int, role: Literal["best", "median", "worst", "random"], case: Case) -> Picture:
    scores = case.scores or {}
    return Picture(
        file=f"{number}_{role}.png",
        role=role,
        frame_id=case.frame_id,
        phrase=case.phrase,
        observer=case.observer,
        dice=scores["dice"],
        cldice=scores["cldice"],
    )
