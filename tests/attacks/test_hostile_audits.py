"""Files given to the audit that are damaged or mean harm: refused in one line that names the file, nothing executed."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from angiova.errors import DataError
from angiova.report.audit import reading
from angiova.report.audit.auditing import audit
from angiova.report.audit.read_files import num_parameters

BILLION_LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nmodel: *b\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model: !!python/object/apply:os.system ['touch OWNED']", "not valid YAML"),
        (BILLION_LAUGHS, "aliases are not accepted"),
        ("model: [", "not valid YAML"),
        ("- 1\n- 2\n", "mapping of sections"),
        ("training: {iterations: many}", r"field training\.iterations"),
        ("training: {iterations: -5}", r"field training\.iterations"),
        ("training: {iterations: .nan}", r"field training\.iterations"),
        ("training: {devices: {count: 0}}", r"field training\.devices\.count"),
        ("training: {started: yesterday}", r"field training\.started"),
        ("losses: {total: [1]}", r"field losses\.total"),
        ("evaluation: {metrics: {dice: high}}", r"field evaluation\.metrics\.dice"),
        ("[" * 20_000, "not valid YAML"),
    ],
)
def test_figures_that_are_not_figures(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "figures.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=reason) as refused:
        audit(path)
    assert refused.value.where == path
    assert refused.value.remedy
    assert not Path("OWNED").exists()


def test_a_file_too_large_to_be_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figures.yaml"
    with path.open("wb") as stream:
        stream.truncate(reading.MAX_TEXT_BYTES + 1)  # sparse: no bytes are written
    with pytest.raises(DataError, match="more than the 5,000,000 that are read"):
        audit(path)


def test_a_configuration_is_never_executed(tmp_path: Path) -> None:
    marker = tmp_path / "OWNED"
    (tmp_path / "config.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nbatch_size = 2\n")
    assert audit(tmp_path).findings == ()
    assert not marker.exists()


@pytest.mark.parametrize("text", ["def (", "x = " + "(" * 5000 + ")" * 5000, "batch_size = 1\0"])
def test_a_configuration_that_is_no_python(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(DataError, match=r"config\.py: not a Python configuration"):
        audit(tmp_path)


def write_header(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"not json", "not JSON"),
        ([1], "no list of tensors"),
        ({"w": {"dtype": "F32"}}, "no shape or place"),
        ({"w": {"shape": [2], "data_offsets": [0]}}, "impossible shape or place"),
        ({"w": {"shape": [-2], "data_offsets": [0, 8]}}, "impossible shape or place"),
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, "describes 8 bytes"),
    ],
)
def test_damaged_headers(header: object, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason):
        num_parameters(write_header(tmp_path / "m.safetensors", header))


def test_a_header_longer_than_its_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62))
    with pytest.raises(DataError, match="cannot be"):
        num_parameters(path)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "figures.yaml").write_text("training: {frames: -1}")
    run = tmp_path / "run"
    run.mkdir()
    (run / "figures.yaml").symlink_to(outside / "figures.yaml")
    (run / "folder").symlink_to(outside)
    with pytest.raises(DataError, match="nothing here states anything"):
        audit(run)


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_FILES", 3)
    for name in "abcde":
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="more than 3 files"):
        audit(tmp_path)


def test_a_log_of_garbage_is_passed_over_and_endless_numbers_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "b.log").write_text("Iter(train) [ 1/2]  time: " + "9" * 100_000 + "\n")
    (tmp_path / "c.log").write_text("9999/99/99 99:99:99 - Iter(train) [  2/2]  time: 1.0\n")
    found = audit(tmp_path)
    assert {"b.log", "c.log"} == set(found.sources)
