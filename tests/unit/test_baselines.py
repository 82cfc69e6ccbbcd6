"""Baselines go through the same commands as Sa2VA: trained, stopped, resumed, evaluated, asked."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from angiova.baselines.network import SegmentationNetwork, _head_losses, new_network
from angiova.baselines.nnunet import NnunetBaseline
from angiova.baselines.settings import NetworkSettings
from angiova.data.manifest import Manifest, write_dataset
from angiova.data.predictions import read_predictions
from angiova.data.records import Severity, Split
from angiova.data.syntax import TREE_PHRASE, VESSELS_PHRASE, segment_phrase
from angiova.errors import ConfigError, DataError, ExitCode, ModelError
from angiova.evaluation.store import read_evaluation
from angiova.files import sha256_file
from angiova.inference.evaluation import evaluate_model
from angiova.inference.folder import predict_folder
from angiova.inference.predictor import load
from angiova.model.losses import dice_loss, mask_loss
from angiova.model_info import model_info
from angiova.report.page import write_report
from angiova.run_record import read_run
from angiova.training.callbacks import read_metrics
from angiova.training.checkpoints import complete_checkpoints
from angiova.training.config import Recipe, parse_recipe
from angiova.training.trainer import train
from models import SIDE_PX, draw_frame, write_frames

SMALL = {
    "frangi": {"method": "frangi", "frames": 3},
    "unet": {"method": "unet", "channels": [4, 4, 8, 8, 8]},
    "dynunet": {"method": "dynunet", "channels": [4, 8, 8, 8, 8]},
}
METHODS = list(SMALL)
NETWORKS = ["unet", "dynunet"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "data"
    write_frames(folder)
    return folder


def recipe(folder: Path, output: Path, baseline: dict[str, object], **changes: object) -> Recipe:
    values: dict[str, object] = {
        "output": str(output),
        "model": {"baseline": baseline},
        "data": {"folder": str(folder), "repeats": 3, "workers": 0},
        "device": "cpu",
        "batch": {"micro": 2},
        "validation": {"times": 2, "frames": 2},
        "log_every": 1,
        "tensorboard": False,
    }
    return parse_recipe(values | changes, where="test")


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a finished run of each method that needs nothing installed."""
    folder = tmp_path_factory.mktemp("runs")
    for method, settings in SMALL.items():
        assert train(recipe(data, folder / method, settings)) is ExitCode.DONE
    return {method: folder / method for method in SMALL}


@pytest.mark.parametrize("method", METHODS)
def test_the_record_says_what_happened(data: Path, runs: dict[str, Path], method: str) -> None:
    run, record = runs[method], read_run(runs[method])
    assert (record.status, record.model_preset) == ("finished", f"baseline {method}")
    assert record.data.manifest_sha256 == Manifest(data).sha256()
    assert record.progress.samples_seen == (3 if method == "frangi" else 12)
    assert set(record.losses) == (set() if method == "frangi" else {"mask", "dice"})
    assert [part.total for part in record.model_parts] == [part.parameters for part in model_info(str(run)).parts]
    assert all(part.trainable == part.total > 0 for part in record.model_parts)
    last = record.checkpoints[-1]
    weights = run / last.path / ("config.json" if method == "frangi" else "model.safetensors")
    assert last.sha256 == sha256_file(weights)
    assert 0 <= last.validation["dice_vessel_tree"] <= 1
    assert set(last.validation) == {"dice_vessel_tree", "score"}
    assert complete_checkpoints(run / "checkpoints")[-1] == run / last.path


@pytest.mark.parametrize("method", METHODS)
def test_evaluation_is_of_its_phrase_alone_and_says_so(data: Path, runs: dict[str, Path], method: str) -> None:
    evaluation = evaluate_model(runs[method], data, split="test", device="cpu")
    assert set(evaluation.phrases) == {TREE_PHRASE}
    assert read_evaluation(runs[method] / "evaluation").phrases_asked == (TREE_PHRASE,)
    assert (evaluation.kinds["vessel_tree"].num_targets, evaluation.num_missing_predictions) == (2, 0)
    (note,) = (finding for finding in evaluation.findings if finding.code == "phrases-not-asked")
    assert note.severity is Severity.NOTE
    assert "4 targets" in note.message
    predictions = read_predictions(runs[method] / "evaluation" / "predictions.parquet")
    assert {(p.frame_id, p.phrase) for p in predictions} == {("f2", TREE_PHRASE), ("f6", TREE_PHRASE)}
    assert all(path.exists() for path in write_report(runs[method]))


