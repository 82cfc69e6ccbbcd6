"""The model inside the package: found by its name, refused when it is not the one shipped, and good for something."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from angiova import shipped
from angiova.cli import app
from angiova.data.manifest import Manifest
from angiova.data.prompts import question_for
from angiova.data.rle import BoolMask, decode
from angiova.data.syntax import CATHETER_PHRASE, TREE_PHRASE
from angiova.errors import ConfigError, DataError, ModelError
from angiova.inference.evaluation import evaluate_model
from angiova.inference.predictor import load
from angiova.model.opening import checkpoint_folder
from angiova.shipped import SHIPPED_FOLDER, model_and_source, resolved
from angiova.simulate import simulate
from angiova.training_history import history_of

MOST_BYTES = 64 * 2**20


def dice(a: BoolMask, b: BoolMask) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Return three runs of patients that no model was trained on."""
    folder = tmp_path_factory.mktemp("unseen") / "data"
    simulate(folder, num_runs=3, num_frames=6, seed=20261124, size_px=512)
    return Manifest(folder)


def test_its_masks_hardly_depend_on_the_size_of_the_frame(simulated: Manifest) -> None:
    trees = [(decode(t.mask).sum(), r) for r in simulated.records() for t in r.targets if t.phrase == TREE_PHRASE]
    record = max(trees, key=lambda pair: int(pair[0]))[1]
    image_HW, model = simulated.read_image(record), load("nano", "cpu")
    whole = Image.fromarray(image_HW)
    sizes = [(side, side) for side in (512, 256, 1024)]
    images = [np.asarray(whole.resize(size, Image.Resampling.LANCZOS)) for size in sizes]
    masks = [model.answer([image], [question_for(TREE_PHRASE)], [0])[0].masks[0].mask_HW for image in images]
    assert [mask.shape for mask in masks] == sizes
    back = [np.asarray(Image.fromarray(mask).resize(sizes[0], Image.Resampling.NEAREST)) for mask in masks]
    assert dice(back[0], back[2]) > 0.95
    assert dice(back[0], back[1]) > 0.8


def test_its_name_finds_it_unless_a_folder_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved("nano") == SHIPPED_FOLDER
    assert checkpoint_folder(Path("nano")) == SHIPPED_FOLDER
    assert resolved("runs/nano") == Path("runs/nano")
    (tmp_path / "nano").mkdir()
    assert resolved("nano") == Path("nano")


def test_other_weights_than_those_shipped_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "weights"
    copy.mkdir()
    monkeypatch.setattr(shipped, "SHIPPED_FOLDER", copy)
    with pytest.raises(ModelError, match="no weights"):
        resolved("nano")
    shutil.copy(SHIPPED_FOLDER / shipped.HASH_NAME, copy)
    (copy / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(ModelError, match="not the weights that were shipped"):
        resolved("nano")


def test_places_of_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame, run, out = Path("frame.png"), Path("runs/mine"), Path("masks")
    frame.touch()
    run.mkdir(parents=True)
    (run / "run.json").touch()
    nano, beside = Path("nano"), Path("frame-angiova")
    assert model_and_source([frame]) == (nano, frame, beside)
    assert model_and_source([frame, out]) == (nano, frame, out)
    assert model_and_source([nano, frame]) == (nano, frame, beside)
    assert model_and_source([run, frame]) == (run, frame, beside)
    assert model_and_source([run, frame, out]) == (run, frame, out)
    assert model_and_source([Path("runs/mistyped"), frame])[0] == Path("runs/mistyped")
    with pytest.raises(ConfigError, match="4 places"):
        model_and_source([run, frame, out, out])
    with pytest.raises(ConfigError, match=r"\[MODEL\] SOURCE \[OUT\]"):
        model_and_source([])


def test_it_is_small_and_says_what_it_was_trained_on() -> None:
    assert sum(path.stat().st_size for path in SHIPPED_FOLDER.iterdir()) <= MOST_BYTES
    trained = history_of(Path("nano"))
    assert trained is not None
    assert {frame.split("-")[0] for frame in trained["frame_id"]} == {"syntax", "sim2027"}
    card = (SHIPPED_FOLDER / "README.md").read_text(encoding="utf-8")
    assert "not a medical device" in card


def test_it_segments_patients_whom_it_never_saw(simulated: Manifest) -> None:
    """Vessels where the contrast is in; the catheter is told from them by its name."""
    model = load("nano", "cpu")
    trees, catheters, confused = [], [], []
    for record in simulated.records():
        truth = {target.phrase: decode(target.mask) for target in record.targets}
        if truth[TREE_PHRASE].sum() < 3000:
            continue
        image = simulated.read_image(record)
        questions = [question_for(TREE_PHRASE), question_for(CATHETER_PHRASE)]
        tree, catheter = (answer.masks[0].mask_HW for answer in model.answer([image], questions, [0, 0]))
        trees.append(dice(tree, truth[TREE_PHRASE]))
        catheters.append(dice(catheter, truth[CATHETER_PHRASE]))
        confused.append(dice(catheter, truth[TREE_PHRASE]))
    assert len(trees) >= 3
    assert fmean(trees) > 0.6
    assert fmean(catheters) > 0.4 > fmean(confused)


def test_a_frame_needs_nothing_else(simulated: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image = simulated.read_image(list(simulated.records())[3])
    Image.fromarray(image).save("frame.png")
    result = CliRunner().invoke(app, ["predict", "frame.png"])
    assert result.exit_code == 0, result.output
    (mask,) = (tmp_path / "frame-angiova" / "masks").iterdir()
    assert np.asarray(Image.open(mask)).shape == image.shape


def test_a_test_on_frames_it_was_trained_on_is_refused(simulated: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no labelled frame"):
        evaluate_model(Path("nano"), simulated.folder, split="test", out=tmp_path / "out")
