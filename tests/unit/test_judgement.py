"""Strengths, limits and next steps follow from figures: each appears where its figure says so, and not elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from angiova.evaluation.result import Evaluation
from angiova.report.facts import RunFacts, read_facts
from angiova.report.judgement import statements
from angiova.run_record import DeviceMemory, StepTime
from runs import make_run

TREE = ("kinds", "vessel_tree", "metrics")


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> RunFacts:
    return read_facts(make_run(tmp_path_factory.mktemp("judged")))


def codes(facts: RunFacts) -> set[str]:
    return {f"{statement.role}.{statement.code}" for statement in statements(facts)}


def evaluated(facts: RunFacts, *path: str, **values: object) -> RunFacts:
    """Set fields of the evaluation at a path."""
    assert facts.evaluation is not None
    content: dict[str, Any] = facts.evaluation.model_dump(mode="json")
    place = content
    for name in path:
        place = place[name]
    place.update(values)
    return replace(facts, evaluation=Evaluation.model_validate(content))


def means(facts: RunFacts, **by_metric: float) -> RunFacts:
    """Set the mean over patients of metrics of the vessel tree."""
    for name, mean in by_metric.items():
        facts = evaluated(facts, *TREE, name, "patient", mean=mean)
    return facts


def losses(facts: RunFacts, course: Callable[[int], float]) -> RunFacts:
    lines = [{"optimizer_step": n, "loss": course(n), "lr": 1e-5, "losses": {}} for n in range(1, 101)]
    return replace(facts, training=lines)


def looks(facts: RunFacts, *scores: float) -> RunFacts:
    lines = [{"optimizer_step": 10 * n, "validation": {"score": score}} for n, score in enumerate(scores, 1)]
    return replace(facts, validation=lines)


def device(facts: RunFacts, reserved: int) -> RunFacts:
    record = facts.record.model_copy(deep=True)
    record.resources.devices = [
        DeviceMemory(name="gpu", total_bytes=100, peak_allocated_bytes=reserved, peak_reserved_bytes=reserved)
    ]
    return replace(facts, record=record)


def step_time(facts: RunFacts, seconds: float) -> RunFacts:
    record = facts.record.model_copy(deep=True)
    record.resources.optimizer_step = StepTime(count=100, mean=seconds, median=seconds, longest=seconds)
    return replace(facts, record=record)


def warned(facts: RunFacts) -> RunFacts:
    record = facts.record.model_copy(deep=True)
    record.warnings = {"cache flushed": 3}
    return replace(facts, record=record)


def calibres(facts: RunFacts, thin: float, thick: float) -> RunFacts:
    """Give the vessel tree a recall of thin and of thick branches."""
    assert facts.evaluation is not None
    like = facts.evaluation.kinds["vessel_tree"].metrics["recall"].model_dump(mode="json")
    for name in ("recall_thin", "recall_thick"):
        facts = evaluated(facts, *TREE, **{name: like})
    return means(facts, recall_thin=thin, recall_thick=thick)


def shared(facts: RunFacts, files: int) -> RunFacts:
    found = {"num_training_frames": 200, "num_shared_patients": 0, "num_shared_files": files, "num_near_duplicates": 0}
    return evaluated(facts, leakage=found)


def groups(facts: RunFacts, name: str, **means_by_group: float) -> RunFacts:
    """Divide the result: each group is the vessel tree with another mean Dice over frames."""
    assert facts.evaluation is not None
    for group, mean in means_by_group.items():
        tree = facts.evaluation.kinds["vessel_tree"].model_dump(mode="json")
        tree["metrics"]["dice"]["frame"]["mean"] = mean
        facts = evaluated(facts, name, **{group: tree})
    return facts


def calibrated(facts: RunFacts, error: float) -> RunFacts:
    bins = [{"low": 0.0, "high": 1.0, "num_pixels": 10, "num_vessel": 4, "mean_probability": 0.5}]
    found = {"bins": bins, "ece": 0.01, "ece_foreground": error, "num_cases": 8, "num_without": 0}
    return evaluated(facts, calibration={"vessel_tree": found})


CASES: dict[str, tuple[Callable[[RunFacts], RunFacts], set[str], set[str]]] = {
    "simulated": (lambda f: f, {"limit.simulated", "next.real_patients"}, set()),
    "real": (
        lambda f: evaluated(f, origins={"expert": 24}),
        set(),
        {"limit.simulated", "next.real_patients"},
    ),
    "unseen": (lambda f: f, {"strength.unseen"}, {"limit.patients_unknown"}),
    "not evaluated": (lambda f: replace(f, evaluation=None), {"next.evaluate"}, {"strength.unseen"}),
    "wide": (
        lambda f: evaluated(f, *TREE, "dice", "patient", low=0.6, high=0.8),
        {"limit.wide", "next.more_patients"},
        {"strength.narrow"},
    ),
    "narrow": (
        lambda f: evaluated(f, *TREE, "dice", "patient", low=0.69, high=0.71),
        {"strength.narrow"},
        {"limit.wide", "next.more_patients"},
    ),
    "gaps": (
        lambda f: means(f, dice=0.8, cldice=0.7),
        {"limit.gaps", "next.close_gaps"},
        {"strength.followed"},
    ),
    "followed": (lambda f: means(f, dice=0.8, cldice=0.85), {"strength.followed"}, {"limit.gaps"}),
    "neither": (lambda f: means(f, dice=0.8, cldice=0.78), set(), {"limit.gaps", "strength.followed"}),
    "too much": (
        lambda f: means(f, precision=0.6, recall=0.9),
        {"limit.too_much", "next.raise_threshold"},
        {"strength.balanced", "limit.too_little"},
    ),
    "too little": (
        lambda f: means(f, precision=0.9, recall=0.6),
        {"limit.too_little", "next.lower_threshold"},
        {"strength.balanced", "limit.too_much"},
    ),
    "balanced": (lambda f: means(f, precision=0.8, recall=0.82), {"strength.balanced"}, {"limit.too_much"}),
    "thin lost": (
        lambda f: calibres(f, thin=0.5, thick=0.9),
        {"limit.thin_lost", "next.sharper"},
        {"strength.thin_found"},
    ),
    "thin found": (lambda f: calibres(f, thin=0.9, thick=0.9), {"strength.thin_found"}, {"limit.thin_lost"}),
    "thin a little worse": (
        lambda f: calibres(f, thin=0.83, thick=0.9),
        set(),
        {"strength.thin_found", "limit.thin_lost"},
    ),
    "shared files": (lambda f: shared(f, 3), {"limit.shared", "next.split_again"}, {"strength.nothing_shared"}),
    "nothing shared": (lambda f: shared(f, 0), {"strength.nothing_shared"}, {"limit.shared", "next.split_again"}),
    "pieces": (lambda f: means(f, b0_error=3.0), {"limit.pieces"}, set()),
    "one piece": (lambda f: means(f, b0_error=0.5), set(), {"limit.pieces"}),
    "views differ": (
        lambda f: groups(f, "views", LAO=0.6, RAO=0.8),
        {"limit.uneven_views", "next.more_views"},
        {"limit.uneven_phases"},
    ),
    "views alike": (lambda f: groups(f, "views", LAO=0.75, RAO=0.8), set(), {"limit.uneven_views"}),
    "phases differ": (
        lambda f: groups(f, "phases", filling=0.5, full=0.8),
        {"limit.uneven_phases", "next.more_phases"},
        {"limit.uneven_views"},
    ),
    "uncalibrated": (
        lambda f: calibrated(f, 0.2),
        {"limit.uncalibrated", "next.choose_threshold"},
        {"strength.calibrated"},
    ),
    "calibrated": (lambda f: calibrated(f, 0.02), {"strength.calibrated"}, {"limit.uncalibrated"}),
    "missed": (
        lambda f: evaluated(f, "kinds", "vessel_tree", num_missed=3),
        {"limit.missed", "next.raise_presence"},
        set(),
    ),
    "unusable": (
        lambda f: evaluated(f, *TREE, "dice", "patient", mean=0.2, low=0.1, high=0.3),
        {"limit.unusable", "next.learn_kind"},
        set(),
    ),
    "names at chance": (
        lambda f: evaluated(f, "chance", "interval", low=-0.1),
        {"limit.names_at_chance", "next.teach_names"},
        {"strength.names_followed"},
    ),
    "names followed": (
        lambda f: evaluated(f, "chance", "interval", low=0.1),
        {"strength.names_followed"},
        {"limit.names_at_chance", "next.teach_names"},
    ),
    "falling": (
        lambda f: losses(f, lambda n: 10.0 * 0.99**n),
        {"limit.still_falling", "next.train_longer"},
        {"strength.converged"},
    ),
    "settled": (
        lambda f: losses(f, lambda n: 1.0 + 9.0 * 0.5 ** min(n, 20) + 0.01 * (n % 2)),
        {"strength.converged", "strength.steady"},
        {"limit.still_falling", "next.train_longer"},
    ),
    "rising": (
        lambda f: losses(f, lambda n: 5.0 - 0.05 * n if n < 50 else 2.5 + 0.05 * (n - 50)),
        {"limit.rising", "next.lower_rate"},
        {"strength.converged"},
    ),
    "spikes": (
        lambda f: losses(f, lambda n: 50.0 if n == 60 else 1.0 + 0.01 * (n % 3)),
        {"limit.spikes"},
        {"strength.steady"},
    ),
    "one look": (lambda f: looks(f, 0.5), {"next.validate_more"}, {"next.still_improving"}),
    "overfitted": (
        lambda f: looks(f, 0.5, 0.8, 0.7),
        {"limit.overfitted", "next.stop_earlier"},
        {"next.validate_more", "next.still_improving"},
    ),
    "improving": (
        lambda f: looks(f, 0.5, 0.7, 0.8),
        {"next.still_improving"},
        {"limit.overfitted", "next.stop_earlier"},
    ),
    "memory spare": (lambda f: device(f, 40), {"next.larger_micro_batch"}, {"limit.memory_tight"}),
    "memory tight": (lambda f: device(f, 97), {"limit.memory_tight"}, {"next.larger_micro_batch"}),
    "memory well used": (lambda f: device(f, 80), set(), {"limit.memory_tight", "next.larger_micro_batch"}),
    "waiting": (lambda f: step_time(f, 20.0), {"next.waiting"}, set()),  # 2,000 of 3,663 s
    "not waiting": (lambda f: step_time(f, 36.0), set(), {"next.waiting"}),
    "warnings": (warned, {"limit.warnings"}, set()),
    "no warnings": (lambda f: f, set(), {"limit.warnings"}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_rule_speaks_where_its_figure_does(name: str, facts: RunFacts) -> None:
    change, expected, excluded = CASES[name]
    found = codes(change(facts))
    assert expected <= found
    assert not excluded & found


def test_a_phase_without_any_vessel_is_not_compared_with_the_others(facts: RunFacts) -> None:
    divided = groups(facts, "phases", none=0.0, full=0.8)
    empty = evaluated(divided, "phases", "none", num_targets=2, num_false=1, num_absent=1)
    assert "limit.uneven_phases" in codes(divided)
    assert "limit.uneven_phases" not in codes(empty)


def test_statements_print_the_figures_that_made_them(facts: RunFacts) -> None:
    wide = evaluated(facts, *TREE, "dice", "patient", n=6, low=0.667, high=0.851)
    text = next(s.text for s in statements(wide) if s.code == "more_patients")
    # the half width of 0.092 shrinks to 0.05 with (0.092 / 0.05)^2 = 3.39 times as many patients: 20.3, so 21
    assert "about 21 patients" in text.en
    assert "21" in text.zh
    assert "± 0.092" in text.en


def test_figures_that_cannot_be_trusted_make_no_strength_of_the_model(tmp_path: Path) -> None:
    found = codes(read_facts(make_run(tmp_path, perfect=True)))
    assert found & {"strength.narrow", "strength.followed", "strength.balanced", "strength.names_followed"} == set()
