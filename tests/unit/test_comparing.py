"""Models are compared on the same frames, patient by patient, or not at all."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from angiova.cli import app
from angiova.data import rle
from angiova.data.manifest import Manifest, Provenance, write_dataset
from angiova.data.pixels import write_png
from angiova.data.records import FrameRecord, Origin, Prediction, Split, Target, TargetKind
from angiova.data.rle import Rle
from angiova.errors import ConfigError, DataError
from angiova.evaluation.comparing import Comparison, compare, write_comparison
from angiova.evaluation.evaluate import evaluate, evaluate_files
from angiova.evaluation.store import write_evaluation
from angiova.files import read_json

SIDE, PATIENTS, PHRASE = 48, 8, "coronary artery tree"


def box(top: int, height: int) -> Rle:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top : top + height, 4:44] = True
    return rle.encode(mask)


def dataset(
    folder: Path, *, patients: bool = True, independent: bool = False, note: str = "code", catheters: bool = False
) -> Manifest:
    records = []
    for index in range(PATIENTS):
        target = Target(PHRASE, TargetKind.VESSEL_TREE, box(4 + 3 * index, 8 + index), Origin.MANUAL)
        catheter = Target("catheter", TargetKind.CATHETER, box(2, 2), Origin.MANUAL)
        patient = f"p{index}" if patients else None
        image = f"images/{index}.png"
        write_png(folder / image, np.full((SIDE, SIDE), 100 + index, dtype=np.uint8))
        record = FrameRecord(f"f{index}", image, SIDE, SIDE, note, str(index), f"r{index}", 0, patient)
        records.append(replace(record, targets=(target, catheter) if catheters else (target,), split=Split.TEST))
    return write_dataset(folder, records, Provenance("test", "code", "0", frames_are_independent=independent))


def evaluated(folder: Path, manifest: Manifest, cut: int, known: tuple[str, ...] | None = None) -> Path:
    """Write the evaluation of a model that leaves out `cut` rows of every target, and one more of every other."""
    answers = [
        Prediction(f"f{i}", PHRASE, box(4 + 3 * i + cut + i % 2, 8 + i - cut - i % 2), 0.9) for i in range(PATIENTS)
    ]
    write_evaluation(folder, manifest, evaluate(manifest, Split.TEST, answers, known), answers)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("comparing")
    manifest = dataset(root / "data")
    return [evaluated(root / name, manifest, cut) for name, cut in (("a", 0), ("b", 1), ("c", 3))]


def dice(index: int, cut: int) -> float:
    height = 8 + index
    left = height - cut - index % 2
    return 2 * left / (height + left)


def test_differences_by_hand_and_every_sign_the_same(folders: list[Path]) -> None:
    """a is better than b in every one of 8 patients: 2 of 256 sign patterns reach that, p = 0.0078."""
    comparison = compare(folders[:2])
    pair = next(pair for pair in comparison.pairs if pair.metric == "dice")
    expected = [dice(i, 0) - dice(i, 1) for i in range(PATIENTS)]
    assert pair.difference.mean == pytest.approx(np.mean(expected))
    assert pair.effect_dz == pytest.approx(np.mean(expected) / np.std(expected, ddof=1))
    assert pair.p == 2 / 2**PATIENTS
    assert pair.p_holm >= pair.p
    assert pair.units_for_point is not None
    mean = next(mean for mean in comparison.means if mean.metric == "dice" and mean.model == "a")
    assert mean.interval.mean == pytest.approx(np.mean([dice(i, 0) for i in range(PATIENTS)]))


def test_three_models_give_three_pairs_of_every_metric_corrected_together(folders: list[Path]) -> None:
    comparison = compare(folders)
    pairs = {(pair.first, pair.second) for pair in comparison.pairs}
    assert pairs == {("a", "b"), ("a", "c"), ("b", "c")}
    assert comparison.num_tests == len(comparison.pairs) == 3 * len({pair.metric for pair in comparison.pairs})
    smallest = min(pair.p for pair in comparison.pairs)
    assert min(pair.p_holm for pair in comparison.pairs) == pytest.approx(smallest * comparison.num_tests)
    assert (comparison.unit, comparison.num_units) == ("patient", {TargetKind.VESSEL_TREE: PATIENTS})


def test_a_model_that_draws_one_thing_is_compared_on_that_alone(tmp_path: Path) -> None:
    """A baseline knows one phrase; the other model's answers to the rest are neither scored against it nor refused."""
    manifest = dataset(tmp_path / "data", catheters=True)
    tree, both = evaluated(tmp_path / "tree", manifest, 1, known=(PHRASE,)), evaluated(tmp_path / "both", manifest, 0)
    comparison = compare([both, tree])
    assert comparison.phrases == (PHRASE,)
    assert comparison.num_units == {TargetKind.VESSEL_TREE: PATIENTS}
    pair = next(pair for pair in comparison.pairs if pair.metric == "dice")
    assert pair.difference.mean == pytest.approx(np.mean([dice(i, 0) - dice(i, 1) for i in range(PATIENTS)]))
    printed = CliRunner().invoke(app, ["eval", "--compare", str(both), str(tree)]).output
    assert f"compared on what every model can be asked for: {PHRASE}" in " ".join(printed.split())


