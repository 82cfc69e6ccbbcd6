"""Evaluation counts what is missing, believes nothing that cannot be true, and can be computed again from its files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from angiova.data import rle
from angiova.data.manifest import Manifest, Provenance, write_dataset
from angiova.data.pixels import read_pixels, write_png
from angiova.data.records import FrameRecord, Origin, Prediction, Severity, Split, Target, TargetKind
from angiova.data.rle import Rle
from angiova.errors import ConfigError, DataError
from angiova.evaluation.cases import Outcome
from angiova.evaluation.evaluate import evaluate, evaluate_files
from angiova.evaluation.metrics import SHARE_METRICS
from angiova.evaluation.result import Evaluation
from angiova.evaluation.store import frames_table, read_evaluation, read_frames, write_evaluation
from angiova.evaluation.views import view_of

SIDE = 16
LEFT, RIGHT = "proximal LAD", "mid LAD"


def box(top: int, height: int, left: int = 2, width: int = 10) -> Rle:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top : top + height, left : left + width] = True
    return rle.encode(mask)


NOTHING = rle.empty(SIDE, SIDE)
BOX = box(4, 4)  # 40 pixels
LOWER = box(6, 4)  # half of BOX: Dice 2 * 20 / 80 = 0.5


def tree(mask: Rle, observer: str | None = None) -> Target:
    return Target("coronary artery tree", TargetKind.VESSEL_TREE, mask, Origin.SIMULATED, observer)


def segment(number: str, phrase: str, mask: Rle) -> Target:
    return Target(phrase, TargetKind.SEGMENT, mask, Origin.MANUAL, segment=number)


def frame(name: str, targets: Sequence[Target], patient: str | None = "A", split: Split = Split.TEST) -> FrameRecord:
    return FrameRecord(
        name,
        f"images/{name}.png",
        SIDE,
        SIDE,
        "s",
        "0",
        f"run-{patient}",
        0,
        patient,
        targets=tuple(targets),
        split=split,
    )


def answer(name: str, mask: Rle | None, phrase: str = "coronary artery tree") -> Prediction:
    return Prediction(name, phrase, mask, presence=0.9)


def dataset(folder: Path, records: Sequence[FrameRecord], independent: bool = False) -> Manifest:
    for record in records:
        write_png(folder / record.image, np.full((SIDE, SIDE), 120, dtype=np.uint8))
    return write_dataset(folder, records, Provenance("test", "code", "0", frames_are_independent=independent))


def codes(evaluation: Evaluation, severity: Severity = Severity.ERROR) -> set[str]:
    return {finding.code for finding in evaluation.findings if finding.severity is severity}


@pytest.mark.parametrize(
    ("target", "predicted", "answered", "outcome", "score"),
    [
        (BOX, LOWER, True, Outcome.COMPARED, 0.5),
        (BOX, NOTHING, True, Outcome.MISSED, 0.0),
        (BOX, None, True, Outcome.MISSED, 0.0),
        (BOX, None, False, Outcome.MISSED, 0.0),
        (NOTHING, BOX, True, Outcome.FALSE, 0.0),
        (NOTHING, NOTHING, True, Outcome.ABSENT, None),
        (NOTHING, None, True, Outcome.ABSENT, None),
        (NOTHING, None, False, Outcome.UNANSWERED, 0.0),
    ],
)
def test_the_table_of_empty_masks(
    tmp_path: Path, target: Rle, predicted: Rle | None, answered: bool, outcome: Outcome, score: float | None
) -> None:
    manifest = dataset(tmp_path, [frame("f", [tree(target)])])
    case = evaluate(manifest, Split.TEST, [answer("f", predicted)] if answered else []).cases[0]
    assert case.outcome is outcome
    assert (None if case.scores is None else case.scores["dice"]) == score
    if score == 0.0:
        assert case.scores is not None
        shares = {name: value for name, value in case.scores.items() if name in SHARE_METRICS}
        assert shares == dict.fromkeys(shares, 0.0)
        assert {"dice", "cldice", "nsd"} <= shares.keys()
        diagonal = (SIDE**2 + SIDE**2) ** 0.5
        assert (case.scores["hd95_px"], case.scores["assd_px"]) == (diagonal, diagonal)
        assert case.scores.get("b0_error") == (None if outcome is Outcome.UNANSWERED else 1.0)


def test_counts_and_means_of_a_small_set_by_hand(tmp_path: Path) -> None:
    """Patient A: 0.5 and missed 0; patient B: 1 and true absent. Frames: 0.5, patients: 0.25 and 1, mean 0.625."""
    targets = [("a1", BOX, "A"), ("a2", BOX, "A"), ("b1", BOX, "B"), ("b2", NOTHING, "B")]
    manifest = dataset(tmp_path, [frame(name, [tree(mask)], patient) for name, mask, patient in targets])
    answers = [answer("a1", LOWER), answer("b1", BOX), answer("b2", NOTHING)]
    evaluation = evaluate(manifest, Split.TEST, answers)
    group = evaluation.kinds["vessel_tree"]
    counts = (group.num_targets, group.num_scored, group.num_missed, group.num_false, group.num_absent)
    assert counts == (4, 3, 1, 0, 1)
    dice = group.metrics["dice"]
    assert (dice.frame.n, dice.frame.mean) == (3, 0.5)
    assert dice.patient is not None
    assert (dice.patient.n, dice.patient.mean) == (2, 0.625)
    assert (evaluation.num_missing_predictions, evaluation.num_patients) == (1, 2)
    assert "predictions-missing" in codes(evaluation, Severity.WARNING)


def test_two_observers_weigh_as_one_frame_and_pieces_of_one_phrase_are_united(tmp_path: Path) -> None:
    pieces = [Target("stenosis", TargetKind.STENOSIS, box(top, 2), Origin.MANUAL) for top in (2, 8)]
    manifest = dataset(tmp_path, [frame("f", [tree(BOX, "1"), tree(LOWER, "2"), *pieces])])
    whole = rle.union([piece.mask for piece in pieces])
    evaluation = evaluate(manifest, Split.TEST, [answer("f", BOX), answer("f", whole, "stenosis")])
    assert evaluation.kinds["vessel_tree"].num_targets == 2
    assert evaluation.kinds["vessel_tree"].metrics["dice"].frame.mean == 0.75
    assert evaluation.kinds["stenosis"].num_targets == 1
    assert evaluation.kinds["stenosis"].metrics["dice"].frame.mean == 1.0


def test_challenge_f1_averages_segments_then_images(tmp_path: Path) -> None:
    """Image 1: 1 and a missed 0, mean 0.5. Image 2: 0.5, a false one 0, an absent one skipped, mean 0.25."""
    records = [
        frame("f1", [segment("6", LEFT, BOX), segment("7", RIGHT, BOX)]),
        frame("f2", [segment("6", LEFT, BOX), segment("7", RIGHT, NOTHING), segment("8", "apical LAD", NOTHING)]),
    ]
    answers = [
        answer("f1", BOX, LEFT),
        answer("f1", NOTHING, RIGHT),
        answer("f2", LOWER, LEFT),
        answer("f2", BOX, RIGHT),
        answer("f2", None, "apical LAD"),
    ]
    evaluation = evaluate(dataset(tmp_path, records), Split.TEST, answers)
    assert evaluation.challenge_f1 is not None
    assert (evaluation.challenge_f1.frame.n, evaluation.challenge_f1.frame.mean) == (2, 0.375)
    assert list(evaluation.segments) == ["6", "7", "8"]
    assert evaluation.segments["8"].metrics == {}


def segments_of(top: int, patient: str) -> FrameRecord:
    """A frame with two segments that do not overlap, at rows that differ from frame to frame."""
    return frame(f"f{patient}", [segment("6", LEFT, box(top, 3)), segment("7", RIGHT, box(top + 6, 3))], patient)


def test_a_model_that_ignores_the_name_has_no_margin(tmp_path: Path) -> None:
    records = [segments_of(top, patient) for top, patient in ((0, "A"), (2, "B"), (4, "C"))]
    deaf = [answer(r.frame_id, r.targets[0].mask, t.phrase) for r in records for t in r.targets]
    chance = evaluate(dataset(tmp_path, records), Split.TEST, deaf).chance
    assert chance is not None
    assert (chance.asked, chance.chance, chance.margin) == (0.5, 0.5, 0.0)
    assert not chance.is_better_than_chance


def test_margin_of_a_model_that_follows_the_name(tmp_path: Path) -> None:
    """Own answers shifted by one of three rows: Dice 2 * 20 / 60 = 2/3; the others' answers never touch: 0."""
    records = [segments_of(top, patient) for top, patient in ((0, "A"), (2, "B"), (4, "C"))]
    answers = [
        answer(r.frame_id, box(top + 1 + 6 * index, 3), t.phrase)
        for r, top in zip(records, (0, 2, 4), strict=True)
        for index, t in enumerate(r.targets)
    ]
    chance = evaluate(dataset(tmp_path, records), Split.TEST, answers).chance
    assert chance is not None
    assert (chance.margin, chance.chance) == (pytest.approx(2 / 3), 0.0)
    assert (chance.unit, chance.num_pairs, chance.num_frames) == ("patient", 6, 3)
    assert chance.chance_by_segment == {"6": 0.0, "7": 0.0}
    assert chance.is_better_than_chance


