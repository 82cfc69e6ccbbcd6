"""`angiova predict` on files: masks, COCO, overlays, words, and images that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from angiova.data import rle
from angiova.errors import DataError, ExitCode, ModelError
from angiova.inference.folder import find_images, predict_folder
from angiova.inference.predictor import load
from models import SIDE_PX, draw_frame, small_model, write_frames


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    model, processor = small_model()
    model.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    return folder


def test_every_image_is_answered_and_broken_ones_are_named(checkpoint: Path, tmp_path: Path) -> None:
    images = tmp_path / "in"
    images.mkdir()
    for seed in range(3):
        Image.fromarray(draw_frame(seed)[0]).save(images / f"frame {seed}.png")
    (images / "broken.png").write_bytes(b"no image")
    out = tmp_path / "out"
    assert (
        predict_folder(checkpoint, images, out, prompts=["[SEG]", "hello"], device="cpu") is ExitCode.SOME_CASES_FAILED
    )
    answers = json.loads((out / "answers.json").read_text())
    assert [entry["name"] for entry in answers["answers"]] == ["frame-0", "frame-1", "frame-2"]
    assert [Path(entry["image"]).name for entry in answers["failed"]] == ["broken.png"]
    coco = json.loads((out / "masks.coco.json").read_text())
    assert [image["height"] for image in coco["images"]] == [SIDE_PX] * 3
    files = sorted((out / "masks").iterdir()) if (out / "masks").exists() else []
    assert len(files) == len(coco["annotations"])
    for entry, path in zip(coco["annotations"], files, strict=True):
        encoded = rle.Rle(*entry["segmentation"]["size"], entry["segmentation"]["counts"])
        assert entry["area"] == encoded.area_px
        assert set(np.unique(np.asarray(Image.open(path)))) <= {0, 255}
    assert {path.name for path in (out / "overlays").iterdir()} == {f"frame-{seed}.png" for seed in range(3)}


def test_bright_vessels_are_answered_as_dark_ones(checkpoint: Path, tmp_path: Path) -> None:
    answers = []
    for name, is_bright in (("dark", False), ("bright", True)):
        image = draw_frame(0)[0]
        Image.fromarray(255 - image if is_bright else image).save(tmp_path / f"{name}.png")
        predict_folder(
            checkpoint, tmp_path / f"{name}.png", tmp_path / name, prompts=["[SEG]"], bright_vessels=is_bright
        )
        (entry,) = json.loads((tmp_path / name / "answers.json").read_text())["answers"]
        answers.append([[mask["rle"] for mask in row["masks"]] for row in entry["prompts"]])
        overlay = Image.open(tmp_path / name / "overlays" / f"{name}.png")
        answers[-1].append(np.asarray(overlay).tolist())
    assert answers[0] == answers[1]


def test_a_data_set_is_a_source_too(tmp_path: Path) -> None:
    write_frames(tmp_path / "data", frames=2)
    assert [item.name for item in find_images(tmp_path / "data")] == ["f0", "f1"]


def test_nothing_to_predict_is_an_error(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images found"):
        predict_folder(checkpoint, tmp_path, tmp_path / "out")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a run nor a checkpoint"):
        load(tmp_path)


def test_a_damaged_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    for path in checkpoint.iterdir():
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(content[: len(content) // 2] if path.suffix == ".safetensors" else content)
    with pytest.raises(ModelError, match="cannot be opened"):
        load(tmp_path)
