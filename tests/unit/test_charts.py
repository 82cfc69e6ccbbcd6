"""Drawings show the values they are given, at the right places, as valid SVG in which no text can do harm."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from angiova.report.charts.axes import Scale, padded, short, ticks
from angiova.report.charts.bars import Row, histogram_chart, interval_chart
from angiova.report.charts.lines import Panel, Series, line_chart, thinned
from angiova.report.charts.svg import Drawing
from angiova.report.text import Text

SVG = "{http://www.w3.org/2000/svg}"
BOTH = Text("steps", "步")


def parsed(drawing: Drawing, language: str = "en") -> ElementTree.Element:
    return ElementTree.fromstring(drawing.svg(language))  # noqa: S314  (ours)


def texts(drawing: Drawing, language: str = "en") -> list[str]:
    return [node.text or "" for node in parsed(drawing, language).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (5, 880, [200, 400, 600, 800]),
        (0.001, 0.0042, [0.001, 0.002, 0.003, 0.004]),
        (-3, 3, [-3, -2, -1, 0, 1, 2, 3]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_ticks_and_limits_of_any_range() -> None:
    for low, high in ((1e-9, 3e-9), (-1e6, 5e7), (0.999, 1.0), (12190, 12192)):
        marks = ticks(low, high)
        assert 2 <= len(marks) <= 8
        assert low - 1e-9 * abs(low) <= marks[0]
        assert marks[-1] <= high * (1 + 1e-9)
        steps = [b - a for a, b in pairwise(marks)]
        assert steps == pytest.approx([steps[0]] * len(steps))
    assert padded([3.0, 3.0]) == pytest.approx((2.7, 3.3))
    assert padded([0.0, 0.0]) == (-1.0, 1.0)
    assert padded([2.0, 4.0], from_zero=True)[0] == 0


def test_numbers_on_axes_are_short() -> None:
    assert [short(v) for v in (0.25, 1200, 2e-5, 0, 12192, 1.5e7)] == [
        "0.25",
        "1,200",
        "2e-05",
        "0",
        "12,192",
        "1.5e+07",
    ]


def test_a_scale_is_a_straight_line() -> None:
    scale = Scale(10, 20, 100, 0)
    assert [scale(v) for v in (10, 15, 20)] == [100, 50, 0]


def test_a_curve_goes_through_its_points() -> None:
    drawing = line_chart([Panel("loss", (Series("a", [0, 10], [1, 3]),), y_limits=(1, 3))], BOTH, "t", columns=1)
    (line,) = parsed(drawing).iter(f"{SVG}polyline")
    (x1, y1), (x2, y2) = (tuple(map(float, point.split(","))) for point in line.attrib["points"].split())
    assert x1 < x2
    assert y1 > y2  # larger values are higher
    assert (x1, x2) == (52, 888)


def test_every_point_says_its_value_in_both_languages() -> None:
    drawing = line_chart([Panel("loss", (Series(Text("logged", "原始"), [1, 2, 3], [0.5, 0.25, 0.125]),))], BOTH, "t")
    page = drawing.svg()
    assert page.count('class="hit"') == 3
    assert 'data-en="steps 2\nlogged 0.25"' in page
    assert 'data-zh="步 2\n原始 0.25"' in page


def test_a_file_has_one_language_and_a_page_both() -> None:
    drawing = line_chart([Panel("loss", (Series("a", [1, 2], [1, 2]),))], BOTH, BOTH)
    assert "steps" in texts(drawing, "en")
    assert "步" not in texts(drawing, "en")
    assert "步" in texts(drawing, "zh")
    page = drawing.svg()
    assert 'lang="en"' in page
    assert 'lang="zh"' in page


def test_text_cannot_leave_its_place() -> None:
    attack = "\"><script>alert(1)</script>&'"
    rows = [Row(attack, 0.5, 0.4, 0.6, 0.1, note=attack)]
    for drawing in (
        line_chart([Panel(attack, (Series(attack, [1, 2], [1, 2]),), ends=attack)], attack, attack),
        interval_chart(rows, attack, attack, attack),
        histogram_chart({attack: [0.1, 0.2]}, attack, attack),
    ):
        for language in (None, "en", "zh"):
            assert "<script" not in drawing.svg(language)
        assert attack in texts(drawing)


def test_intervals_are_drawn_where_they_are_and_cut_at_the_frame() -> None:
    rows = [Row("inside", 0.5, 0.25, 0.75), Row("beyond", 0.9, 0.8, 1.2)]
    drawing = interval_chart(rows, "x", "t", limits=(0.0, 1.0))
    lines = [
        (float(n.attrib["x1"]), float(n.attrib["x2"]))
        for n in parsed(drawing).iter(f"{SVG}line")
        if n.attrib.get("stroke-width") == "1.4" and n.attrib["x1"] != n.attrib["x2"]
    ]
    (a, b), (c, d) = lines
    left, right = a - (b - a) / 2, b + (b - a) / 2  # 0.25 to 0.75 is half of the frame
    assert right == pytest.approx(840, abs=0.1)
    assert c == pytest.approx(left + 0.8 * (right - left), abs=0.1)
    assert d == pytest.approx(right, abs=0.1)
    assert {"0.500", "0.900"} <= set(texts(drawing))


def test_a_histogram_counts_every_value_once() -> None:
    page = histogram_chart({"dice": [0.0, 0.02, 0.5, 1.0]}, "targets", "t").svg()
    counts = [int(part.partition(" ")[0]) for part in page.split("data-en=")[1:] for part in [part.split("\n")[1]]]
    assert sum(counts) == 4
    assert counts[0] == 2
    assert counts[-1] == 1
    assert "0.380" in page  # their mean


def test_many_points_become_means_of_blocks() -> None:
    assert thinned([1, 2, 3, 4], 2) == [1.5, 3.5]
    assert thinned([1, 2, 3], 5) == [1, 2, 3]