def test_empty_answers_for_absent_segments_do_not_lower_the_chance_level(tmp_path: Path) -> None:
    record = frame("f", [segment("6", LEFT, BOX), segment("7", RIGHT, LOWER), segment("8", "apical LAD", NOTHING)])
    answers = [answer("f", BOX, LEFT), answer("f", BOX, RIGHT), answer("f", NOTHING, "apical LAD")]
    chance = evaluate(dataset(tmp_path, [record]), Split.TEST, answers).chance
    assert chance is not None
    assert (chance.num_pairs, chance.chance) == (2, 0.75)


def test_perfect_scores_are_an_error(tmp_path: Path) -> None:
    manifest = dataset(tmp_path, [frame(name, [tree(box(top, 4))]) for name, top in (("f", 1), ("g", 5))])
    evaluation = evaluate(manifest, Split.TEST, [answer("f", box(1, 4)), answer("g", box(5, 4))])
    assert codes(evaluation) == {"scores-perfect", "prediction-is-target"}
    assert not evaluation.is_trustworthy


def test_constant_scores_and_identical_answers_are_errors(tmp_path: Path) -> None:
    manifest = dataset(tmp_path, [frame(name, [tree(BOX)]) for name in "fgh"])
    evaluation = evaluate(manifest, Split.TEST, [answer(name, LOWER) for name in "fgh"])
    assert codes(evaluation) == {"scores-constant", "predictions-identical"}


