"""A check sees damage, leaks and doubtful labels, says nothing about sound data, and measures what is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angiova.data.checks import CheckReport, check_dataset, print_findings
from angiova.data.duplicates import THUMBNAIL_SIZE_PX, duplicate_groups, near_duplicates, thumbnail
from angiova.data.fingerprint import Distribution, calibres_px
from angiova.data.manifest import Manifest, Provenance, write_dataset
from angiova.data.pixels import write_png
from angiova.data.records import FrameRecord, Origin, Split, Target, TargetKind
from angiova.data.rle import empty, encode
from angiova.errors import DataError
from angiova.files import read_json
from sources import Grey, noise, run_import, square_mask, write_image, write_masks

SIDE_PX = 64
TREE = Target("blood vessels", TargetKind.VESSEL_TREE, encode(square_mask((SIDE_PX, SIDE_PX))), Origin.MANUAL)
SOUND = FrameRecord(
    frame_id="f0",
    image="images/f0.png",
    height=SIDE_PX,
    width=SIDE_PX,
    source="made here",
    source_sha256="0" * 64,
    run="r0",
    patient="p0",
    spacing_mm=(0.5, 0.5),
    targets=(TREE,),
)


def frame(index: int, **changes: object) -> FrameRecord:
    numbered = replace(SOUND, frame_id=f"f{index}", image=f"images/f{index}.png", run=f"r{index}", patient=f"p{index}")
    return replace(numbered, **changes)  # type: ignore[arg-type]


def smooth_image(seed: int, side_px: int = SIDE_PX) -> Grey:
    """Return a cloudy image, as angiograms are, that no other seed gives."""
    waves = np.random.default_rng(seed).normal(size=(8, 8)).repeat(side_px // 8, 0).repeat(side_px // 8, 1)
    return np.rint(255 * (waves - waves.min()) / np.ptp(waves)).astype(np.uint8)


def write(folder: Path, records: list[FrameRecord], images: list[Grey] | None = None) -> Path:
    for index, record in enumerate(records):
        write_png(folder / record.image, images[index] if images else smooth_image(index))
    write_dataset(folder, records, Provenance("test", "made here", "0"))
    return folder


def codes(report: CheckReport) -> list[str]:
    return sorted(finding.code for finding in report.findings)


def test_sound_data_have_no_findings(tmp_path: Path) -> None:
    report = check_dataset(write(tmp_path, [frame(0), frame(1)]))
    assert report.findings == ()
    assert print_findings(report) == 0


def tiny(record: FrameRecord) -> FrameRecord:
    mask_HW = np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
    mask_HW[0, :9] = True
    return replace(record, targets=(replace(TREE, mask=encode(mask_HW)),))


def half_view(record: FrameRecord) -> FrameRecord:
    view_HW = np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
    view_HW[:8] = True  # the square reaches to row 12
    return replace(record, field_of_view=encode(view_HW))


@pytest.mark.parametrize(
    ("change", "code", "errors"),
    [
        (lambda r: replace(r, patient=None), "no-patient", 0),
        (lambda r: replace(r, spacing_mm=None), "no-spacing", 0),
        (lambda r: replace(r, targets=(replace(TREE, origin=Origin.PSEUDO),)), "pseudo-labels", 0),
        (lambda r: replace(r, targets=(replace(TREE, mask=empty(SIDE_PX, SIDE_PX)),)), "empty-trees", 0),
        (tiny, "target-tiny", 0),
        (half_view, "target-outside-view", 0),
        (lambda r: replace(r, height=SIDE_PX + 1, targets=()), "image-unreadable", 1),
        (lambda r: replace(r, image="images/f1.png"), "duplicates", 0),
        (lambda r: replace(r, image="images/f1.png", patient="p1"), "repeated-frames", 0),
    ],
)
def test_one_fault_is_one_finding(
    tmp_path: Path, change: Callable[[FrameRecord], FrameRecord], code: str, errors: int
) -> None:
    records = [change(frame(0)), frame(1)]
    images = [smooth_image(0), smooth_image(1)] if records[0].image != records[1].image else [smooth_image(1)] * 2
    report = check_dataset(write(tmp_path, records, images))
    assert codes(report) == [code]
    assert (report.num_errors, print_findings(report)) == (errors, errors)


def test_missing_and_constant_images_are_errors(tmp_path: Path) -> None:
    images = [np.full((SIDE_PX, SIDE_PX), 7, dtype=np.uint8), smooth_image(1)]
    write(tmp_path, [frame(0), frame(1)], images)
    (tmp_path / "images" / "f1.png").unlink()
    report = check_dataset(tmp_path)
    assert codes(report) == ["image-constant", "image-missing"]
    assert report.num_errors == 2


@pytest.mark.parametrize("reference", [False, True])
def test_image_changed_after_the_import_is_an_error(tmp_path: Path, reference: bool) -> None:
    source = write_masks(tmp_path / "source")
    run_import(source, tmp_path / "out", reference=reference)
    changed = source / "images" / "a0.png" if reference else tmp_path / "out" / "images" / "a0.png"
    assert "image-changed" not in codes(check_dataset(tmp_path / "out"))
    pixels = noise(0)
    pixels[0, 0] ^= 1
    write_image(changed, pixels)
    assert "image-changed" in codes(check_dataset(tmp_path / "out"))


def test_patient_in_two_splits_is_an_error(tmp_path: Path) -> None:
    records = [frame(0, split=Split.TRAIN), frame(1, split=Split.TEST, patient="p0"), frame(2, split=Split.VAL)]
    report = check_dataset(write(tmp_path, records))
    assert [(finding.code, finding.severity, finding.where) for finding in report.findings] == [
        ("patient-in-several-splits", "error", "p0")
    ]


@pytest.mark.parametrize(
    ("change", "code", "errors"),
    [
        (lambda image: image, "duplicates-across-splits", 1),
        (lambda image: (image // 2 + 40).astype(np.uint8), "near-duplicates-across-splits", 0),
    ],
)
def test_same_picture_in_two_splits_is_found(
    tmp_path: Path, change: Callable[[Grey], Grey], code: str, errors: int
) -> None:
    records = [frame(0, split=Split.TRAIN), frame(1, split=Split.VAL), frame(2, split=Split.VAL)]
    images = [smooth_image(0), smooth_image(1), change(smooth_image(0))]
    report = check_dataset(write(tmp_path, records, images))
    assert [(finding.code, finding.where) for finding in report.findings] == [(code, "f0, f2")]
    assert report.num_errors == errors


@pytest.mark.parametrize("owner", [{"patient": "p"}, {"patient": None, "run": "r"}])
def test_frames_of_one_patient_or_run_may_look_alike(tmp_path: Path, owner: dict[str, str | None]) -> None:
    image_HW = smooth_image(0) // 2
    report = check_dataset(write(tmp_path, [frame(0, **owner), frame(1, **owner)], [image_HW, image_HW + np.uint8(9)]))
    assert set(codes(report)) <= {"no-patient"}


def test_fingerprint_states_what_is_there(tmp_path: Path) -> None:
    records = [frame(0), frame(1, run="r0", patient="p0"), frame(2, split=Split.TEST)]
    report = check_dataset(write(tmp_path, records))
    written = read_json(tmp_path / "fingerprint.json")
    assert written == report.fingerprint
    assert (written["num_frames"], written["num_runs"], written["num_patients"]) == (3, 2, 2)
    assert written["frames_by_split"] == {"none": 2, "test": 1}
    assert written["targets_by_phrase"] == {"blood vessels": 3}
    assert written["area_px_by_kind"]["vessel_tree"]["p50"] == 64
    assert sum(written["grey_levels"]["histogram"]) == 3 * SIDE_PX**2
    assert written["frames_per_run"]["max"] == 2
    # 0.5 mm a pixel: millimetres are half the pixels
    assert written["calibre_mm"]["max"] == pytest.approx(written["calibre_px"]["max"] / 2)
    assert read_json(tmp_path / "findings.json")["manifest_sha256"] == Manifest(tmp_path).sha256()


def test_check_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="angiova import"):
        check_dataset(tmp_path)


def test_damaged_manifest_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [frame(0)])
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="import again"):
        check_dataset(tmp_path)


def test_parquet_of_another_form_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [frame(0)])
    pl.DataFrame({"frame_id": ["f0"]}).write_parquet(tmp_path / "manifest.parquet")
    with pytest.raises(DataError, match="its columns are not those"):
        check_dataset(tmp_path)


@pytest.mark.parametrize(("width_px", "calibre_px"), [(1, 2), (2, 2), (4, 4), (5, 6), (8, 8)])
def test_calibre_of_a_straight_vessel(width_px: int, calibre_px: int) -> None:
    mask_HW = np.zeros((40, 100), dtype=bool)
    mask_HW[10 : 10 + width_px] = True
    middle = np.median(calibres_px(mask_HW))
    assert middle == calibre_px


def test_calibre_of_nothing_is_nothing() -> None:
    assert len(calibres_px(np.zeros((5, 5), dtype=bool))) == 0


@given(st.lists(st.integers(0, 500), min_size=1, max_size=200))
def test_distribution_agrees_with_numpy(values: list[int]) -> None:
    distribution = Distribution.with_step(1)
    for part in (values[::2], values[1::2]):
        distribution.add(np.asarray(part, dtype=np.int64))
    summary = distribution.summary()
    assert summary is not None
    assert (summary["number"], summary["min"], summary["max"]) == (len(values), min(values), max(values))
    assert summary["p50"] == np.percentile(values, 50, method="inverted_cdf")
    assert summary["mean"] == pytest.approx(np.mean(values), abs=1e-4)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_sieve_loses_no_pair_and_adds_none(number: int, seed: int) -> None:
    """Compared with all correlations computed outright, on images in clusters around the threshold."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(4, THUMBNAIL_SIZE_PX, THUMBNAIL_SIZE_PX))
    clouds = centres[random.integers(0, 4, number)] + random.uniform(0, 0.4, (number, 1, 1)) * random.normal(
        size=(number, THUMBNAIL_SIZE_PX, THUMBNAIL_SIZE_PX)
    )
    thumbnails_NHW = np.clip(128 + 30 * clouds, 0, 255).astype(np.uint8)
    correlations = np.corrcoef(thumbnails_NHW.reshape(number, -1))
    expected = {(i, j) for i in range(number) for j in range(i + 1, number) if correlations[i, j] > 0.95}
    unsure = {(i, j) for i, j in expected if correlations[i, j] < 0.95 + 1e-5}
    found = {(int(i), int(j)) for i, j in near_duplicates(thumbnails_NHW, np.arange(number))}
    assert expected - unsure <= found
    assert all(correlations[i, j] > 0.95 - 1e-5 for i, j in found)


