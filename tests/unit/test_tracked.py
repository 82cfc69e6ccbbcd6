"""The masks of a run as files: JSON that reads back the same, and tables and pictures that agree with it."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from angiova.data import rle
from angiova.data.records import FrameRecord, Origin, Target, TargetKind
from angiova.data.tracked import TrackedObject, TrackedRun, read_masks, write_masks
from angiova.errors import ConfigError, DataError
from angiova.export.tracked import DEFAULT_OUTPUTS, Material, parse_outputs, write_outputs

HEIGHT, WIDTH, NUM_FRAMES = 21, 34, 5
PROMPTS = ("segment the LAD", "the catheter")


def bar(frame: int, number: int) -> np.ndarray:
    """Return a mask of `frame * 10` pixels: the first frame is empty."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[3 + 5 * number, : 10 * min(frame, 3)] = True
    return mask


def tracked(times_s: tuple[float, ...] | None = (0.0, 0.1, 0.15, 0.3, 0.4)) -> TrackedRun:
    frames = [
        tuple(
            TrackedObject(rle.encode(bar(frame, number)), 0.25 * number + 0.1 * frame, 0.75 if frame else None)
            for number in range(2)
        )
        for frame in range(NUM_FRAMES)
    ]
    names = tuple(f"f{frame}" for frame in range(NUM_FRAMES))
    phases = (None, "2 filling", "3 full", "3 full", "4 washout")
    levels = (0.0, 0.01, 0.02, 0.02, 0.01)
    return TrackedRun((HEIGHT, WIDTH), PROMPTS, frames, times_s, levels, phases, names, (0.5, 0.2))


def material(folder: Path, run: TrackedRun | None = None) -> Material:
    images = [np.full((HEIGHT, WIDTH), 90 + frame, dtype=np.uint8) for frame in range(NUM_FRAMES)]
    return Material(run or tracked(), images, folder)


def test_masks_read_back_the_same_and_as_pycocotools_reads_them(tmp_path: Path) -> None:
    write_masks(tmp_path / "masks.json", tracked())
    prompts, frames = read_masks(tmp_path / "masks.json")
    assert prompts == PROMPTS
    assert frames == list(tracked().frames)
    entries = json.loads((tmp_path / "masks.json").read_text())["masks"]
    for entry in entries:
        assert np.array_equal(coco_mask.decode(entry["rle"]), bar(entry["frame"], entry["object"] - 1))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.update(format="other"),
        lambda content: content["masks"].pop(),
        lambda content: content["masks"][3]["rle"].update(counts="0"),
        lambda content: content["masks"][3]["rle"].update(size=[WIDTH, HEIGHT]),
        lambda content: content["masks"][0].pop("presence"),
        lambda content: content.update(masks=None),
    ],
)
def test_a_damaged_file_of_masks_is_refused(tmp_path: Path, damage: object) -> None:
    write_masks(tmp_path / "masks.json", tracked())
    content = json.loads((tmp_path / "masks.json").read_text())
    damage(content)  # type: ignore[operator]
    (tmp_path / "masks.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="not a file of masks"):
        read_masks(tmp_path / "masks.json")


def test_the_table_has_areas_in_pixels_and_square_millimetres(tmp_path: Path) -> None:
    write_outputs(material(tmp_path), ["csv"])
    rows = list(csv.DictReader((tmp_path / "frames.csv").read_text().splitlines()))
    assert len(rows) == 2 * NUM_FRAMES
    first, last = rows[0], rows[-1]
    assert (first["frame"], first["object"], first["area_px"], first["area_mm2"]) == ("0", "1", "0", "0.0")
    assert (first["phase"], first["mean_probability"]) == ("", "")
    assert (last["time_s"], last["phase"], last["prompt"]) == ("0.4", "4 washout", "the catheter")
    assert [row["contrast_level"] for row in rows[::2]] == ["0.0", "0.01", "0.02", "0.02", "0.01"]
    assert (last["area_px"], last["area_mm2"], last["presence"]) == ("30", "3.0", "0.65")


def test_pictures_are_one_a_frame_and_show_the_masks(tmp_path: Path) -> None:
    write_outputs(material(tmp_path), ["png", "mp4", "gif"])
    for number in (1, 2):
        stack = sorted((tmp_path / "png" / f"object{number}").iterdir())
        assert [path.name for path in stack] == [f"{frame:05d}.png" for frame in range(NUM_FRAMES)]
        for frame, path in enumerate(stack):
            assert np.array_equal(np.asarray(Image.open(path)) == 255, bar(frame, number - 1))
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0, 0.1, 0.15, 0.3, 0.4])
    with Image.open(tmp_path / "overlay.gif") as picture:
        assert picture.n_frames == NUM_FRAMES