def test_a_model_that_finds_nothing_is_an_error(tmp_path: Path) -> None:
    manifest = dataset(tmp_path, [frame(name, [tree(BOX)]) for name in "fg"])
    assert "nothing-found" in codes(evaluate(manifest, Split.TEST, [answer(name, NOTHING) for name in "fg"]))


def test_believable_scores_raise_no_error(tmp_path: Path) -> None:
    manifest = dataset(tmp_path, [frame("f", [tree(BOX)], "A"), frame("g", [tree(BOX)], "B")])
    assert codes(evaluate(manifest, Split.TEST, [answer("f", LOWER), answer("g", box(5, 4))])) == set()


def test_patients_trained_on_are_an_error(tmp_path: Path) -> None:
    records = [frame("f", [tree(BOX)], "A"), frame("g", [tree(BOX)], "B"), frame("h", [tree(BOX)], "A", Split.TRAIN)]
    evaluation = evaluate(dataset(tmp_path, records), Split.TEST, [answer("f", LOWER), answer("g", box(5, 4))])
    assert (codes(evaluation), evaluation.num_patients_in_training) == ({"patients-trained-on"}, 1)


def test_without_patients_there_are_frame_figures_only_and_that_is_said(tmp_path: Path) -> None:
    manifest = dataset(tmp_path, [frame(name, [tree(BOX)], patient=None) for name in "fg"], independent=True)
    evaluation = evaluate(manifest, Split.TEST, [answer("f", LOWER), answer("g", box(5, 4))])
    assert evaluation.kinds["vessel_tree"].metrics["dice"].patient is None
    assert (evaluation.num_patients, evaluation.frames_are_independent) == (None, True)
    assert "no-patient-ids" in codes(evaluation, Severity.WARNING)


def test_answers_that_nobody_asked_for_are_counted_not_scored(tmp_path: Path) -> None:
    manifest = dataset(tmp_path, [frame("f", [tree(BOX)])])
    evaluation = evaluate(manifest, Split.TEST, [answer("f", LOWER), answer("f", BOX, "catheter")])
    assert (evaluation.num_unasked_predictions, list(evaluation.phrases)) == (1, ["coronary artery tree"])


