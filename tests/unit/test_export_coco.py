"""COCO files: read back in every pixel by pycocotools and by our own importer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.records import Prediction, TargetKind
from angiova.data.rle import BoolMask
from angiova.errors import DataError
from angiova.export.coco import CocoImage, images_of, write_coco
from angiova.simulate import simulate
from sources import SHAPE_PX, noise, records_of, run_import, write_image

rng = np.random.default_rng(0)
TREE, STENOSIS = rng.random(SHAPE_PX) < 0.3, rng.random(SHAPE_PX) < 0.1
NOTHING = np.zeros(SHAPE_PX, dtype=bool)


def image(name: str, **masks: BoolMask) -> CocoImage:
    encoded = {phrase.replace("_", " "): rle.encode(mask) for phrase, mask in masks.items()}
    return CocoImage(name, *SHAPE_PX, encoded, dict.fromkeys(encoded, 0.75))


RUN = [
    image("r1_000.png", coronary_artery_tree=NOTHING, stenosis=NOTHING),
    image("r1_001.png", coronary_artery_tree=TREE, stenosis=STENOSIS),
    image("r1_002.png", coronary_artery_tree=~TREE),
]


def test_pycocotools_reads_every_pixel_back(tmp_path: Path) -> None:
    assert write_coco(tmp_path / "run.json", RUN) == 3
    found = COCO(str(tmp_path / "run.json"))
    names = {category["id"]: category["name"] for category in found.loadCats(found.getCatIds())}
    assert names == {1: "coronary artery tree", 2: "stenosis"}
    for number, expected in enumerate(RUN, start=1):
        assert found.loadImgs(number)[0]["file_name"] == expected.file_name
        annotations = found.loadAnns(found.getAnnIds(imgIds=[number]))
        masks = {names[entry["category_id"]]: found.annToMask(entry).astype(bool) for entry in annotations}
        shown = {phrase: mask for phrase, mask in expected.masks.items() if not mask.is_empty}
        assert masks.keys() == shown.keys()
        for phrase, mask in shown.items():
            np.testing.assert_array_equal(masks[phrase], rle.decode(mask))


def test_fields_of_an_annotation_worked_out_by_hand(tmp_path: Path) -> None:
    mask = NOTHING.copy()
    mask[2:5, 4:10] = True
    write_coco(tmp_path / "run.json", [image("a.png", stenosis=mask)])
    (entry,) = json.loads((tmp_path / "run.json").read_text())["annotations"]
    assert (entry["area"], entry["bbox"], entry["iscrowd"], entry["score"]) == (18, [4.0, 2.0, 6.0, 3.0], 0, 0.75)
    assert (entry["id"], entry["image_id"], entry["category_id"]) == (1, 1, 1)


def test_what_was_asked_and_is_absent_is_said(tmp_path: Path) -> None:
    write_coco(tmp_path / "run.json", RUN)
    content = json.loads((tmp_path / "run.json").read_text())
    assert [entry["absent_category_ids"] for entry in content["images"]] == [[1, 2], [], []]
    assert "not for diagnosis" in content["info"]["description"]


def test_our_importer_reads_every_pixel_back(tmp_path: Path) -> None:
    for number, shown in enumerate(RUN):
        write_image(tmp_path / "in" / "images" / shown.file_name, noise(number))
    write_coco(tmp_path / "in" / "annotations" / "instances.json", RUN)
    run_import(tmp_path / "in", tmp_path / "out")
    records = records_of(tmp_path / "out")
    assert len(records) == 3
    (tree,) = [t for t in records["r1_001"].targets if t.kind is TargetKind.VESSEL_TREE]
    np.testing.assert_array_equal(rle.decode(tree.mask), TREE)
    (narrow,) = [t for t in records["r1_001"].targets if t.kind is TargetKind.STENOSIS]
    np.testing.assert_array_equal(rle.decode(narrow.mask), STENOSIS)


def test_predictions_on_a_data_set(tmp_path: Path) -> None:
    manifest: Manifest = simulate(tmp_path / "data", num_runs=1, num_frames=3, size_px=96, workers=1)
    records = list(manifest.records())
    answers = [Prediction(r.frame_id, t.phrase, t.mask, 0.9) for r in records[:2] for t in r.targets]
    answers.append(Prediction(records[2].frame_id, "stenosis", None, 0.1))
    images = images_of(records, answers)
    assert [shown.file_name for shown in images] == [record.image for record in records]
    assert images[0].masks == {target.phrase: target.mask for target in records[0].targets}
    assert images[2].masks["stenosis"].is_empty
    num_shown = sum(not t.mask.is_empty for r in records[:2] for t in r.targets)
    assert write_coco(tmp_path / "data.json", images) == num_shown


def test_a_run_without_any_mask_is_a_file_without_annotations(tmp_path: Path) -> None:
    assert write_coco(tmp_path / "run.json", [CocoImage("a.png", 4, 5, {})]) == 0
    assert COCO(str(tmp_path / "run.json")).getAnnIds() == []


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="stands twice"):
        write_coco(tmp_path / "run.json", [RUN[0], RUN[0]])
    with pytest.raises(DataError, match="a mask is"):
        write_coco(tmp_path / "run.json", [CocoImage("a.png", 3, 4, {"stenosis": rle.empty(4, 3)})])
    with pytest.raises(DataError, match="not there"):
        images_of([], [Prediction("f1", "stenosis", None, 0.5)])
    assert not (tmp_path / "run.json").exists()
