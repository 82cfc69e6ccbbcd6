"""Which cases the report shows: best, median, worst, two at random, and failures, so that nobody chooses them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from angiova.data.records import TargetKind
from angiova.evaluation.cases import Case
from angiova.evaluation.result import Picture, PictureRole

NUM_RANDOM: Final = 2
NUM_FAILURES: Final = 3
# A case with less Dice than this failed: more of both masks is apart than in common.
FAILED_DICE: Final = 0.5
_SEED: Final = 20251119  # fixed, so that an evaluation computed again shows the same frames


def select_pictures(cases: Sequence[Case]) -> list[Picture]:
    """Return up to five different cases with scores, by Dice of the vessel tree, or of the first kind there is.

    Up to three failures follow, the worst case of each kind of target first. Ties go by frame_id and phrase, so the
    choice depends on the scores alone. With fewer than five cases there are fewer pictures.
    """
    ranked = _ranked(cases)
    if not ranked:
        return []
    last = len(ranked) - 1
    roles: dict[int, PictureRole] = {}
    for index, role in ((last, "best"), (0, "worst"), (last // 2, "median")):
        roles.setdefault(index, role)  # type: ignore[arg-type]  # mypy widens the tuple's strings
    rest = [index for index in range(len(ranked)) if index not in roles]
    for index in random.Random(_SEED).sample(rest, min(NUM_RANDOM, len(rest))):
        roles[index] = "random"
    order = ("best", "median", "worst", "random")
    chosen = sorted(roles.items(), key=lambda item: (order.index(item[1]), item[0]))
    shown: list[tuple[PictureRole, Case]] = [(role, ranked[index]) for index, role in chosen]
    shown += [("failure", case) for case in _failures(cases, [case for _, case in shown])]
    return [_picture(number, role, case) for number, (role, case) in enumerate(shown, 1)]


def _failures(cases: Sequence[Case], shown: Sequence[Case]) -> list[Case]:
    """Return failed cases that are not shown yet, the worst of every kind before the second of any."""
    rest = [case for case in cases if case.scores is not None and _dice(case) < FAILED_DICE and case not in shown]
    worst_first = sorted(rest, key=lambda case: (_dice(case), case.frame_id, case.phrase))
    turn: dict[TargetKind, int] = {}
    queue = []
    for case in worst_first:
        turn[case.kind] = turn.get(case.kind, 0) + 1
        queue.append((turn[case.kind], case))
    return [case for _, case in sorted(queue, key=lambda item: item[0])[:NUM_FAILURES]]


def _ranked(cases: Sequence[Case]) -> list[Case]:
    """Return the cases to choose from, worst first."""
    kinds = {case.kind for case in cases if case.scores is not None}
    kind = next((kind for kind in TargetKind if kind in kinds), None)
    shown = [case for case in cases if case.kind is kind and case.scores is not None]
    return sorted(shown, key=lambda case: (_dice(case), case.frame_id, case.phrase))


def _dice(case: Case) -> float:
    return case.scores["dice"] if case.scores is not None else 0.0


def _picture(number: int, role: PictureRole, case: Case) -> Picture:
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