def test_times_that_stand_still_are_not_used_for_films(tmp_path: Path) -> None:
    assert material(tmp_path, tracked((0.0, 0.1, 0.1, 0.2, 0.3))).rising_times_s is None
    assert material(tmp_path, tracked(None)).rising_times_s is None
    assert material(tmp_path).rising_times_s == tracked().times_s


def test_dicom_seg_is_left_out_where_the_source_is_no_dicom(tmp_path: Path) -> None:
    write_outputs(material(tmp_path), ["dicom-seg"])
    assert [path.name for path in tmp_path.iterdir()] == ["masks.json"]


def test_coco_is_a_data_set_of_its_own(tmp_path: Path) -> None:
    run = tracked()
    write_outputs(material(tmp_path, replace(run, prompts=("the LAD", "the LAD"))), ["coco"])
    coco = COCO(str(tmp_path / "coco" / "annotations.json"))
    assert [category["name"] for category in coco.cats.values()] == ["the LAD", "the LAD (2)"]
    for frame, image in enumerate(coco.imgs.values()):
        assert (np.asarray(Image.open(tmp_path / "coco" / "images" / image["file_name"])) == 90 + frame).all()
        found = {entry["category_id"]: coco.annToMask(entry) for entry in coco.imgToAnns[image["id"]]}
        assert set(found) == ({1, 2} if frame else set())
        assert all(np.array_equal(mask, bar(frame, number - 1)) for number, mask in found.items())


def test_the_picture_shows_key_frames_and_works_without_times(tmp_path: Path) -> None:
    for times_s, axis in ((tracked().times_s, "seconds"), (None, "frame")):
        shown = replace(material(tmp_path, tracked(times_s)), name="run-7", key_frames=(1, 3))
        write_outputs(shown, ["picture"])
        picture = ElementTree.parse(tmp_path / "run.svg").getroot()  # noqa: S314  (ours)
        words = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
        assert "Run run-7" in words
        assert axis in words
        assert len(list(picture.iter("{http://www.w3.org/2000/svg}image"))) == 2
        assert "heart beats unclear: the times of the frames are not known" in words


def test_measures_are_those_of_the_masks_with_the_truth_where_there_is_one(tmp_path: Path) -> None:
    targets = [Target("LAD", TargetKind.SEGMENT, rle.encode(bar(frame, 0)), Origin.MANUAL) for frame in range(5)]
    records = tuple(
        FrameRecord(f"f{frame}", "f", HEIGHT, WIDTH, "f", "", "r", frame, targets=(target,))
        for frame, target in enumerate(targets)
    )
    write_outputs(replace(material(tmp_path), records=records, key_frames=(2,)), ["measures"])
    first, second = json.loads((tmp_path / "measures.json").read_text())["objects"]
    assert (first["prompt"], first["labelled_frames"], first["dice"], first["presence_f1"]) == (PROMPTS[0], 5, 1, 1)
    assert first["onset"] == {"edge": "measured", "error_frames": 0}
    assert (second["labelled_frames"], second["presence_f1"]) == (0, None)
    assert 0 < second["consistency"] < 1


def test_outputs_are_chosen_by_name() -> None:
    assert parse_outputs(None) == DEFAULT_OUTPUTS
    assert parse_outputs("csv, gif") == ("gif", "csv")
    assert parse_outputs("") == ()
    with pytest.raises(ConfigError, match="no output 'jpg'"):
        parse_outputs("png,jpg")