def test_planted_near_duplicates_are_found_among_real_images(shared_data: Path) -> None:
    """Promise R11: at least 99 % of planted near-duplicates are found, with at most 1 % false alarms."""
    from PIL import Image

    paths = sorted((shared_data / "arcade" / "syntax" / "val" / "images").glob("*.png"))[:100]
    images = [np.asarray(Image.open(path).convert("L")) for path in paths]
    random = np.random.default_rng(0)
    planted = []
    for index, image_HW in enumerate(images):
        copy = Image.fromarray(image_HW)
        copy = copy.resize((400, 400)) if index % 3 == 0 else copy
        pixels = np.asarray(copy).astype(float) * random.uniform(0.7, 1) + random.uniform(-20, 20)
        planted.append(np.clip(pixels + random.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8))
    thumbnails_NHW = np.stack([thumbnail(image_HW) for image_HW in [*images, *planted]])
    pairs = {(int(i), int(j)) for i, j in near_duplicates(thumbnails_NHW, np.arange(len(thumbnails_NHW)))}
    true = {(index, index + len(images)) for index in range(len(images))}
    assert len(pairs & true) >= 0.99 * len(true)
    among_originals = {pair for pair in pairs if max(pair) < len(images)}
    false_alarms = {(i, j) for i, j in pairs - true if (min(i, j % 100), max(i, j % 100)) not in among_originals}
    assert len(among_originals) + len(false_alarms) <= 0.01 * len(images) * (len(images) - 1) / 2


def test_groups_join_through_others() -> None:
    groups = duplicate_groups(5, np.array([[0, 3], [3, 4]]))
    assert groups[0] == groups[3] == groups[4]
    assert len({int(groups[0]), int(groups[1]), int(groups[2])}) == 3


def test_rim_of_the_field_of_view_does_not_make_images_alike() -> None:
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] - SIDE_PX / 2
    view_HW = rows**2 + columns**2 < (SIDE_PX / 2.2) ** 2
    images = [np.where(view_HW, 180 + smooth_image(seed) // 8, 0).astype(np.uint8) for seed in range(2)]
    assert len(near_duplicates(np.stack([thumbnail(image) for image in images]), np.arange(2))) == 1
    assert len(near_duplicates(np.stack([thumbnail(image, view_HW) for image in images]), np.arange(2))) == 0