def test_what_cannot_be_scored_is_refused(tmp_path: Path) -> None:
    manifest = dataset(tmp_path, [frame("f", [tree(BOX)])])
    with pytest.raises(DataError, match="two predictions"):
        evaluate(manifest, Split.TEST, [answer("f", BOX), answer("f", BOX)])
    with pytest.raises(DataError, match="predicted mask is 8 x 8"):
        evaluate(manifest, Split.TEST, [answer("f", rle.empty(8, 8))])
    with pytest.raises(DataError, match="no labelled frames"):
        evaluate(manifest, Split.VAL, [])
    with pytest.raises(ConfigError, match="no such split"):
        evaluate_files(tmp_path, tmp_path / "p.parquet", "holdout", tmp_path / "out")


def eight_frames(folder: Path) -> tuple[Manifest, list[Prediction]]:
    records = [frame(f"f{i}", [tree(box(i, 4))], f"P{i // 2}") for i in range(8)]
    return dataset(folder, records), [answer(f"f{i}", box(i, 4, left=2 + i % 4)) for i in range(8)]


def test_computing_again_from_files_gives_the_same(tmp_path: Path) -> None:
    manifest, answers = eight_frames(tmp_path / "set")
    evaluation = evaluate(manifest, Split.TEST, iter(answers))
    write_evaluation(tmp_path / "one", manifest, evaluation, answers)
    again = evaluate_files(tmp_path / "set", tmp_path / "one" / "predictions.parquet", "test", tmp_path / "two")
    assert again == evaluation
    assert read_evaluation(tmp_path / "two").model_dump() == evaluation.model_dump()
    assert read_frames(tmp_path / "two").equals(frames_table(evaluation.cases))
    names = [str(path.relative_to(tmp_path / "one")) for path in sorted((tmp_path / "one").rglob("*.*"))]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_five_pictures_best_median_worst_and_two_others(tmp_path: Path) -> None:
    manifest, answers = eight_frames(tmp_path / "set")
    evaluation = evaluate(manifest, Split.TEST, answers)
    write_evaluation(tmp_path / "out", manifest, evaluation, answers)
    scores = sorted(case.scores["dice"] for case in evaluation.cases if case.scores is not None)
    by_role = {picture.role: picture.dice for picture in evaluation.pictures}
    assert (by_role["best"], by_role["worst"]) == (scores[-1], scores[0])
    assert len({picture.frame_id for picture in evaluation.pictures}) == 5
    for picture in evaluation.pictures:
        assert read_pixels(tmp_path / "out" / "comparisons" / picture.file).shape[1] == 4 * SIDE + 3 * 8


def test_frames_csv_can_be_averaged_to_the_same_figures(tmp_path: Path) -> None:
    manifest, answers = eight_frames(tmp_path / "set")
    evaluation = evaluate(manifest, Split.TEST, answers[:-1])
    write_evaluation(tmp_path / "out", manifest, evaluation, answers[:-1])
    table = read_frames(tmp_path / "out")
    mean = table["dice"].mean()
    assert mean == pytest.approx(evaluation.kinds["vessel_tree"].metrics["dice"].frame.mean)
    assert table["missed"].sum() == evaluation.num_missing_predictions == 1


def test_a_damaged_evaluation_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text('{"format": "angiova-evaluation/1"}')
    with pytest.raises(DataError, match=r"evaluation\.json"):
        read_evaluation(tmp_path)
    with pytest.raises(DataError, match=r"frames\.csv"):
        read_frames(tmp_path)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_whole_evaluation_equals_a_plain_one(tmp_path: Path, seed: int) -> None:
    """A second implementation: sets of pixels, no RLE, no shared code, the table of empties written out again."""
    random = np.random.default_rng(seed)
    folder = tmp_path / str(uuid4())
    dices: dict[str, dict[int, list[float]]] = {}
    records: list[FrameRecord] = []
    answers: list[Prediction] = []
    for index in range(8):
        pair = [random.random((SIDE, SIDE)) < 0.3 * random.integers(0, 2) for _ in range(2)]
        name, patient, run = f"f{index}", f"P{random.integers(3)}", int(random.integers(2))
        record = frame(name, [tree(rle.encode(pair[0]))], patient)
        records.append(replace(record, run=f"{patient}-{run}"))
        is_answered = bool(random.random() < 0.8)
        answers += [answer(name, rle.encode(pair[1]))] if is_answered else []
        truth, found = (set(np.flatnonzero(mask).tolist()) for mask in pair)
        found = found if is_answered else set()
        if truth or found or not is_answered:
            overlap = 2 * len(truth & found) / (len(truth) + len(found)) if truth and found else 0.0
            dices.setdefault(patient, {}).setdefault(run, []).append(overlap)
    group = evaluate(dataset(folder, records), Split.TEST, answers).kinds["vessel_tree"]
    patients = [np.mean([np.mean(values) for values in runs.values()]) for runs in dices.values()]
    every = [value for runs in dices.values() for values in runs.values() for value in values]
    assert group.num_scored == len(every)
    if every:
        summary = group.metrics["dice"]
        assert summary.frame.mean == pytest.approx(np.mean(every))
        assert summary.patient is not None
        assert summary.patient.mean == pytest.approx(np.mean(patients))