@pytest.mark.parametrize("method", METHODS)
def test_prediction_of_a_folder_is_that_of_evaluation(
    data: Path, runs: dict[str, Path], method: str, tmp_path: Path
) -> None:
    assert predict_folder(runs[method], data, tmp_path, device="cpu", batch=3) is ExitCode.DONE
    answers = {
        entry["name"]: entry["prompts"] for entry in json.loads((tmp_path / "answers.json").read_text())["answers"]
    }
    manifest = Manifest(data)
    predicted = load(runs[method], "cpu").predict(manifest, manifest.records(), batch=1)
    for prediction in predicted:
        (row,) = answers[prediction.frame_id]
        assert row["prompt"] == f"segment the {TREE_PHRASE}"
        assert row["masks"][0]["rle"] == (prediction.mask and prediction.mask.as_coco())


@pytest.mark.parametrize("method", METHODS)
def test_other_phrases_are_refused(runs: dict[str, Path], method: str) -> None:
    image = draw_frame(0)[0]
    predictor = load(runs[method], "cpu")
    with pytest.raises(ConfigError, match="knows only 'coronary artery tree'"):
        predictor.answer([image], ["segment the proximal LAD"], [0])
    first, again = predictor.answer([image], ["Segment the Coronary Artery Tree", "coronary artery tree"], [0, 0])
    np.testing.assert_array_equal(first.masks[0].mask_HW, again.masks[0].mask_HW)
    assert first.masks[0].mask_HW.shape == (SIDE_PX, SIDE_PX)


def test_frangi_finds_dark_bars_without_a_gradient(data: Path, runs: dict[str, Path]) -> None:
    dice = evaluate_model(runs["frangi"], data, split="test", device="cpu").kinds["vessel_tree"].metrics["dice"]
    assert dice.frame.mean > 0.9


