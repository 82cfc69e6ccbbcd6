"""COCO and ARCADE come in whole: names, splits, united annotations, both RLE flavours, lossless pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from angiova.data.importers.objects import clip_polygon
from angiova.data.manifest import Manifest
from angiova.data.records import Origin, Split, TargetKind
from angiova.data.rle import decode, encode
from sources import (
    SHAPE_PX,
    SQUARE,
    annotation,
    coco,
    coco_image,
    noise,
    records_of,
    run_import,
    square_mask,
    tree_bytes,
    write_coco,
    write_image,
    write_json,
)

OTHER_SQUARE = [20.0, 4.0, 24.0, 4.0, 24.0, 8.0, 20.0, 8.0]  # 4 x 4 pixels


def write_arcade(folder: Path) -> Path:
    for part, number in (("train", 1), ("val", 1)):
        write_image(folder / "syntax" / part / "images" / "1.png", noise(number + len(part)))
        annotations = [annotation(1, 1, [SQUARE]), annotation(1, 1, [OTHER_SQUARE]), annotation(1, 2, [OTHER_SQUARE])]
        content = coco([coco_image(1, "1.png")], annotations, ["6", "9a", "stenosis"])
        write_json(folder / "syntax" / part / "annotations" / f"{part}.json", content)
    return folder / "syntax"


def test_arcade_layout_gives_segments_a_tree_and_the_published_split(tmp_path: Path) -> None:
    report = run_import(write_arcade(tmp_path / "arcade"), tmp_path / "out")
    records = records_of(tmp_path / "out")
    assert report.format == "coco"
    assert {name: record.split for name, record in records.items()} == {
        "syntax-train-1": Split.TRAIN,
        "syntax-val-1": Split.VAL,
    }
    targets = {target.phrase: target for target in records["syntax-train-1"].targets}
    # By hand: segment 6 is drawn twice, 64 + 16 pixels; 9a lies in its second part; so the tree has 80 too.
    assert {phrase: (t.kind, t.segment, t.mask.area_px) for phrase, t in targets.items()} == {
        "coronary artery tree": (TargetKind.VESSEL_TREE, None, 80),
        "proximal LAD": (TargetKind.SEGMENT, "6", 80),
        "first diagonal branch a": (TargetKind.SEGMENT, "9a", 16),
    }
    assert records["syntax-train-1"].patient is None


@pytest.mark.parametrize("depth", ["arcade", "syntax", "val", "file"])
def test_arcade_is_recognised_from_every_level(tmp_path: Path, depth: str) -> None:
    syntax = write_arcade(tmp_path / "arcade")
    source = {
        "arcade": tmp_path / "arcade",
        "syntax": syntax,
        "val": syntax / "val",
        "file": syntax / "val" / "annotations" / "val.json",
    }[depth]
    run_import(source, tmp_path / "out")
    assert "syntax-val-1" in records_of(tmp_path / "out")


def test_image_is_stored_without_loss_and_the_source_is_left_alone(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "source")
    before = tree_bytes(source)
    run_import(source, tmp_path / "out")
    manifest = Manifest(tmp_path / "out")
    (record,) = manifest.records()
    np.testing.assert_array_equal(manifest.read_image(record), noise(1))
    assert record.image == "images/1.png"
    assert tree_bytes(source) == before


def test_reference_leaves_the_images_where_they_are(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "source")
    run_import(source, tmp_path / "out", reference=True)
    (record,) = Manifest(tmp_path / "out").records()
    assert record.image == str((source / "images" / "1.png").resolve())
    assert not (tmp_path / "out" / "images").exists()


def runs_of(mask_HW: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> list[int]:
    """Return COCO's uncompressed run lengths, column by column, background first."""
    values = np.concatenate([[0], (mask_HW > 0).ravel(order="F"), [2]])
    edges = np.flatnonzero(np.diff(values))
    lengths = np.diff(np.concatenate([[0], edges])).tolist()
    return [int(length) for length in lengths]


@pytest.mark.parametrize("flavour", ["polygon", "compressed", "uncompressed"])
def test_every_flavour_of_segmentation_gives_the_same_mask(tmp_path: Path, flavour: str) -> None:
    mask_HW = square_mask()
    segmentation = {
        "polygon": [SQUARE],
        "compressed": {"size": list(SHAPE_PX), "counts": encode(mask_HW).counts},
        "uncompressed": {"size": list(SHAPE_PX), "counts": runs_of(mask_HW)},
    }[flavour]
    run_import(write_coco(tmp_path / "source", segmentation), tmp_path / "out")
    (record,) = Manifest(tmp_path / "out").records()
    for target in record.targets:
        np.testing.assert_array_equal(decode(target.mask), mask_HW > 0)


