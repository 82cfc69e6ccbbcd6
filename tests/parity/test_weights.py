"""Stage: the weights themselves; a wrong weight would explain every later difference."""

from __future__ import annotations

import hashlib

import pytest

from angiova.model.convert.names import to_released
from recorded import FOLDER, facts, network, official_weights


def test_the_folder_is_whole() -> None:
    for name, (size, digest) in facts("manifest")["files"].items():
        content = (FOLDER / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest), name


@pytest.mark.parametrize("short", ["tiny", pytest.param("hieraL", marks=pytest.mark.slow)])
def test_check_sums(short: str) -> None:
    wanted = facts(f"weights_check_{short}")
    weights = official_weights(next(key for key in facts("configs") if key.split("_")[0] == short))
    assert len(weights) == wanted["n_tensors"]
    assert sum(tensor.numel() for tensor in weights.values()) == wanted["n_values"]
    for name, check in wanted["picked"].items():
        values = weights[name].double().flatten()
        assert list(weights[name].shape) == check["shape"]
        assert values[:4].tolist() == pytest.approx(check["first4"], rel=1e-6), name
        assert values.sum().item() == pytest.approx(check["sum"], rel=1e-6, abs=1e-6), name
        assert values.std().item() == pytest.approx(check["std"], rel=1e-6), name
    assert sum(t.double().abs().sum().item() for t in weights.values()) == pytest.approx(wanted["abs_sum"], rel=1e-9)


def test_our_model_holds_them_all() -> None:
    back = to_released(network("tiny").state_dict(), network("tiny").config)
    official = official_weights("tiny")
    assert back.keys() == official.keys()
    assert all(back[name].equal(official[name]) for name in official)
