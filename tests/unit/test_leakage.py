"""A model is never tested on what it was trained on without every reader knowing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from angiova.data.manifest import Manifest, Provenance, write_dataset
from angiova.data.pixels import read_grey, write_png
from angiova.data.records import FrameRecord, Severity, Split
from angiova.data.training_frames import describe_frames, read_training_frames, write_training_frames
from angiova.errors import DataError
from angiova.evaluation.evaluate import evaluate
from angiova.evaluation.leakage import find_leakage, leakage_findings
from angiova.evaluation.result import LeakageFacts
from models import write_frames


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_frames(tmp_path_factory.mktemp("leakage") / "data", frames=6, patients=6)


def described(manifest: Manifest, *records: FrameRecord) -> pl.DataFrame:
    return describe_frames(manifest, records)


def strangers(manifest: Manifest) -> tuple[FrameRecord, FrameRecord]:
    first, second, *_ = manifest.records()
    return first, second


def test_frames_of_other_patients_share_nothing(manifest: Manifest) -> None:
    one, other = strangers(manifest)
    facts = find_leakage(described(manifest, one), described(manifest, other))
    assert facts.is_clean
    assert leakage_findings(facts) == []


@pytest.mark.parametrize("field", ["patient", "source_sha256"])
def test_one_shared_patient_or_file_is_enough(manifest: Manifest, field: str) -> None:
    one, other = strangers(manifest)
    alike = replace(other, **{field: getattr(one, field)})
    facts = find_leakage(described(manifest, one), described(manifest, alike))
    expected = {"patient": (1, 0), "source_sha256": (0, 1)}[field]
    assert (facts.num_shared_patients, facts.num_shared_files) == expected
    assert [finding.severity for finding in leakage_findings(facts)] == [Severity.ERROR]


def test_a_retouched_picture_under_another_name_is_recognised(manifest: Manifest, tmp_path: Path) -> None:
    one, other = strangers(manifest)
    pixels = read_grey(manifest.image_path(one)).astype(int) + 3
    pixels += np.random.default_rng(0).integers(-2, 3, pixels.shape)
    write_png(tmp_path / other.image, np.clip(pixels, 0, 255).astype(np.uint8))
    copied = write_dataset(tmp_path, [other], Provenance("test", "code", "0"))
    facts = find_leakage(described(manifest, one), described(copied, other))
    assert (facts.num_shared_patients, facts.num_shared_files, facts.num_near_duplicates) == (0, 0, 1)


def test_frames_without_patient_are_not_one_patient(manifest: Manifest) -> None:
    one, other = (replace(record, patient=None) for record in strangers(manifest))
    assert find_leakage(described(manifest, one), described(manifest, other)).is_clean


def test_training_frames_come_back_and_others_are_refused(manifest: Manifest, tmp_path: Path) -> None:
    frames = describe_frames(manifest, manifest.records())
    sha256 = write_training_frames(tmp_path, frames)
    assert read_training_frames(tmp_path, sha256).equals(frames)
    with pytest.raises(DataError, match=r"not the file that run\.json names"):
        read_training_frames(tmp_path, "0" * 64)
    with pytest.raises(DataError, match="cannot be read"):
        read_training_frames(tmp_path / "nowhere", sha256)


def test_the_evaluation_says_what_is_shared_and_what_nobody_knows(manifest: Manifest) -> None:
    leaked = LeakageFacts(num_training_frames=9, num_shared_patients=1, num_shared_files=0, num_near_duplicates=0)
    evaluation = evaluate(manifest, Split.TEST, [], leakage=leaked)
    assert "trained-on-test" in {f.code for f in evaluation.findings if f.severity is Severity.ERROR}
    assert not evaluation.is_trustworthy
    assert "training-data-unknown" in {f.code for f in evaluate(manifest, Split.TEST, []).findings}