def test_a_frangi_run_is_the_same_twice_and_other_with_other_frames(
    data: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    train(recipe(data, tmp_path / "again", SMALL["frangi"]))
    first, again = (read_run(run) for run in (runs["frangi"], tmp_path / "again"))
    assert first.checkpoints == again.checkpoints
    assert first.messages == again.messages
    assert train(recipe(data, tmp_path / "again", SMALL["frangi"]), resume=True) is ExitCode.DONE
    train(recipe(data, tmp_path / "one", {"method": "frangi", "frames": 1}))
    assert read_run(tmp_path / "one").messages != first.messages


def test_a_search_that_was_stopped_is_started_anew(
    data: Path, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt  # what Ctrl-C becomes; a real signal may reach another thread first

    with monkeypatch.context() as patched:
        patched.setattr("angiova.baselines.tuning._score_cuts", interrupt)
        assert train(recipe(data, run, SMALL["frangi"])) is ExitCode.FAILED
    assert (read_run(run).status, read_run(run).checkpoints) == ("stopped", [])
    with pytest.raises(ConfigError, match="already holds a run"):
        train(recipe(data, run, SMALL["frangi"]))
    assert train(recipe(data, run, SMALL["frangi"]), resume=True) is ExitCode.DONE
    assert read_run(run).checkpoints == read_run(runs["frangi"]).checkpoints


@pytest.mark.parametrize("method", NETWORKS)
def test_resume_equals_no_stop_bitwise(data: Path, runs: dict[str, Path], method: str, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def interrupt() -> None:
        while len(read_metrics(run / "metrics.jsonl")) < 2:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert train(recipe(data, run, SMALL[method])) is ExitCode.FAILED
    assert 0 < read_run(run).progress.optimizer_steps < 6
    assert train(recipe(data, run, SMALL[method]), resume=True) is ExitCode.DONE
    ours, theirs = (complete_checkpoints(folder / "checkpoints")[-1] for folder in (run, runs[method]))
    assert ours.name == theirs.name == "checkpoint-6"
    assert sha256_file(ours / "model.safetensors") == sha256_file(theirs / "model.safetensors")


@pytest.mark.parametrize("method", NETWORKS)
def test_a_network_learns_dark_bars(data: Path, method: str, tmp_path: Path) -> None:
    changes = {
        "data": {"folder": str(data), "repeats": 40, "workers": 0},
        "optimizer": {"lr": 1e-2},
        "validation": {"times": 1, "frames": 2},
    }
    train(recipe(data, tmp_path / "run", SMALL[method], **changes))
    record = read_run(tmp_path / "run")
    assert record.losses["dice"].last < 0.7 * record.losses["dice"].first
    assert record.checkpoints[-1].validation["dice_vessel_tree"] > 0.8


def test_training_goes_on_from_another_run_of_the_same_network(
    data: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    changes = {"optimizer": {"lr": 1e-12}, "validation": {"times": 0}}
    train(recipe(data, tmp_path / "run", SMALL["unet"] | {"checkpoint": str(runs["unet"])}, **changes))
    ours, theirs = (load(run, "cpu").baseline.network.state_dict() for run in (tmp_path / "run", runs["unet"]))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-8, rtol=0)
    with pytest.raises(ConfigError, match="another network"):
        train(recipe(data, tmp_path / "x", SMALL["dynunet"] | {"checkpoint": str(runs["unet"])}))
    with pytest.raises(ModelError, match="this is no network"):
        train(recipe(data, tmp_path / "y", SMALL["unet"] | {"checkpoint": str(runs["frangi"])}))
    with pytest.raises(ModelError, match="this is a baseline"):
        train(recipe(data, tmp_path / "z", {}, model={"checkpoint": str(runs["unet"])}))


def small_network(method: str) -> SegmentationNetwork:
    torch.manual_seed(0)
    return new_network(NetworkSettings.model_validate(SMALL[method]), TREE_PHRASE)


@pytest.mark.parametrize("method", NETWORKS)
def test_images_of_any_size_keep_it(method: str) -> None:
    network = small_network(method)
    images = [np.full(size, 128, dtype=np.uint8) for size in ((50, 70), (33, 17))]
    assert tuple(network.pixels(images).shape) == (2, 1, 64, 80)
    masks = load_masks(network, images)
    assert [mask.shape for mask in masks] == [(50, 70), (33, 17)]


@pytest.mark.parametrize("method", NETWORKS)
def test_an_answer_does_not_depend_on_its_neighbours(method: str) -> None:
    network, rng = small_network(method), np.random.default_rng(0)
    images = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((50, 70), (33, 17), (60, 75))]
    together = load_masks(network, images)
    for image, mask in zip(images, together, strict=True):
        np.testing.assert_array_equal(load_masks(network, [image])[0], mask)
    assert 0 < together[0].mean() < 1


def load_masks(network: SegmentationNetwork, images: list[np.ndarray]) -> list[np.ndarray]:
    from angiova.baselines.network import NetworkBaseline

    drawings = NetworkBaseline(network, torch.device("cpu")).segment(images, 0.5)
    for drawing in drawings:
        assert drawing.probability_HW is not None
        np.testing.assert_array_equal(drawing.mask_HW, drawing.probability_HW > 0.5)
    return [drawing.mask_HW for drawing in drawings]


def test_a_network_is_calibrated_and_a_filter_has_nothing_to_calibrate(runs: dict[str, Path], data: Path) -> None:
    for method, has_probabilities in (("unet", True), ("frangi", False)):
        evaluation = evaluate_model(runs[method], data, split="val", out=runs[method] / "calibrated")
        assert bool(evaluation.calibration) is has_probabilities, method


def test_padding_costs_nothing_and_an_empty_target_has_no_dice_loss() -> None:
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    masks = [torch.zeros(5, 6, dtype=torch.bool), torch.ones(8, 8, dtype=torch.bool)]
    mask, dice = _head_losses(logits, masks)
    parts = [mask_loss(logits[0, :, :5, :6], masks[0][None]), mask_loss(logits[1], masks[1][None])]
    torch.testing.assert_close(mask, torch.cat(parts).mean())
    torch.testing.assert_close(dice, dice_loss(logits[1], masks[1][None])[0])
    (mask + dice).backward()
    assert logits.grad is not None
    assert not logits.grad[0, 0, 5:].any()
    assert not logits.grad[0, 0, :, 6:].any()


def test_deep_supervision_weighs_its_heads_by_halves() -> None:
    network = small_network("dynunet")
    pixels, masks = torch.randn(1, 1, 64, 64), [torch.rand(64, 64) > 0.5]
    output = network.train()(pixels, masks)
    heads = network._heads(pixels)
    assert len(heads) == len(SMALL["dynunet"]["channels"]) - 2
    losses = [_head_losses(head, masks) for head in heads]
    expected = sum(0.5**level * loss for level, loss in enumerate(losses)) / sum(0.5**i for i in range(len(heads)))
    torch.testing.assert_close(torch.stack(list(output.losses.values())), expected)
    assert len(network.eval()._heads(pixels)) == 1


def test_a_damaged_checkpoint_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    good = complete_checkpoints(runs["frangi"] / "checkpoints")[-1] / "config.json"
    changed = json.loads(good.read_text())
    changed["parameters"]["threshold"] = 2
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(ModelError, match=r"parameters\.threshold"):
        load(tmp_path)
    weights = complete_checkpoints(runs["unet"] / "checkpoints")[-1]
    (tmp_path / "config.json").write_text((weights / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelError, match="cannot be opened"):
        load(tmp_path)


def test_the_phrase_follows_from_the_data_or_is_asked_for(data: Path, tmp_path: Path) -> None:
    manifest = Manifest(data)
    records = [
        replace(record, targets=tuple(replace(t, phrase=VESSELS_PHRASE) if i == 0 else t for t in record.targets))
        for i, record in enumerate(manifest.records(Split.TRAIN))
    ]
    (tmp_path / "two").mkdir()
    write_dataset(tmp_path / "two", records, manifest.provenance)
    with pytest.raises(ConfigError, match="several phrases: blood vessels, coronary artery tree"):
        train(recipe(tmp_path / "two", tmp_path / "run", SMALL["unet"]))
    with pytest.raises(DataError, match="no labelled frame with left main"):
        train(recipe(data, tmp_path / "run2", SMALL["unet"] | {"phrase": "left main"}))
    with pytest.raises(DataError, match="no frame with 'left main'"):
        train(recipe(data, tmp_path / "run3", SMALL["frangi"] | {"phrase": "left main"}))


def test_a_baseline_can_be_trained_for_one_segment(data: Path, tmp_path: Path) -> None:
    phrase = segment_phrase("6")
    train(recipe(data, tmp_path / "run", SMALL["unet"] | {"phrase": phrase}))
    assert load(tmp_path / "run", "cpu").phrases == (phrase,)
    assert set(evaluate_model(tmp_path / "run", data, split="test", device="cpu").phrases) == {phrase}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"model": {"preset": "nano", "baseline": SMALL["unet"]}}, "either preset, checkpoint or baseline"),
        ({"model": {"baseline": {"method": "resnet"}}}, r"model\.baseline"),
        ({"model": {"baseline": {"method": "frangi", "channels": [4]}}}, r"baseline\.frangi\.channels"),
        ({"model": {"baseline": {"method": "unet", "channels": [4, 4]}}}, "unet has 5 levels, channels has 2"),
        ({"model": {"baseline": {"method": "nnunet", "epochs": 7}}}, r"nnunet\.epochs"),
        ({"language_warmup": {"steps": 5}}, r"cannot have language_warmup\.steps"),
        ({"optimizer": {"lr_scale": {"refiner": 2}}}, r"cannot have optimizer\.lr_scale"),
    ],
)
def test_recipes_name_what_does_not_fit(values: dict[str, object], problem: str) -> None:
    base: dict[str, object] = {"output": "r", "model": {"baseline": SMALL["unet"]}, "data": {"folder": "d"}}
    with pytest.raises(ConfigError, match=problem):
        parse_recipe(base | values, where="test")


def test_a_missing_nnunet_is_named_with_its_remedy(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ConfigError, match="pip install nnunetv2"):
        train(recipe(data, tmp_path / "run", {"method": "nnunet", "epochs": 1}))
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="not probabilities"):
        NnunetBaseline(TREE_PHRASE, tmp_path, "cpu").segment([draw_frame(0)[0]], 0.3)


def test_validation_and_prediction_agree_on_what_is_asked(data: Path, runs: dict[str, Path]) -> None:
    manifest = Manifest(data)
    predictions = list(load(runs["unet"], "cpu").predict(manifest, manifest.records(Split.VAL), batch=4))
    assert [p.phrase for p in predictions] == [TREE_PHRASE] * 2
    assert all(p.mask is not None and p.presence == float(not p.mask.is_empty) for p in predictions)