@pytest.mark.parametrize(
    ("name", "phrase", "kind"),
    [
        ("stenosis", "stenosis", TargetKind.STENOSIS),
        ("Catheter", "catheter", TargetKind.CATHETER),
        ("vessel", "blood vessels", TargetKind.VESSEL_TREE),
        ("proximal LAD", "proximal LAD", TargetKind.SEGMENT),
    ],
)
def test_category_names_get_their_kind(tmp_path: Path, name: str, phrase: str, kind: TargetKind) -> None:
    run_import(write_coco(tmp_path / "source", name=name), tmp_path / "out")
    (record,) = Manifest(tmp_path / "out").records()
    assert (record.targets[-1].phrase, record.targets[-1].kind) == (phrase, kind)


def test_origin_licence_and_brightness_are_recorded(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "source")
    run_import(source, tmp_path / "out", origin="simulated", licence="CC0", bright_vessels=True)
    manifest = Manifest(tmp_path / "out")
    (record,) = manifest.records()
    assert {target.origin for target in record.targets} == {Origin.SIMULATED}
    assert (manifest.provenance.licence, record.photometry.inverted) == ("CC0", True)


def test_image_without_annotation_is_not_labelled_and_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_image(source / "images" / "1.png", noise(1))
    write_image(source / "images" / "unlisted.png", noise(2))
    write_json(source / "annotations" / "labels.json", coco([coco_image(1, "1.png")], [], ["6"]))
    report = run_import(source, tmp_path / "out")
    assert records_of(tmp_path / "out")["1"].targets == ()
    assert {finding.code for finding in report.findings} == {"image-without-annotation", "image-not-listed"}


@pytest.mark.parametrize("place", [".", "images", "images/labels", "labels", "annotations"])
def test_images_are_found_in_every_usual_place(tmp_path: Path, place: str) -> None:
    write_image(tmp_path / "source" / place / "deep" / "1.png", noise(1))
    content = coco([coco_image(1, "deep/1.png")], [annotation(1, 1, [SQUARE])], ["6"])
    write_json(tmp_path / "source" / "annotations" / "labels.json", content)
    run_import(tmp_path / "source", tmp_path / "out", format="coco")
    assert list(records_of(tmp_path / "out")) == ["deep-1"]


def test_several_files_keep_their_frames_apart(tmp_path: Path) -> None:
    for number, part in enumerate(("instances_train2017", "instances_val2017")):
        write_image(tmp_path / "source" / "images" / part / "1.png", noise(number))
        content = coco([coco_image(1, "1.png")], [annotation(1, 1, [SQUARE])], ["6"])
        write_json(tmp_path / "source" / "annotations" / f"{part}.json", content)
    run_import(tmp_path / "source", tmp_path / "out")
    splits = {name: record.split for name, record in records_of(tmp_path / "out").items()}
    assert splits == {"instances_train2017-1": Split.TRAIN, "instances_val2017-1": Split.VAL}


def test_phrase_that_a_format_has_no_use_for_is_noted(tmp_path: Path) -> None:
    report = run_import(write_coco(tmp_path / "source"), tmp_path / "out", phrase="vessels")
    assert [finding.code for finding in report.findings] == ["phrase-unused"]


@pytest.mark.parametrize(
    ("polygon", "clipped"),
    [
        # By hand, in an image of 10 x 10: inside; cut by one side; by a corner; wholly outside; around everything.
        ([1, 1, 4, 1, 4, 4], {(1, 1), (4, 1), (4, 4)}),
        ([-4, 0, 4, 0, 4, 8], {(0, 0), (4, 0), (4, 8), (0, 4)}),
        ([8, 8, 14, 8, 14, 14, 8, 14], {(8, 8), (10, 8), (10, 10), (8, 10)}),
        ([12, 1, 14, 1, 14, 4], set()),
        ([-5, -5, 15, -5, 15, 15, -5, 15], {(0, 0), (10, 0), (10, 10), (0, 10)}),
    ],
)
def test_clipping(polygon: list[float], clipped: set[tuple[float, float]]) -> None:
    points = clip_polygon(polygon, height=10, width=10)
    assert set(zip(points[0::2], points[1::2], strict=True)) == clipped


def test_real_arcade_validation_part(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "arcade" / "syntax" / "val"
    content = json.loads((source / "annotations" / "val.json").read_text())
    pairs = {(entry["image_id"], entry["category_id"]) for entry in content["annotations"]}
    assert len(content["annotations"]) == 1168
    report = run_import(source, tmp_path / "out", reference=True)
    assert (report.num_frames, report.frames_by_split) == (200, {"val": 200})
    assert report.targets_by_kind == {"segment": len(pairs), "vessel_tree": 200}
    assert report.targets_by_kind["segment"] == 1167
    for record in Manifest(tmp_path / "out").records():
        tree, *segments = record.targets
        union_HW = np.logical_or.reduce([decode(segment.mask) for segment in segments])
        np.testing.assert_array_equal(decode(tree.mask), union_HW)
