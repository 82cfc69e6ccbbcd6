"""The imaging chain: dose, noise, display and collimator behave as physics says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from angiova.simulate.heart import draw_heart
from angiova.simulate.projection import CArm
from angiova.simulate.render import Chain, draw_chain, expose, hardened, transmitted
from angiova.simulate.thorax import draw_thorax, enlarged

OPEN_HW = np.ones((128, 128), dtype=np.float32)
PLAIN = Chain(
    quanta=1e9,
    scatter=0.0,
    blur_px=0.5,
    grain_px=0.6,
    gain=100.0,
    grey=120.0,
    harmonise=0.0,
    sharpen=0.0,
    shutter_grey=10.0,
    shutter_HW=OPEN_HW,
)


def shown(chain: Chain, attenuation: float, seed: int = 0) -> np.ndarray:
    attenuation_HW = np.full((128, 128), attenuation, dtype=np.float32)
    return expose(chain, attenuation_HW, 0.0, np.random.default_rng(seed)).astype(float)


def test_grey_values_are_linear_in_attenuation_without_scatter() -> None:
    assert shown(PLAIN, 0.0).mean() == 120
    assert shown(PLAIN, 0.5).mean() == 70  # 100 grey values a unit
    assert shown(PLAIN, -0.5).mean() == 170


def test_the_dose_control_shows_average_tissue_in_average_grey() -> None:
    attenuation_HW = np.full((128, 128), 3.0, dtype=np.float32)
    assert (expose(PLAIN, attenuation_HW, 3.0, np.random.default_rng(0)) == 120).all()


def test_scatter_lowers_contrast() -> None:
    scattered = replace(PLAIN, scatter=0.5)
    edge_HW = np.zeros((128, 128), dtype=np.float32)
    edge_HW[60:68, 60:68] = 0.5
    plain, hazy = (expose(chain, edge_HW, 0.0, np.random.default_rng(0)).astype(float) for chain in (PLAIN, scattered))
    assert 0 < hazy[0, 0] - hazy[64, 64] < 0.8 * (plain[0, 0] - plain[64, 64])


def test_noise_follows_poisson() -> None:
    noisy = replace(PLAIN, quanta=400.0, gain=70.0)
    bright, dark = shown(noisy, 0.0).std(), shown(noisy, np.log(4)).std()
    assert bright == pytest.approx(70 / np.sqrt(400), rel=0.25)  # 5 % of the intensity, times the gain
    assert dark == pytest.approx(2 * bright, rel=0.1)  # a quarter of the quanta: twice the relative noise


def test_noise_is_new_in_every_frame() -> None:
    noisy = replace(PLAIN, quanta=1000.0)
    assert (shown(noisy, 0.0, seed=1) != shown(noisy, 0.0, seed=2)).mean() > 0.5


def test_shutters_show_their_own_grey() -> None:
    shutter_HW = OPEN_HW.copy()
    shutter_HW[:, :40] = 0
    chain = replace(PLAIN, shutter_HW=shutter_HW)
    picture = shown(chain, 0.3)
    assert np.abs(picture[:, :35] - 10).max() <= 1
    assert np.abs(picture[:, 45:] - 90).max() <= 1
    assert chain.field.mean() == pytest.approx(88 / 128)


def test_hardening_keeps_faint_contrast_and_lowers_strong_contrast() -> None:
    faint, strong = np.float32(0.01), np.float32(1.0)
    assert hardened(np.array([faint]))[0] == pytest.approx(0.01, rel=0.01)
    assert hardened(np.array([strong]))[0] == pytest.approx(1 / 1.5)


def test_intensity_never_falls_below_the_scatter() -> None:
    opaque_HW = np.zeros((64, 64), dtype=np.float32)
    opaque_HW[20:44, 20:44] = 50
    assert transmitted(opaque_HW, 0.5)[32, 32] > 0.1


def test_laboratories_differ_and_some_collimate() -> None:
    chains = [draw_chain(np.random.default_rng(seed), 128) for seed in range(30)]
    collimated = [not chain.field.all() for chain in chains]
    assert 5 < sum(collimated) < 25
    assert all(chain.field.mean() > 0.5 for chain in chains)
    assert np.std([chain.grey for chain in chains]) > 5


def test_the_spine_lies_to_the_right_in_lao_and_the_breath_moves_the_diaphragm() -> None:
    darker = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        arm = CArm(40, 0, 750, 1050, 160 / 128, 128)
        thorax = draw_thorax(rng, draw_heart(rng), arm, np.array([15, -15, -15], dtype=np.float32))
        still_HW = thorax.attenuation(128, 0.0, 0.0, arm.spacing_mm)
        assert still_HW.shape == (128, 128) and np.isfinite(still_HW).all()
        darker.append(float(still_HW[20:80, 95:].mean() - still_HW[20:80, :60].mean()))
        moved_HW = thorax.attenuation(128, 8.0, 0.0, arm.spacing_mm)
        assert np.abs(moved_HW - still_HW).max() > 0.02
    assert np.mean(darker) > 0


def test_enlarging_keeps_the_mean_and_the_ends() -> None:
    ramp_HW = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))
    large_HW = enlarged(ramp_HW, 128)
    assert large_HW.shape == (128, 128)
    assert large_HW.mean() == pytest.approx(0.5, abs=1e-3)
    assert (np.diff(large_HW[64]) > -1e-3).all()
