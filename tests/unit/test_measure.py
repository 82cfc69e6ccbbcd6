"""`angiova measure`: what it reads, what it writes, what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from angiova.cli import app
from angiova.data import rle
from angiova.data.manifest import Provenance, write_dataset
from angiova.data.pixels import write_png
from angiova.data.predictions import write_predictions
from angiova.data.records import FrameRecord, Origin, Prediction, Target, TargetKind
from angiova.data.rle import BoolMask, Rle
from angiova.data.tracked import TrackedObject, TrackedRun, write_masks
from angiova.errors import ConfigError, DataError, ExitCode
from angiova.measurement.curves import run_curves
from angiova.measurement.measure import measure
from angiova.measurement.picture import colours_of, draw_measures
from angiova.measurement.settings import parse_spacing
from angiova.measurement.sources import find_frames, read_mask
from angiova.morphology import measure_vessels
from shapes import bar, limb, narrowed


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def write_mask(path: Path, mask_HW: BoolMask) -> Path:
    write_png(path, mask_HW.astype(np.uint8) * 255)
    return path


def dataset(folder: Path, num_frames: int = 3, spacing_mm: tuple[float, float] | None = (0.25, 0.25)) -> Path:
    """A run with a tree that grows, its segments 1 and 4, and a catheter of 10 pixels."""
    records = []
    for frame in range(num_frames):
        write_png(folder / "images" / f"f{frame}.png", np.full((200, 200), 150, dtype=np.uint8))
        mid = limb((60, 60), 45, 40 + 20 * frame, 9.2)
        distal = limb((60, 60), 120, 50, 5.2)
        named = [("1", mid), ("4", distal)]
        targets = [Target("coronary artery tree", TargetKind.VESSEL_TREE, rle.encode(mid | distal), Origin.MANUAL)]
        targets += [Target(n, TargetKind.SEGMENT, rle.encode(m), Origin.MANUAL, segment=n) for n, m in named]
        catheter = rle.encode(limb((10, 190), 100, 150, 10.0))
        targets.append(Target("catheter", TargetKind.CATHETER, catheter, Origin.MANUAL))
        records.append(
            FrameRecord(
                frame_id=f"f{frame}",
                image=f"images/f{frame}.png",
                height=200,
                width=200,
                source="drawn",
                source_sha256="0" * 64,
                run="run/1",
                frame=frame,
                time_s=frame / 15,
                spacing_mm=spacing_mm,
                targets=tuple(targets),
            )
        )
    write_dataset(folder, records, Provenance("drawn", "drawn", "0"))
    return folder


def test_a_mask_file_gives_tables_json_and_a_picture(tmp_path: Path) -> None:
    source = write_mask(tmp_path / "tube.png", narrowed(60))
    assert measure(source, tmp_path / "out", spacing_mm=(0.2, 0.2)) is ExitCode.DONE
    (branch,) = rows_of(tmp_path / "out" / "branches.csv")
    assert float(branch["calibre_mm"]) == pytest.approx(0.2 * float(branch["calibre_px"]), rel=0.01)
    assert float(branch["minimum_px"]) == pytest.approx(0.4 * 12.3, abs=0.6)
    (stenosis,) = rows_of(tmp_path / "out" / "stenoses.csv")
    assert float(stenosis["percent"]) == pytest.approx(60, abs=5)
    assert branch["stenosis_percent"] == stenosis["percent"]
    kept = json.loads((tmp_path / "out" / "measures" / "tube.json").read_text())
    assert len(kept["branches"][0]["points"]) == len(kept["branches"][0]["calibres_px"])
    assert kept["stenoses"][0]["reference_px"] == pytest.approx(12.3, abs=0.5)
    with Image.open(tmp_path / "out" / "pictures" / "tube.png") as picture:
        assert picture.height >= 1000
    assert not (tmp_path / "out" / "curves").exists()


def test_a_run_of_a_data_set_gives_segments_tree_dominance_and_curves(tmp_path: Path) -> None:
    assert measure(dataset(tmp_path / "set"), tmp_path / "out") is ExitCode.DONE
    frames = rows_of(tmp_path / "out" / "frames.csv")
    assert [row["frame"] for row in frames] == ["f0", "f1", "f2"]
    assert {row["tree"] for row in frames} == {"right"}
    lengths = [float(row["length_mm"]) for row in frames]
    assert np.diff(lengths) == pytest.approx([20 * 0.25] * 2, abs=0.5)
    assert {row["segment"] for row in rows_of(tmp_path / "out" / "branches.csv")} == {"1", "4"}
    summary = json.loads((tmp_path / "out" / "measures.json").read_text())
    assert summary["runs"] == [{"run": "run/1", "num_frames": 3, "dominance": "right"}]
    assert "<svg" in (tmp_path / "out" / "curves" / "run-1.svg").read_text()
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 3


def test_the_catheter_calibrates_a_run(tmp_path: Path) -> None:
    """Six French are 2 mm, over 10 pixels."""
    measure(dataset(tmp_path / "set", spacing_mm=None), tmp_path / "out", catheter_french=6, pictures=False)
    spacings = [float(row["spacing_row_mm"]) for row in rows_of(tmp_path / "out" / "frames.csv")]
    assert spacings == pytest.approx([0.2] * 3, rel=0.02)
    assert not (tmp_path / "out" / "pictures").exists()


def test_one_run_can_be_chosen(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "set")
    assert measure(folder, tmp_path / "out", run="run/1", pictures=False) is ExitCode.DONE
    with pytest.raises(DataError, match="no run 'other'"):
        measure(folder, tmp_path / "out", run="other")


def test_predictions_are_measured(tmp_path: Path) -> None:
    mask = rle.encode(bar(8.2, 20))
    predictions = [
        Prediction("a", "coronary artery tree", mask, 0.9),
        Prediction("a", "catheter", rle.encode(bar(10, 80)), 0.9),
        Prediction("b", "coronary artery tree", None, 0.1),
    ]
    write_predictions(tmp_path / "predictions.parquet", predictions)
    for source in (tmp_path / "predictions.parquet", tmp_path):
        (frame,) = find_frames(source)
        assert (frame.name, frame.mask().sum()) == ("a", mask.area_px)
        assert frame.catheter is not None


def test_what_predict_wrote_is_measured(tmp_path: Path) -> None:
    mask = rle.encode(bar(8.2, 20))
    prompts = [{"prompt": "segment the mid RCA", "text": "", "masks": [{"presence": 1, "rle": mask.as_coco()}]}]
    entry = {"name": "x", "image": "gone.png", "height": 200, "width": 200, "prompts": prompts}
    (tmp_path / "answers.json").write_text(json.dumps({"answers": [entry]}))
    (frame,) = find_frames(tmp_path)
    assert frame.segments == {"2": mask}
    assert frame.image is None
    assert measure(tmp_path, tmp_path / "out") is ExitCode.DONE


def test_tracked_runs_are_measured_frame_by_frame(tmp_path: Path) -> None:
    masks = [rle.encode(bar(8.2, 20, length)) for length in (60, 90)]
    frames = [(TrackedObject(mask, 0.9, None),) for mask in masks]
    run = TrackedRun(
        shape_px=(200, 200),
        prompts=("segment the coronary artery tree",),
        frames=frames,
        times_s=None,
        levels=(0.1, 0.1),
        phases=(None, None),
        names=("a", "b"),
        spacing_mm=None,
    )
    write_masks(tmp_path / "tracked" / "run1" / "masks.json", run)
    for source in (tmp_path / "tracked", tmp_path / "tracked" / "run1"):
        assert measure(source, tmp_path / "out", pictures=False) is ExitCode.DONE
        rows = rows_of(tmp_path / "out" / "frames.csv")
        assert [(row["frame"], row["run"], row["index"]) for row in rows] == [
            ("run1-f000", "run1", "0"),
            ("run1-f001", "run1", "1"),
        ]
        assert float(rows[1]["length_px"]) - float(rows[0]["length_px"]) == pytest.approx(30, abs=2)
    assert (tmp_path / "out" / "curves" / "run1.svg").exists()


def test_a_bad_mask_among_good_ones_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "good.png", bar(8, 20))
    (tmp_path / "masks" / "bad.png").write_bytes(b"no image")
    assert measure(tmp_path / "masks", tmp_path / "out") is ExitCode.SOME_CASES_FAILED
    assert [row["frame"] for row in rows_of(tmp_path / "out" / "frames.csv")] == ["good"]
    (failure,) = json.loads((tmp_path / "out" / "measures.json").read_text())["failed"]
    assert failure["frame"] == "bad"


def test_an_empty_mask_is_a_frame_without_branches(tmp_path: Path) -> None:
    source = write_mask(tmp_path / "empty.png", np.zeros((40, 40), dtype=bool))
    assert measure(source, tmp_path / "out") is ExitCode.DONE
    assert rows_of(tmp_path / "out" / "branches.csv") == []
    assert rows_of(tmp_path / "out" / "frames.csv")[0]["calibre_px"] == ""


def test_an_image_that_is_no_mask_is_refused(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_png(tmp_path / "grey.png", grey)
    write_png(tmp_path / "colour.png", np.stack([grey, grey // 2, grey], axis=2))
    with pytest.raises(DataError, match="more than two values"):
        read_mask(tmp_path / "grey.png")
    with pytest.raises(DataError, match="colour"):
        read_mask(tmp_path / "colour.png")


@pytest.mark.parametrize("top", [1, 255])
def test_masks_of_one_and_of_255_are_the_same(tmp_path: Path, top: int) -> None:
    write_png(tmp_path / "mask.png", bar(8, 20).astype(np.uint8) * np.uint8(top))
    assert np.array_equal(read_mask(tmp_path / "mask.png"), bar(8, 20))


@pytest.mark.parametrize(
    ("counts", "size"),
    [("04", [10**9, 10**9]), ("04", [0, 4]), ("04", [-2, -2]), ("zzzz", [2, 2]), ("05", [2, 2])],
)
def test_stored_masks_that_lie_about_their_size_are_refused(tmp_path: Path, counts: str, size: list[int]) -> None:
    masks = [{"rle": {"size": size, "counts": counts}}]
    entry = {"name": "x", "image": "x.png", "prompts": [{"prompt": "catheter", "masks": masks}]}
    (tmp_path / "answers.json").write_text(json.dumps({"answers": [entry]}))
    with pytest.raises(DataError):
        find_frames(tmp_path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"answers": [{}]}', '{"answers": 3}', "nonsense"])
def test_answers_of_another_form_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "answers.json").write_text(content)
    with pytest.raises(DataError):
        find_frames(tmp_path)


def test_names_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    write_predictions(
        tmp_path / "predictions.parquet", [Prediction("../../x", "blood vessels", rle.encode(bar(8, 20)), 1.0)]
    )
    (frame,) = find_frames(tmp_path)
    assert "/" not in frame.name
    assert not frame.name.startswith(".")


def test_a_source_with_nothing_to_measure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        find_frames(tmp_path / "missing")
    with pytest.raises(DataError, match="no masks of vessels"):
        find_frames(tmp_path)


def test_masks_of_two_sizes_in_a_frame_are_refused(tmp_path: Path) -> None:
    other = Rle(2, 2, rle.encode(np.ones((2, 2), dtype=bool)).counts)
    predictions = [Prediction("a", "mid RCA", rle.encode(bar(8, 20)), 1.0), Prediction("a", "distal RCA", other, 1.0)]
    write_predictions(tmp_path / "predictions.parquet", predictions)
    with pytest.raises(DataError, match="different sizes"):
        find_frames(tmp_path)[0].mask()


def test_refining_without_an_image_fails_and_says_so(tmp_path: Path) -> None:
    source = write_mask(tmp_path / "tube.png", bar(8, 20))
    with pytest.raises(DataError, match="no image"):
        measure(source, tmp_path / "out", refine=True)


def test_an_image_of_another_size_fails_and_says_so(tmp_path: Path) -> None:
    source = write_mask(tmp_path / "tube.png", bar(8, 20))
    write_png(tmp_path / "frame.png", np.zeros((10, 10), dtype=np.uint8))
    with pytest.raises(DataError, match="image"):
        measure(source, tmp_path / "out", image=tmp_path / "frame.png")


@pytest.mark.parametrize(("text", "expected"), [(None, None), ("0.2", (0.2, 0.2)), ("0.2,0.3", (0.2, 0.3))])
def test_spacing_is_one_number_or_two(text: str | None, expected: tuple[float, float] | None) -> None:
    assert parse_spacing(text) == expected


@pytest.mark.parametrize("text", ["", "a", "0", "-1", "nan", "inf", "0.2,0.2,0.2", "0.2;0.2"])
def test_other_spacings_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--spacing"):
        parse_spacing(text)


def test_exit_codes_of_the_verb(tmp_path: Path) -> None:
    source = write_mask(tmp_path / "tube.png", bar(8, 20))
    runner = CliRunner()
    assert runner.invoke(app, ["measure", str(source), str(tmp_path / "out")]).exit_code == 0
    refused = runner.invoke(app, ["measure", str(source), str(tmp_path / "out"), "--spacing", "x"])
    assert isinstance(refused.exception, ConfigError)
    failed = runner.invoke(app, ["measure", str(tmp_path / "missing"), str(tmp_path / "out")])
    assert isinstance(failed.exception, DataError)
    assert failed.exception.exit_code == 1


def test_wider_vessels_are_drawn_lighter_and_the_bar_stands_beside_them() -> None:
    colours_N3 = colours_of(np.array([2.0, 5.0, 9.0]), 2.0, 9.0).astype(int)
    lightness = colours_N3 @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > 20).all()
    picture = draw_measures(measure_vessels(bar(8.2, 20)), bar(8.2, 20))
    assert picture.shape[1] - picture.shape[0] == 150
    top, bottom = picture[80, -120].astype(int), picture[picture.shape[0] - 160, -120].astype(int)
    assert top.sum() > bottom.sum()


def test_curves_leave_out_what_no_frame_has() -> None:
    rows = [
        {"index": i, "length_px": 10.0 * i, "calibre_px": None, "num_branches": i, "num_bifurcations": 0,
         "worst_percent": None, "num_pieces": 1}
        for i in range(3)
    ]  # fmt: skip
    svg = run_curves("r", rows).svg("en")
    assert "length of all branches" in svg
    assert "mean calibre" not in svg


@pytest.mark.parametrize("french", [0.0, -6.0, float("nan")])
def test_a_catheter_of_no_size_is_refused_for_what_it_is(tmp_path: Path, french: float) -> None:
    """Not as too little catheter in the frames, each of which is passed over where it shows none."""
    with pytest.raises(DataError, match="outer diameter, often 5, 6 or 7"):
        measure(dataset(tmp_path / "set", spacing_mm=None), tmp_path / "out", catheter_french=french)


def test_a_frame_of_another_size_than_its_mask_leaves_no_measures(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "set")
    write_png(folder / "images" / "f1.png", np.full((100, 200), 150, dtype=np.uint8))
    assert measure(folder, tmp_path / "out") is ExitCode.SOME_CASES_FAILED
    assert sorted(path.name for path in (tmp_path / "out" / "measures").iterdir()) == ["f0.json", "f2.json"]
    assert [row["frame"] for row in rows_of(tmp_path / "out" / "frames.csv")] == ["f0", "f2"]