def test_models_that_share_no_phrase_are_refused(tmp_path: Path) -> None:
    manifest = dataset(tmp_path / "data", catheters=True)
    pair = [evaluated(tmp_path / known, manifest, 0, known=(known,)) for known in (PHRASE, "catheter")]
    with pytest.raises(DataError, match="no phrase that all of these models"):
        compare(pair)


def test_models_that_score_alike_say_nothing_of_how_many_patients_are_needed(tmp_path: Path) -> None:
    manifest = dataset(tmp_path / "data")
    comparison = compare([evaluated(tmp_path / name, manifest, 1) for name in ("a", "b")])
    assert {pair.difference.mean for pair in comparison.pairs} == {0.0}
    assert {pair.units_for_point for pair in comparison.pairs} == {None}


def test_files_hold_what_was_compared(folders: list[Path], tmp_path: Path) -> None:
    comparison = compare(folders)
    write_comparison(tmp_path, comparison)
    assert Comparison.model_validate(read_json(tmp_path / "comparison.json")) == comparison
    table = pl.read_csv(tmp_path / "comparison.csv")
    assert table["p_holm"].to_list() == pytest.approx([pair.p_holm for pair in comparison.pairs])
    assert table["difference_mean"].to_list() == pytest.approx([pair.difference.mean for pair in comparison.pairs])


def test_other_frames_are_refused(folders: list[Path], tmp_path: Path) -> None:
    other = evaluated(tmp_path / "other", dataset(tmp_path / "data", note="another source"), 1)
    with pytest.raises(DataError, match="not evaluated on the same frames"):
        compare([folders[0], other])
    for few in (folders[:1], [folders[0], folders[0]]):
        with pytest.raises(ConfigError, match="nothing to compare"):
            compare(few)


@pytest.mark.parametrize("independent", [True, False])
def test_frames_are_units_only_where_that_was_stated(
    tmp_path: Path, independent: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = dataset(tmp_path / "data", patients=False, independent=independent)
    pair = [evaluated(tmp_path / name, manifest, cut) for name, cut in (("a", 0), ("b", 1))]
    if independent:
        assert compare(pair).unit == "frame"
        printed = CliRunner().invoke(app, ["eval", "--compare", *map(str, pair)]).output
        assert "on the user's statement that they are independent" in " ".join(printed.split())
    else:
        with pytest.raises(DataError, match="without patient ids"):
            compare(pair)


def test_command_line(folders: list[Path], tmp_path: Path) -> None:
    arguments = ["eval", "--compare", *map(str, folders), "--out", str(tmp_path / "out")]
    printed = CliRunner().invoke(app, arguments)
    assert printed.exit_code == 0, printed.output
    assert "a - b" in printed.output
    assert (tmp_path / "out" / "comparison.csv").exists()
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert Comparison.model_validate_json(as_json.output) == compare(folders)


def test_every_number_is_computed_again_from_files(folders: list[Path], tmp_path: Path) -> None:
    """Recomputing an evaluation from its predictions gives the same evaluation.json."""
    data, out = folders[0].parent / "data", tmp_path / "again"
    arguments = ["eval", "--from-predictions", str(folders[0] / "predictions.parquet"), str(data), "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert read_json(out / "evaluation.json") == read_json(folders[0] / "evaluation.json")


def test_an_evaluation_of_an_earlier_format_can_be_computed_again(folders: list[Path], tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(folders[0], old)
    (old / "evaluation.json").write_text('{"format": "angiova-evaluation/1"}')
    with pytest.raises(DataError, match="--from-predictions"):
        compare([old, folders[1]])
    evaluate_files(folders[0].parent / "data", old / "predictions.parquet", "test", tmp_path / "again")
    assert compare([tmp_path / "again", folders[1]]).pairs == [
        pair.model_copy(update={"first": "again"}) for pair in compare(folders[:2]).pairs
    ]
