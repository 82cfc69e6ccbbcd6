"""The picture of a run: everything at its time, said in words, in both languages, and nothing loaded from elsewhere."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from angiova.errors import DataError
from angiova.inference.cardiac import CardiacPhase, Unclear
from angiova.inference.opacification import describe_levels
from angiova.report.run_picture import CHART, ShownRun, run_picture, write_run_picture

SVG = "{http://www.w3.org/2000/svg}"
NUM_FRAMES = 24
TIMES_S = [frame / 8 for frame in range(NUM_FRAMES)]
PICTURES = {9: np.full((40, 30, 3), 60, np.uint8), 15: np.full((40, 30, 3), 200, np.uint8)}
RUN = ShownRun(
    "p1-r1",
    TIMES_S,
    describe_levels([0.02] * 6 + [0.05] * 6 + [0.1] * 6 + [0.04] * 6),
    CardiacPhase(60.0, (np.array(TIMES_S) + 0.3) % 1, 0.6, None),
    PICTURES,
)


def parsed(run: ShownRun, language: str = "en") -> ElementTree.Element:
    return ElementTree.fromstring(run_picture(run).svg(language))  # noqa: S314  (ours)


def words(run: ShownRun, language: str = "en") -> list[str]:
    return [node.text or "" for node in parsed(run, language).iter(f"{SVG}text")]


def lines(run: ShownRun, name: str) -> list[float]:
    return [float(node.attrib["x1"]) for node in parsed(run).iter(f"{SVG}line") if node.get("class") == name]


def at(frame: int) -> float:
    return CHART[0] + TIMES_S[frame] / TIMES_S[-1] * (CHART[2] - CHART[0])


def test_key_frames_and_beats_stand_at_their_times() -> None:
    assert lines(RUN, "key") == pytest.approx([at(9), at(15)], abs=0.01)
    # The phase passes 1 between 0.625 and 0.75 s, and every second after: frames 6, 14 and 22.
    assert lines(RUN, "beat") == pytest.approx([at(6), at(14), at(22)], abs=0.01)


def test_phases_are_named_and_fill_the_chart_in_order() -> None:
    bands = [node for node in parsed(RUN).iter(f"{SVG}rect") if "x" in node.attrib][1:]
    widths = [float(band.attrib["width"]) for band in bands]
    assert sum(widths) == pytest.approx(CHART[2] - CHART[0], abs=0.05)
    assert widths[1] == pytest.approx(widths[2], abs=0.02)  # 6 frames each
    names = ["no contrast", "filling", "full", "washout"]
    assert [word for word in words(RUN) if word in names][:4] == names


def test_the_peak_is_marked_where_the_curve_is_highest() -> None:
    peak = next(node for node in parsed(RUN).iter(f"{SVG}path") if node.get("class") == "peak")
    x = float(peak.attrib["d"].split()[0].removeprefix("M"))
    assert x == pytest.approx(at(RUN.opacification.peak), abs=0.06)


def test_a_band_too_narrow_for_its_name_goes_without() -> None:
    short = describe_levels([0.02] * 100 + [0.05] * 3 + [0.1] * 100)
    times_s = [frame / 8 for frame in range(203)]
    run = replace(RUN, opacification=short, times_s=times_s, beat=CardiacPhase(None, None, 0.0, Unclear.STILL))
    assert "filling" not in words(replace(run, key_frames={}))
    assert "filling" in words(replace(run, key_frames={101: PICTURES[9]}))  # said below its picture


def test_key_frames_are_shown_inside_the_file() -> None:
    images = list(parsed(RUN).iter(f"{SVG}image"))
    for node, picture in zip(images, PICTURES.values(), strict=True):
        kind, _, content = node.attrib["href"].partition(",")
        assert kind == "data:image/png;base64"
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(b64decode(content)))), picture)
    assert "frame 9, 1.12 s" in words(RUN)


def test_large_key_frames_are_made_small() -> None:
    run = replace(RUN, key_frames={3: np.zeros((1024, 512, 3), np.uint8)})
    content = next(parsed(run).iter(f"{SVG}image")).attrib["href"].partition(",")[2]
    assert Image.open(BytesIO(b64decode(content))).size == (160, 320)


@pytest.mark.parametrize(
    ("language", "expected"),
    [("en", "heart beats unclear: nothing moves"), ("zh", "心搏不明确：画面静止")],
)
def test_what_is_unclear_is_said_in_the_language(language: str, expected: str) -> None:
    flat = describe_levels([0.05] * NUM_FRAMES)
    run = replace(RUN, beat=CardiacPhase(None, None, 0.0, Unclear.STILL), opacification=flat)
    assert expected in words(run, language)
    assert not lines(run, "beat")
    assert {"contrast phases unclear", "对比剂时相不明确"} & set(words(run, language))


@pytest.mark.parametrize("why", list(Unclear))
def test_every_reason_has_words(why: Unclear) -> None:
    assert f"heart beats unclear: {why.value}" in words(replace(RUN, beat=CardiacPhase(None, None, 0.0, why)))


def test_a_run_of_one_frame_is_drawn() -> None:
    run = ShownRun("one", [0.0], describe_levels([0.05]), CardiacPhase(None, None, 0.0, Unclear.SHORT), {})
    assert "Run one" in words(run)


def test_a_name_can_do_no_harm(tmp_path: Path) -> None:
    write_run_picture(tmp_path / "run.svg", replace(RUN, name="<script>alert(1)</script>"), "zh")
    found = ElementTree.parse(tmp_path / "run.svg")  # noqa: S314  (ours)
    assert not list(found.iter(f"{SVG}script"))


@pytest.mark.parametrize("change", [{"times_s": TIMES_S[:-1]}, {"key_frames": {24: PICTURES[9]}}])
def test_what_does_not_fit_the_run_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DataError, match="for 24 frames"):
        run_picture(replace(RUN, **change))  # type: ignore[arg-type]
