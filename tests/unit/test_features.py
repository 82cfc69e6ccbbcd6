"""Features of frozen encoders are kept on disk, found again exactly, and never stale."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from angiova.data.augment import AugmentSettings
from angiova.data.dataset import Example, ExampleDataset, ExampleSettings
from angiova.data.prompts import Turn
from angiova.data.records import Split
from angiova.errors import ExitCode
from angiova.model.adapters import select_trainable
from angiova.model.modeling import Sa2VAModel
from angiova.model.processing import Batch
from angiova.model.trainable import TrainableSettings
from angiova.run_record import read_run
from angiova.training.config import parse_recipe
from angiova.training.engine_settings import FeatureCacheSettings
from angiova.training.features import CachedEncoder, close_caches, frame_keys, install_caches
from angiova.training.trainer import train
from models import draw_frame, small_model, write_frames

SEGMENTER_BYTES_A_FRAME = 4 * 128 * (32 * 32 + 16 * 16 + 8 * 8)


def cached_model(folder: Path, budget_gb: float = 1.0) -> tuple[Sa2VAModel, dict[str, CachedEncoder]]:
    model, _ = small_model()
    select_trainable(model, TrainableSettings())
    return model, install_caches(model, FeatureCacheSettings(folder=folder, budget_gb=budget_gb))


def batch_of(*seeds: int) -> Batch:
    _, processor = small_model()
    turn = Turn("segment it", "[SEG] it", ())
    frames = [draw_frame(seed) for seed in seeds]
    return processor.collate([Example(str(n), image, (turn,), (mask,)) for n, (image, mask, _) in enumerate(frames)])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums of several threads hang on where tensors lie in memory; those of one thread are the same to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def losses(model: Sa2VAModel, caches: dict[str, CachedEncoder], batch: Batch) -> dict[str, float]:
    keys = frame_keys(batch)
    for name, cache in caches.items():
        cache.expect(keys[name])
    return {name: float(value.detach()) for name, value in model.eval()(**batch).losses.items()}


def test_kept_features_give_the_very_same_losses(tmp_path: Path) -> None:
    plain, _ = small_model()
    select_trainable(plain, TrainableSettings())
    expected = losses(plain, {}, batch_of(0, 1))
    model, caches = cached_model(tmp_path)
    assert losses(model, caches, batch_of(0, 1)) == expected
    counters = close_caches(caches)
    assert counters["segmenter_encoder_features_computed"] == 2
    assert counters["segmenter_encoder_features_bytes"] == 2 * SEGMENTER_BYTES_A_FRAME
    model, caches = cached_model(tmp_path)
    assert losses(model, caches, batch_of(0, 1)) == expected
    assert losses(model, caches, batch_of(2, 1)) != expected  # one known, one new
    counters = close_caches(caches)
    assert (counters["vision_tower_features_found"], counters["vision_tower_features_computed"]) == (3, 1)


def test_other_weights_or_pixels_are_not_found(tmp_path: Path) -> None:
    model, caches = cached_model(tmp_path)
    losses(model, caches, batch_of(0))
    close_caches(caches)
    other, _ = small_model()
    select_trainable(other, TrainableSettings())
    with torch.no_grad():
        next(other.segmenter.vision_encoder.parameters()).add_(1e-3)
    caches = install_caches(other, FeatureCacheSettings(folder=tmp_path))
    losses(other, caches, batch_of(0))
    assert (caches["segmenter_encoder"].cache.hits, caches["vision_tower"].cache.hits) == (0, 1)
    batch = batch_of(0)
    batch["tiles"][0, 0, 0, 0] += 1e-3
    losses(other, caches, batch)
    assert caches["vision_tower"].cache.hits == 1
    close_caches(caches)


def test_the_budget_is_kept_and_a_damaged_file_is_computed_again(tmp_path: Path) -> None:
    budget_gb = 2 * 1.5 * SEGMENTER_BYTES_A_FRAME / 1e9  # half of it for each encoder: one frame and a half
    model, caches = cached_model(tmp_path, budget_gb)
    expected = losses(model, caches, batch_of(0, 1))
    assert close_caches(caches)["segmenter_encoder_features_bytes"] == SEGMENTER_BYTES_A_FRAME
    files = list(caches["segmenter_encoder"].cache.folder.iterdir())
    assert len(files) == 1
    files[0].write_bytes(files[0].read_bytes()[:100])
    model, caches = cached_model(tmp_path, budget_gb)
    assert losses(model, caches, batch_of(0, 1)) == expected
    assert caches["segmenter_encoder"].cache.hits == 0
    close_caches(caches)


def test_encoders_that_are_trained_are_not_cached(tmp_path: Path) -> None:
    model, _ = small_model()
    select_trainable(model, TrainableSettings(segmenter_encoder=True))
    assert install_caches(model, FeatureCacheSettings(folder=tmp_path)).keys() == {"vision_tower"}


def test_views_repeat_in_turn_and_differ_from_each_other(tmp_path: Path) -> None:
    manifest = write_frames(tmp_path / "data")
    settings = ExampleSettings(), AugmentSettings(flip=0)  # a flip depends on what is asked
    dataset = ExampleDataset(manifest, Split.TRAIN, 4, 0, *settings, views=2)
    count = len(dataset.records)
    images = [
        {e.frame_id: e.image_HW for e in map(dataset.__getitem__, range(t * count, (t + 1) * count))} for t in range(4)
    ]
    for frame in images[0]:
        assert not np.array_equal(images[0][frame], images[1][frame])
        assert np.array_equal(images[0][frame], images[2][frame])
        assert np.array_equal(images[1][frame], images[3][frame])


@pytest.fixture
def base(tmp_path: Path) -> Path:
    model, processor = small_model()
    model.save_pretrained(tmp_path / "base")
    processor.tokenizer.save_pretrained(tmp_path / "base")
    write_frames(tmp_path / "data")
    return tmp_path


def test_training_with_a_cache_learns_the_same(base: Path) -> None:
    courses = []
    for name, cache in (("without", None), ("with", {"folder": str(base / "cache")})):
        recipe = {
            "output": str(base / name),
            "model": {"checkpoint": str(base / "base")},
            "trainable": {"lora": {"rank": 4, "alpha": 8}},
            "data": {"folder": str(base / "data"), "repeats": 3, "views": 1, "workers": 0},
            "device": "cpu",
            "engine": {"feature_cache": cache},
            "validation": {"times": 0},
            "log_every": 1,
            "tensorboard": False,
        }
        (base / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
        assert train(parse_recipe(recipe, where="test")) is ExitCode.DONE
        lines = [json.loads(line) for line in (base / name / "metrics.jsonl").read_text().splitlines()]
        courses.append([line["loss"] for line in lines])
    assert courses[0] == pytest.approx(courses[1], rel=1e-6)
    counters = read_run(base / "with").resources.counters
    assert counters["vision_tower_features_found"] >= 4
    assert (
        counters["vision_tower_features_computed"] + counters["vision_tower_features_found"] == 12 + 2
    )  # two to count arithmetic


def test_frames_that_were_expected_but_not_asked_for_are_not_mistaken_for_others(tmp_path: Path) -> None:
    model, caches = cached_model(tmp_path)
    expected = losses(model, caches, batch_of(0))
    for name, cache in caches.items():
        cache.expect(frame_keys(batch_of(0))[name])
        cache.expect([])  # the trainer, after a batch without masks
    plain, _ = small_model()
    select_trainable(plain, TrainableSettings())
    found = {name: float(value.detach()) for name, value in model(**batch_of(3)).losses.items()}
    assert found == losses(plain, {}, batch_of(3)) != expected
    close_caches(caches)
