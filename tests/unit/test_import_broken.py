"""Broken sources are refused by file and reason, all at once; what is safe to repair is repaired and listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from angiova.data.importers.findings import MAX_LISTED
from angiova.data.manifest import Manifest
from angiova.data.records import TargetKind
from angiova.errors import AngiovaError, ConfigError, DataError
from angiova.files import read_json
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
    write_masks,
    write_sa2va,
    write_video,
)


@dataclass(frozen=True)
class Broken:
    """A source with one fault.

    Attributes:
        name: what the fault is.
        make: writes the source into a folder.
        code: the finding expected.
        file: what its place must name.
        reason: what its message must say.
        frames: frames that are left after a repair; None where there is no safe repair.
        targets: targets that are left after a repair.
    """

    name: str
    make: Callable[[Path], object]
    code: str
    file: str
    reason: str
    frames: int | None = None
    targets: int = 0


def missing_image(folder: Path) -> None:
    write_coco(folder)
    content = coco([coco_image(1, "1.png"), coco_image(2, "gone.png")], [annotation(1, 1, [SQUARE])], ["6"])
    write_json(folder / "annotations" / "labels.json", content)


def unreadable_image(folder: Path) -> None:
    write_masks(folder)
    (folder / "images" / "a1.png").write_bytes(b"not a picture")


def truncated_image(folder: Path) -> None:
    write_masks(folder)
    path = write_image(folder / "images" / "a1.png", noise(1, (256, 256)))
    write_image(folder / "masks" / "a1.png", square_mask((256, 256)))
    path.write_bytes(path.read_bytes()[:20000])


def wrong_image_size(folder: Path) -> None:
    write_coco(folder)
    write_image(folder / "images" / "1.png", noise(1, (24, 33)))


def wrong_mask_size(folder: Path) -> None:
    write_masks(folder)
    write_image(folder / "masks" / "a1.png", square_mask((25, 32)))


def smooth_mask(folder: Path) -> None:
    write_masks(folder, num_images=1)
    mask_HW = square_mask()
    mask_HW[3, 4:12], mask_HW[12, 4:12] = 100, 200  # by hand: 64 + 8 pixels are above half of 255
    write_image(folder / "masks" / "a0.png", mask_HW)


def mask_of_classes(folder: Path) -> None:
    write_masks(folder, num_images=1)
    mask_HW = square_mask(value=1)
    mask_HW[0, 0] = 2
    write_image(folder / "masks" / "a0.png", mask_HW)


def mask_twice(folder: Path) -> None:
    write_masks(folder, num_images=1)
    write_image(folder / "masks" / "a0_mask.png", square_mask())


def image_without_mask(folder: Path) -> None:
    write_masks(folder)
    (folder / "masks" / "a1.png").unlink()


def mask_without_image(folder: Path) -> None:
    write_masks(folder)
    (folder / "images" / "a1.png").unlink()


def unreadable_mask(folder: Path) -> None:
    write_masks(folder, num_images=1)
    (folder / "masks" / "a0.png").write_bytes(b"")


def same_name_twice(folder: Path) -> None:
    write_masks(folder, num_images=1)
    write_image(folder / "images" / "a0.bmp", noise(5))


def category_without_entry(folder: Path) -> None:
    write_coco(folder)
    content = coco([coco_image(1, "1.png")], [annotation(1, 7, [SQUARE])], ["6"])
    write_json(folder / "annotations" / "labels.json", content)


def annotation_without_image(folder: Path) -> None:
    write_coco(folder)
    annotations = [annotation(1, 1, [SQUARE]), annotation(9, 1, [SQUARE])]
    write_json(folder / "annotations" / "labels.json", coco([coco_image(1, "1.png")], annotations, ["6"]))


def image_id_twice(folder: Path) -> None:
    write_coco(folder)
    images = [coco_image(1, "1.png"), coco_image(1, "1.png")]
    write_json(folder / "annotations" / "labels.json", coco(images, [annotation(1, 1, [SQUARE])], ["6"]))


def polygon(points: object) -> Callable[[Path], object]:
    return lambda folder: write_coco(folder, [SQUARE, points])


def frame_number_twice(folder: Path) -> None:
    for name in ("a_1.png", "b_1.png"):
        write_image(folder / "run" / name, noise(ord(name[0])))


OUTSIDE = [24.0, 4.0, 40.0, 4.0, 40.0, 8.0, 24.0, 8.0]  # 8 x 4 pixels of it are inside the 32 columns

BROKEN = [
    Broken("missing image", missing_image, "image-missing", "gone.png", "not found", 1, 2),
    Broken("unreadable image", unreadable_image, "image-unreadable", "a1.png", "cannot be read", 1, 1),
    Broken("truncated image", truncated_image, "image-unreadable", "a1.png", "damaged", 1, 1),
    Broken("image of another size", wrong_image_size, "image-size-mismatch", "1.png", "32 x 24, the image is 33 x 24"),
    Broken("mask of another size", wrong_mask_size, "mask-size-mismatch", "a1.png", "32 x 25, its image 32 x 24"),
    Broken("smooth mask", smooth_mask, "mask-not-binary", "a0.png", "4 values (0, 100, 200, 255)", 1, 1),
    Broken("mask of classes", mask_of_classes, "mask-of-classes", "a0.png", "3 classes"),
    Broken("two masks for an image", mask_twice, "mask-twice", "a0_mask.png", "already the mask"),
    Broken("image without mask", image_without_mask, "image-without-mask", "a1.png", "no mask", 2, 1),
    Broken("mask without image", mask_without_image, "mask-without-image", "a1.png", "no image", 1, 1),
    Broken("unreadable mask", unreadable_mask, "mask-unreadable", "a0.png", "cannot be read", 1, 0),
    Broken("two images of one name", same_name_twice, "duplicate-frame", "a0.", "already"),
    Broken("unknown category", lambda f: write_coco(f, name="wire"), "category-unknown", "labels", "'wire'", 1, 1),
    Broken("category id without entry", category_without_entry, "category-missing", "annotation 1", "category_id"),
    Broken("orphan", annotation_without_image, "annotation-without-image", "annotations[1]", "id 9", 1, 2),
    Broken("image id twice", image_id_twice, "image-id-twice", "images[1]", "twice"),
    Broken("polygon outside", polygon(OUTSIDE), "polygon-outside", "annotation 1", "8 px outside", 1, 2),
    Broken("two points", polygon([1, 1, 5, 5]), "polygon-malformed", "annotation 1", "2 points", 1, 2),
    Broken("odd coordinates", polygon([1, 1, 5, 1, 5, 5, 1]), "polygon-malformed", "annotation 1", "odd", 1, 2),
    Broken("text in a polygon", polygon([1, "x"]), "polygon-malformed", "annotation 1", "numbers", 1, 2),
    Broken("only a box", lambda f: write_coco(f, []), "no-segmentation", "annotation 1", "no polygon", 1, 0),
    Broken("JSON is a word", lambda f: write_json(f / "a.json", {"images": 1}), "json-malformed", "a.json", "'images'"),
    Broken("text missing", lambda f: write_sa2va(f, text=[]), "entry-refused", "annotations.json[0]", "0 texts"),
    Broken("text empty", lambda f: write_sa2va(f, text=[" "]), "entry-refused", "annotations.json[0]", "empty"),
    Broken("flat object", lambda f: write_sa2va(f, [SQUARE]), "object-malformed", "mask[0]", "list of polygons"),
    Broken("short track", lambda f: write_video(f, {"0": [None]}), "track-length", "mask_dict.json: 0", "1 masks"),
    Broken("no track", lambda f: write_video(f, {}), "track-length", "mask_dict.json: 0", "0 masks"),
    Broken("no masks", lambda f: write_video(f, {}, []), "expression-without-mask", "videos.v1", "no anno_id"),
    Broken("frame number twice", frame_number_twice, "frame-number-twice", "run", "same number"),
]
IDS = [case.name for case in BROKEN]


@pytest.mark.parametrize("case", BROKEN, ids=IDS)
def test_fault_is_refused_with_its_file_and_reason(tmp_path: Path, case: Broken) -> None:
    case.make(tmp_path / "source")
    before = tree_bytes(tmp_path / "source")
    with pytest.raises(DataError) as refused:
        run_import(tmp_path / "source", tmp_path / "out")
    for words in (case.code, case.file, case.reason):
        assert words in str(refused.value)
    assert tree_bytes(tmp_path / "source") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]  # no half data set, and no leftovers


@pytest.mark.parametrize("case", [case for case in BROKEN if case.frames is not None], ids=lambda case: case.name)
def test_fault_is_repaired_and_listed(tmp_path: Path, case: Broken) -> None:
    case.make(tmp_path / "source")
    before = tree_bytes(tmp_path / "source")
    report = run_import(tmp_path / "source", tmp_path / "out", fix=True)
    repaired = [finding for finding in report.findings if finding.repaired]
    assert [finding.code for finding in repaired] == [case.code]
    assert case.file in repaired[0].where
    assert case.reason in repaired[0].message
    assert (report.num_frames, sum(report.targets_by_kind.values())) == (case.frames, case.targets)
    assert tree_bytes(tmp_path / "source") == before
    written = read_json(tmp_path / "out" / "import.json")
    assert written["num_findings_by_code"][case.code] == 1


@pytest.mark.parametrize("case", [case for case in BROKEN if case.frames is None], ids=lambda case: case.name)
def test_what_cannot_be_repaired_safely_is_refused_with_fix_too(tmp_path: Path, case: Broken) -> None:
    case.make(tmp_path / "source")
    with pytest.raises(DataError, match=case.code):
        run_import(tmp_path / "source", tmp_path / "out", fix=True)


def test_smooth_mask_is_cut_at_half_of_its_maximum(tmp_path: Path) -> None:
    smooth_mask(tmp_path / "source")
    run_import(tmp_path / "source", tmp_path / "out", fix=True)
    assert records_of(tmp_path / "out")["a0"].targets[0].mask.area_px == 72


def test_polygon_is_clipped_to_what_lies_inside(tmp_path: Path) -> None:
    write_coco(tmp_path / "source", [OUTSIDE])
    run_import(tmp_path / "source", tmp_path / "out", fix=True)
    (record,) = Manifest(tmp_path / "out").records()
    assert record.targets[0].mask.area_px == 32


def test_object_left_without_polygon_is_not_labelled_rather_than_absent(tmp_path: Path) -> None:
    write_coco(tmp_path / "source", [[1, 1, 5, 5]])
    run_import(tmp_path / "source", tmp_path / "out", fix=True)
    (record,) = Manifest(tmp_path / "out").records()
    assert record.targets == ()


def test_unknown_category_is_kept_by_its_name(tmp_path: Path) -> None:
    run_import(write_coco(tmp_path / "source", name="Guide wire"), tmp_path / "out", fix=True)
    (record,) = Manifest(tmp_path / "out").records()
    assert [(target.phrase, target.kind) for target in record.targets] == [("Guide wire", TargetKind.OTHER)]


def test_all_problems_are_listed_at_once_and_the_rest_counted(tmp_path: Path) -> None:
    write_masks(tmp_path / "source", num_images=MAX_LISTED + 7)
    for path in (tmp_path / "source" / "masks").iterdir():
        write_image(path, square_mask((25, 32)))
    with pytest.raises(DataError) as refused:
        run_import(tmp_path / "source", tmp_path / "out")
    lines = str(refused.value).splitlines()
    assert f"{MAX_LISTED + 7} problems" in lines[0]
    assert sum("mask is 32 x 25" in line for line in lines) == MAX_LISTED
    assert "and 7 more" in lines[-1]


@pytest.mark.parametrize("format", [None, "masks", "frames"])
def test_empty_folder_is_refused(tmp_path: Path, format: str | None) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(DataError):
        run_import(tmp_path / "source", tmp_path / "out", format)


@pytest.mark.parametrize("place", ["source/out", "source", "full"])
def test_nothing_is_written_into_the_source_or_over_anything(tmp_path: Path, place: str) -> None:
    source = write_masks(tmp_path / "source")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(DataError):
        run_import(source, tmp_path / place)
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize(
    "wrong", [{"origin": "guess"}, {"pattern": "{who}"}, {"format": "nifti"}], ids=["origin", "pattern", "format"]
)
def test_wrong_option_is_named(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"--{next(iter(wrong))}"):
        run_import(write_masks(tmp_path / "source"), tmp_path / "out", **wrong)


def test_path_that_does_not_fit_the_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AngiovaError, match="pattern-mismatch"):
        run_import(write_masks(tmp_path / "source"), tmp_path / "out", pattern="{patient}/{run}/{frame}")


def test_full_mask_is_a_warning(tmp_path: Path) -> None:
    source = write_masks(tmp_path / "source", num_images=1)
    write_image(source / "masks" / "a0.png", np.full(SHAPE_PX, 255, dtype=np.uint8))
    report = run_import(source, tmp_path / "out")
    assert [finding.code for finding in report.findings] == ["mask-full"]
