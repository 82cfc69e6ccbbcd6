"""The beat of a run: as simulated, within a stated tolerance, and "unclear" where there is none to tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread

from angiova.data.pixels import GreyImage
from angiova.errors import DataError
from angiova.inference.cardiac import CardiacPhase, Unclear, measure_beat
from angiova.simulate.cine import render_frame
from angiova.simulate.plan import RunPlan
from angiova.simulate.scene import draw_scene

FRAMES_A_SECOND = 15
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Simulated:
    """A run of which the beat is known."""

    images: list[GreyImage]
    times_s: Floats
    rate_bpm: float
    phase_T: Floats


@pytest.fixture(scope="module", params=[1, 2])  # patients who hold their breath, 58.7 and 67.2 beats a minute
def run(request: pytest.FixtureRequest) -> Simulated:
    scene = draw_scene(RunPlan(5, request.param, 1, "left" if request.param % 2 else "right", 48), 96)
    times_s = np.arange(48) / FRAMES_A_SECOND
    rng = np.random.default_rng(request.param)
    images = [render_frame(scene, float(time_s), rng)[0] for time_s in times_s]
    return Simulated(images, times_s, 60 / scene.beat_s, (times_s + scene.beat_phase_s) / scene.beat_s % 1)


def apart(one_T: Floats, other_T: Floats) -> Floats:
    """Return how far phases lie apart, -0.5 to 0.5."""
    return (one_T - other_T + 0.5) % 1 - 0.5


def test_the_beat_of_a_simulated_heart_is_found(run: Simulated) -> None:
    found = measure_beat(run.images, run.times_s)
    assert found.is_clear
    assert found.rate_bpm == pytest.approx(run.rate_bpm, rel=0.02)
    assert found.phase_T is not None
    assert np.abs(apart(found.phase_T, run.phase_T)).max() < 0.1
    assert ((found.phase_T >= 0) & (found.phase_T < 1)).all()


def test_a_later_part_of_the_run_has_the_same_beat(run: Simulated) -> None:
    found = measure_beat(iter(run.images[12:]), run.times_s[12:])
    assert found.rate_bpm == pytest.approx(run.rate_bpm, rel=0.03)
    assert found.phase_T is not None
    assert np.abs(apart(found.phase_T, run.phase_T[12:])).max() < 0.12


def test_lost_frames_change_little(run: Simulated) -> None:
    kept = [frame for frame in range(len(run.images)) if frame % 7 != 3]
    found = measure_beat([run.images[frame] for frame in kept], run.times_s[kept])
    assert found.rate_bpm == pytest.approx(run.rate_bpm, rel=0.03)
    assert found.phase_T is not None
    assert len(found.phase_T) == len(kept)


def test_a_leap_of_the_exposure_in_the_first_frames_changes_little(run: Simulated) -> None:
    darker = [np.asarray(image * 0.5, dtype=np.uint8) if n < 3 else image for n, image in enumerate(run.images)]
    assert measure_beat(darker, run.times_s).rate_bpm == pytest.approx(run.rate_bpm, rel=0.03)


def test_beats_begin_once_a_beat(run: Simulated) -> None:
    beats = measure_beat(run.images, run.times_s).beats_at()
    expected = 60 / run.rate_bpm * FRAMES_A_SECOND
    assert len(beats) == pytest.approx(len(run.images) / expected, abs=1)
    assert np.diff(beats) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("seconds", [0.4, 1.2])
def test_less_than_two_beats_are_too_short(run: Simulated, seconds: float) -> None:
    num_frames = round(seconds * FRAMES_A_SECOND)
    found = measure_beat(run.images[:num_frames], run.times_s[:num_frames])
    assert found == CardiacPhase(None, None, 0.0, Unclear.SHORT)
    assert found.beats_at() == []


def test_a_still_run_has_no_beat(run: Simulated) -> None:
    assert measure_beat([run.images[20]] * 48, run.times_s).unclear is Unclear.STILL


@pytest.mark.parametrize("seed", range(4))
def test_a_still_run_with_noise_has_no_beat(run: Simulated, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [np.clip(run.images[20] + rng.normal(0, 6, (96, 96)), 0, 255).astype(np.uint8) for _ in range(48)]
    assert measure_beat(images, run.times_s).unclear is Unclear.NO_PEAK


def test_contrast_that_comes_slowly_is_no_beat(run: Simulated) -> None:
    shares = 0.7 + 0.3 * np.cos(np.linspace(0, np.pi, 48))
    images = [np.asarray(run.images[20] * share, dtype=np.uint8) for share in shares]
    assert measure_beat(images, run.times_s).unclear is Unclear.NO_PEAK


def test_frames_too_far_apart_for_a_heart_say_so(run: Simulated) -> None:
    assert measure_beat(run.images[::4], run.times_s[::4]).unclear is Unclear.SLOW_FRAMES


def test_times_that_do_not_fit_are_refused(run: Simulated) -> None:
    with pytest.raises(DataError, match="3 times for 48 frames"):
        measure_beat(run.images, run.times_s[:3])
    with pytest.raises(DataError, match="do not rise"):
        measure_beat(run.images, run.times_s[::-1])


@pytest.mark.parametrize("num_frames", [0, 1])
def test_runs_of_a_frame_or_none_are_too_short(run: Simulated, num_frames: int) -> None:
    assert measure_beat(run.images[:num_frames], run.times_s[:num_frames]).unclear is Unclear.SHORT


def test_the_beat_of_a_real_run_is_that_of_its_motion(shared_data: object) -> None:
    header = dcmread(f"{shared_data}/dicom_xa/rubo_xa_0002.dcm")
    images = np.asarray(header.pixel_array / header.pixel_array.max() * 255, dtype=np.uint8)
    found = measure_beat(images, np.arange(len(images)) * float(header.FrameTime) / 1000)
    # Frames change most around 25, 50 and 75, as one sees by eye: a beat every 25 frames of 33 ms.
    assert found.rate_bpm == pytest.approx(60 / (25 * 0.033), rel=0.05)
