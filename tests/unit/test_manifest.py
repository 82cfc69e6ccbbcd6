"""A data set comes back as it was written, counts only when whole, and is read without holding it all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from angiova.data import rle
from angiova.data.manifest import Manifest, ManifestWriter, Provenance, assign_splits, write_dataset
from angiova.data.pixels import write_png
from angiova.data.records import FrameRecord, Origin, Photometry, Split, Target, TargetKind
from angiova.errors import DataError

PROVENANCE = Provenance(importer="coco", source="/data/arcade", angiova_version="0.1.0", options={"fix": True})
NUM_MANY = 50_000

READ_LAZILY = """
import itertools, re, sys
from pathlib import Path
from angiova.data.manifest import Manifest

def peak_kib():  # not ru_maxrss, which a child process inherits from its parent
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = peak_kib()
manifest = Manifest(Path(sys.argv[1]))
assert manifest.num_frames == {num_frames}
patients = manifest.scan().select("patient").unique().collect()
assert len(patients) == 100
opened = peak_kib() - before
count = sum(1 for _ in itertools.islice(manifest.records(), {num_frames}))
assert count == {num_frames}
print(opened, peak_kib() - before)
"""


def a_full_record() -> FrameRecord:
    mask_HW = np.zeros((6, 8), dtype=bool)
    mask_HW[2:4, 1:7] = True
    return FrameRecord(
        frame_id="p1_r1_0003",
        image="images/p1_r1_0003.png",
        height=6,
        width=8,
        source="p1/r1/frame_0003.dcm",
        source_sha256="ab" * 32,
        run="r1",
        frame=3,
        patient="p1",
        study="s1",
        time_s=0.2,
        spacing_mm=(0.3, 0.31),
        angles_deg=(-30.0, 20.5),
        photometry=Photometry(bits=12, channels=1, inverted=True),
        field_of_view=rle.encode(np.ones((6, 8))),
        targets=(
            Target("proximal LAD", TargetKind.SEGMENT, rle.encode(mask_HW), Origin.MANUAL, "reader 1", "6"),
            Target("catheter", TargetKind.CATHETER, rle.empty(6, 8), Origin.PSEUDO),
        ),
        split=Split.VAL,
    )


def a_bare_record(number: int = 0) -> FrameRecord:
    name = f"frame-{number:05d}"
    return FrameRecord(name, f"images/{name}.png", 6, 8, f"{name}.png", "00" * 32, run="run-0", frame=number)


def test_records_come_back_equal_and_in_order(tmp_path: Path) -> None:
    records = [a_full_record(), a_bare_record(1), a_bare_record(0)]
    manifest = write_dataset(tmp_path / "set", records, PROVENANCE)
    assert list(manifest.records()) == records
    assert list(Manifest(tmp_path / "set").records()) == records
    assert manifest.num_frames == 3
    assert manifest.provenance == PROVENANCE
    assert list(manifest.records(Split.VAL)) == records[:1]


def test_several_parts_and_batches_keep_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ManifestWriter, "ROWS_A_PART", 4)
    records = [a_bare_record(number) for number in range(11)]
    manifest = write_dataset(tmp_path, records, PROVENANCE)
    assert list(manifest.records(batch_rows=3)) == records
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.json", "manifest.parquet"]


def test_data_set_without_frames_is_one(tmp_path: Path) -> None:
    assert list(write_dataset(tmp_path, [], PROVENANCE).records()) == []


def test_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write_dataset(tmp_path / name, [a_full_record()], PROVENANCE) for name in ("one", "two"))
    assert one.sha256() == two.sha256()


def test_duplicate_frame_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="frame-00000: duplicate frame"):
        write_dataset(tmp_path / "set", [a_bare_record(), a_bare_record()], PROVENANCE)
    with pytest.raises(DataError, match=r"dataset\.json is missing"):
        Manifest(tmp_path / "set")
    assert list((tmp_path / "set").iterdir()) == []


def test_interrupted_write_leaves_no_data_set_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ManifestWriter, "ROWS_A_PART", 2)

    def interrupted() -> Iterator[FrameRecord]:
        yield from (a_bare_record(number) for number in range(5))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, interrupted(), PROVENANCE)
    with pytest.raises(DataError, match="no data set here"):
        Manifest(tmp_path)
    assert write_dataset(tmp_path, [a_bare_record()], PROVENANCE).num_frames == 1


def test_existing_data_set_is_not_overwritten(tmp_path: Path) -> None:
    write_dataset(tmp_path, [a_full_record()], PROVENANCE)
    with pytest.raises(DataError, match="already holds a data set"):
        ManifestWriter(tmp_path, PROVENANCE)
    assert list(Manifest(tmp_path).records()) == [a_full_record()]


def test_data_set_of_another_format_is_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path, [a_bare_record()], PROVENANCE)
    description = (tmp_path / "dataset.json").read_text()
    (tmp_path / "dataset.json").write_text(description.replace("angiova-dataset/1", "angiova-dataset/9"))
    with pytest.raises(DataError, match="angiova-dataset/9"):
        Manifest(tmp_path)


def test_split_is_written_and_frames_not_named_lose_theirs(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path, [a_full_record(), a_bare_record()], PROVENANCE)
    assign_splits(manifest, {"frame-00000": Split.TEST}, frames_are_independent=True)
    again = Manifest(tmp_path)
    assert [record.split for record in again.records()] == [None, Split.TEST]
    assert again.provenance.frames_are_independent
    assert again.num_frames == 2


def test_image_of_another_size_and_image_outside_are_refused(tmp_path: Path) -> None:
    outside = FrameRecord("x", "../x.png", 6, 8, "x.png", "00" * 32, run="r")
    manifest = write_dataset(tmp_path / "set", [a_bare_record(), outside], PROVENANCE)
    write_png(tmp_path / "set" / "images" / "frame-00000.png", np.zeros((5, 8), dtype=np.uint8))
    with pytest.raises(DataError, match="image is 5 x 8, the manifest says 6 x 8"):
        manifest.read_image(a_bare_record())
    with pytest.raises(DataError, match="leaves the data set"):
        manifest.read_image(outside)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_many_frames_are_read_with_a_fraction_of_their_size(tmp_path: Path) -> None:
    size_bytes = 4000
    filler = "".join(chr(48 + digit) for digit in np.random.default_rng(0).integers(0, 64, size_bytes + NUM_MANY))

    def many() -> Iterator[FrameRecord]:
        for number in range(NUM_MANY):
            mask = rle.Rle(512, 512, filler[number : number + size_bytes])  # never decoded; only its size matters
            target = Target("blood vessels", TargetKind.VESSEL_TREE, mask, Origin.MANUAL)
            yield FrameRecord(
                f"f{number}", "i.png", 512, 512, "s", "00", run="r", patient=f"p{number % 100}", targets=(target,)
            )

    manifest = write_dataset(tmp_path, many(), PROVENANCE)
    whole_mib = NUM_MANY * size_bytes / 2**20
    opened_mib, read_mib = _memory_of_reading(tmp_path)
    assert opened_mib < whole_mib / 4, f"opening took {opened_mib:.0f} MiB of {whole_mib:.0f}"
    assert read_mib < whole_mib * 3 / 4, f"reading one by one took {read_mib:.0f} MiB of {whole_mib:.0f}"
    assign_splits(manifest, {}, frames_are_independent=False)
    _, read_mib = _memory_of_reading(tmp_path)
    assert read_mib < whole_mib * 3 / 4, f"after a split, {read_mib:.0f} MiB of {whole_mib:.0f}"


def _memory_of_reading(folder: Path) -> tuple[float, float]:
    """Return by how many MiB a process of its own grew when it opened a data set, and when it had read each frame."""
    script = READ_LAZILY.format(num_frames=NUM_MANY)
    command = [sys.executable, "-c", script, str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    opened_kib, read_kib = map(int, finished.stdout.split())
    return opened_kib / 1024, read_kib / 1024