def test_order_of_predictions_changes_nothing(tmp_path: Path) -> None:
    manifest, answers = eight_frames(tmp_path / "set")
    there, back = evaluate(manifest, Split.TEST, answers), evaluate(manifest, Split.TEST, answers[::-1])
    assert there == back


def test_evaluation_and_report_never_load_torch() -> None:
    code = "import sys, angiova.evaluation.evaluate, angiova.report.page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_kind_that_was_not_learnt_is_a_warning_and_not_a_false_report(tmp_path: Path) -> None:
    manifest = dataset(tmp_path, [frame(name, [tree(BOX)]) for name in "fg"])
    evaluation = evaluate(manifest, Split.TEST, [answer("f", box(9, 2)), answer("g", box(11, 2))])
    assert {(f.code, f.severity) for f in evaluation.findings if f.where == "vessel_tree"} == {
        ("scores-zero", Severity.WARNING)
    }
    assert evaluation.is_trustworthy


def test_targets_of_other_frames_handed_in_are_an_error(tmp_path: Path) -> None:
    manifest = dataset(tmp_path, [frame("f", [tree(BOX)], "A"), frame("g", [tree(LOWER)], "B")])
    assert "prediction-is-other-target" in codes(evaluate(manifest, Split.TEST, [answer("f", LOWER), answer("g", BOX)]))


def test_a_metric_that_never_varies_while_dice_does_is_named(tmp_path: Path) -> None:
    """The answer holds the target and two, four ... rows more: recall is 1 in all cases, precision and Dice vary."""
    heights = range(1, 6)
    manifest = dataset(tmp_path, [frame(f"f{h}", [tree(box(2, 4))], f"p{h}") for h in heights])
    evaluation = evaluate(manifest, Split.TEST, [answer(f"f{h}", box(2, 4 + h)) for h in heights])
    assert "metric-constant" in codes(evaluation, Severity.WARNING)
    assert any("recall" in finding.message for finding in evaluation.findings)


def test_groups_of_the_main_kind(tmp_path: Path) -> None:
    """Views from the angles; phases from the areas 0, 20, 40, 20 of one run: none, filling, full, washout."""
    masks = (NOTHING, box(4, 2), BOX, box(4, 2))
    records = [replace(frame(f"f{i}", [tree(mask)]), frame=i, angles_deg=(-30.0, 25.0)) for i, mask in enumerate(masks)]
    answers = [answer(f"f{i}", LOWER) for i in range(4)]
    evaluation = evaluate(dataset(tmp_path, records), Split.TEST, answers)
    assert list(evaluation.phases) == ["1 no contrast", "2 filling", "3 full", "4 washout"]
    assert evaluation.phases["1 no contrast"].num_false == 1
    assert list(evaluation.views) == ["RAO cranial"]
    assert list(evaluation.patients) == ["A"]
    assert evaluation.main_kind is TargetKind.VESSEL_TREE
    assert sum(c.num_branches for c in evaluation.calibres[TargetKind.VESSEL_TREE].values()) == 3


@pytest.mark.parametrize(
    ("angles", "name"),
    [((0, 0), "AP"), ((45, -5), "LAO"), ((-10, -30), "RAO caudal"), ((9.9, 10), "AP cranial")],
)
def test_views_are_named_as_in_the_catheter_laboratory(angles: tuple[float, float], name: str) -> None:
    assert view_of(*angles) == name
