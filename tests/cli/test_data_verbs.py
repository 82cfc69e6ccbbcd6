"""`angiova import`, `check` and `split` as a user types them: what is printed, and what the shell gets back."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from angiova.cli import main
from angiova.data.manifest import Manifest
from angiova.files import read_json
from dicoms import run_of, write_run
from sources import noise, square_mask, tree_bytes, write_coco, write_image, write_masks


def angiova(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["angiova", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def write_patients(folder: Path, num_patients: int = 6) -> Path:
    for patient in range(num_patients):
        for side in "LR":
            write_image(folder / "images" / f"{patient:02d}{side}.png", noise(2 * patient + (side == "L"), (48, 48)))
            write_image(folder / "masks" / f"{patient:02d}{side}.png", square_mask((48, 48)))
    return folder


def test_from_a_folder_to_a_split_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_patients(tmp_path / "source"), tmp_path / "sets" / "eyes"
    assert angiova(monkeypatch, "import", source, out, "--pattern", "images/{patient}{*}", "--licence", "CC0") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "frames 12 runs 12 patients 6 targets 12 vessel_tree" in printed
    assert f"look at {out / 'contact_sheet.png'}" in printed
    assert angiova(monkeypatch, "check", out) == 0
    assert "no errors" in capsys.readouterr().out
    assert angiova(monkeypatch, "split", out, "--seed", 7) == 0
    assert "split by patient, seed 7" in capsys.readouterr().out
    assert all(record.split for record in Manifest(out).records())
    assert sorted(path.name for path in out.iterdir()) == [
        "contact_sheet.png",
        "dataset.json",
        "findings.json",
        "fingerprint.json",
        "images",
        "import.json",
        "manifest.parquet",
        "pixel_hashes.parquet",
        "split.json",
    ]


def test_contact_sheet_shows_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    angiova(monkeypatch, "import", write_patients(tmp_path / "source"), tmp_path / "out")
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert sheet.mode == "RGB"
        assert sheet.width > 48
        pixels_HWC = np.asarray(sheet)
    assert (np.ptp(pixels_HWC, axis=2) > 0).sum() >= 12 * 64


def test_refusal_is_one_message_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_masks(tmp_path / "source")
    (source / "masks" / "a1.png").unlink()
    assert angiova(monkeypatch, "import", source, tmp_path / "out") == 1
    message = capsys.readouterr().err
    assert "a1.png: no mask" in message
    assert "--fix: import it as not labelled" in message
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_repairs_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_masks(tmp_path / "source")
    (source / "masks" / "a1.png").unlink()
    assert angiova(monkeypatch, "import", source, tmp_path / "out", "--fix") == 0
    printed = capsys.readouterr().out
    assert "image-without-mask x 1" in printed
    assert "a1.png: no mask -> import it as not labelled (repaired)" in printed


def test_files_left_out_are_named_and_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "source" / "good.dcm", run_of(3))
    (tmp_path / "source" / "bad.dcm").write_bytes(b"no DICOM")
    command = ("import", tmp_path / "source", tmp_path / "out", "--key", tmp_path / "key")
    assert angiova(monkeypatch, *command) == 1
    assert "bad.dcm" in capsys.readouterr().err
    assert angiova(monkeypatch, *command, "--fix") == 3
    assert "bad.dcm" in capsys.readouterr().out


def test_option_that_does_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_masks(tmp_path / "source")
    assert angiova(monkeypatch, "import", source, tmp_path / "out", "--mask-burned-in") == 0
    assert "mask-unused" in capsys.readouterr().out


def test_check_returns_1_on_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    angiova(monkeypatch, "import", write_patients(tmp_path / "source"), tmp_path / "out")
    (tmp_path / "out" / "images" / "00L.png").unlink()
    assert angiova(monkeypatch, "check", tmp_path / "out") == 1
    assert "image-missing x 1" in capsys.readouterr().out
    findings = read_json(tmp_path / "out" / "findings.json")["findings"]
    assert findings[0]["code"] == "image-missing"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--format", "nifti"], 2, "choose one of"),
        (["--origin", "guess"], 2, "manual, pseudo, simulated"),
        (["--pattern", "{who}"], 2, "{who} is unknown"),
    ],
)
def test_wrong_options_are_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    source = write_masks(tmp_path / "source")
    assert angiova(monkeypatch, "import", source, tmp_path / "out", *arguments) == code
    assert words in capsys.readouterr().err


def test_missing_source_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert angiova(monkeypatch, "import", tmp_path / "nowhere", tmp_path / "out") == 1
    assert "nowhere: source not found" in capsys.readouterr().err


def test_names_that_look_like_markup_are_printed_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "[bold]source[/]"
    write_masks(source, num_images=1)
    write_image(source / "images" / "[red]b.png", noise(3))
    assert angiova(monkeypatch, "import", source, tmp_path / "out", "--fix") == 0
    assert "[bold]source[/]/images/[red]b.png" in capsys.readouterr().out


def test_import_that_was_killed_leaves_nothing_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_coco(tmp_path / "source")
    (tmp_path / ".out.partial" / "images").mkdir(parents=True)
    (tmp_path / ".out.partial" / "images" / "1.png").write_bytes(b"half")
    assert angiova(monkeypatch, "import", source, tmp_path / "out") == 0
    assert not (tmp_path / ".out.partial").exists()
    assert Manifest(tmp_path / "out").num_frames == 1


def test_stopped_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_masks(tmp_path / "source")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("angiova.data.importers.importing.write_contact_sheet", stop)
    before = tree_bytes(tmp_path)
    assert angiova(monkeypatch, "import", source, tmp_path / "out") != 0
    assert tree_bytes(tmp_path) == before
