"""A run in one picture: how much vessel its frames show, the phases of the contrast, the heart's beats, key frames.

An SVG file that needs nothing beside it. Phases, peak and key frames carry words or numbers, so that nothing depends on
colour.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Final

from PIL import Image

from angiova.errors import DataError
from angiova.evaluation.phases import Phase
from angiova.export.overlay import ColourImage
from angiova.files import write_text
from angiova.inference.cardiac import CardiacPhase
from angiova.inference.opacification import Opacification
from angiova.report.charts.axes import Frame, frame, padded, x_axis, y_axis
from angiova.report.charts.svg import INK, LINE, MARK, SOFT, Drawing, Node, element, moved, text, width_px
from angiova.report.text import Label
from angiova.report.wording import say

WIDTH: Final = 900.0
CHART: Final = (52.0, 64.0, 888.0, 250.0)  # left, top, right, bottom
BEATS_TOP: Final = 290.0
THUMBNAILS_TOP: Final = 326.0
COLUMNS: Final = 5
THUMBNAIL: Final = 160.0
CAPTION: Final = 34.0
# Twice what is drawn, for screens with fine pixels.
THUMBNAIL_PX: Final = 320
# The fuller, the darker.
SHADES: Final = {Phase.NONE: "#ffffff", Phase.FILLING: "#eaeef1", Phase.FULL: "#d3dbe0", Phase.WASHOUT: "#eaeef1"}
PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class ShownRun:
    """What there is to show of a run of T frames.

    Attributes:
        name: of the run.
        times_s: time of each frame; None where they are not known: frames are counted instead.
        opacification: what `angiova.inference.opacification` measured.
        beat: what `angiova.inference.cardiac` measured.
        key_frames: pictures (H, W, 3) of the key frames, by index of the frame.
    """

    name: str
    times_s: Sequence[float] | None
    opacification: Opacification
    beat: CardiacPhase
    key_frames: Mapping[int, ColourImage]

    @property
    def places(self) -> Sequence[float]:
        """Where each frame stands on the axis: at its time, or at its number."""
        return range(len(self.opacification.levels_T)) if self.times_s is None else self.times_s


def write_run_picture(path: Path, run: ShownRun, language: str = "en") -> None:
    """Write the picture of a run as an SVG file in one language.

    Raises:
        DataError: see `run_picture`.
    """
    write_text(path, run_picture(run).svg(language))


def run_picture(run: ShownRun) -> Drawing:
    """Draw a run, in both languages.

    Raises:
        DataError: there is not one time a frame, or a key frame is not in the run.
    """
    num_frames = len(run.opacification.levels_T)
    if len(run.places) != num_frames or not all(0 <= index < num_frames for index in run.key_frames):
        problem = f"{len(run.places)} times and key frames {sorted(run.key_frames)} for {num_frames} frames"
        raise DataError(problem, where=run.name, remedy="give one time a frame, and key frames of this run")
    levels = PERCENT * run.opacification.levels_T
    last = run.places[-1] if num_frames > 1 else run.places[0] + 1
    area = frame(*CHART, (run.places[0], last), padded(levels.tolist(), from_zero=True))
    nodes = (
        *_head(run),
        *_phases(run, area),
        *y_axis(area),
        *x_axis(area, say("cine.number" if run.times_s is None else "cine.time"), most=10),
        *_curve(run, area),
        *_key_marks(run, area),
        *_beats(run, area),
        *_thumbnails(run),
    )
    rows = ceil(len(run.key_frames) / COLUMNS)
    return Drawing(WIDTH, THUMBNAILS_TOP + rows * (THUMBNAIL + CAPTION), nodes, say("cine.title", run=run.name))


def _head(run: ShownRun) -> Iterator[Node]:
    yield element("rect", x=0, y=0, width="100%", height="100%", fill="#ffffff")
    yield from text(12, 20, say("cine.title", run=run.name), font_size=14, font_weight="600")
    yield from text(CHART[2], 20, say("cine.notice"), text_anchor="end", fill=SOFT)
    yield from text(12, 40, say("cine.level"), fill=SOFT)


def _phases(run: ShownRun, area: Frame) -> Iterator[Node]:
    """Yield a shaded band with its name for each stretch of frames of one phase."""
    if not run.opacification.is_clear:
        yield from text(area.right, area.top - 8, say("cine.no_phases"), text_anchor="end", fill=SOFT)
        return
    for phase, numbered in groupby(enumerate(run.opacification.phases), key=lambda item: item[1]):
        frames = [index for index, _ in numbered]
        left, right = _edge(run, area, frames[0]), _edge(run, area, frames[-1] + 1)
        yield element(
            "rect", x=left, y=area.top, width=right - left, height=area.bottom - area.top, fill=SHADES[Phase(phase)]
        )
        yield element("line", x1=left, y1=area.top - 14, x2=left, y2=area.bottom, stroke=SOFT, stroke_width=0.5)
        name = say(f"groups.phases.{phase}")
        if width_px(name) < right - left:
            yield from text((left + right) / 2, area.top - 5, name, text_anchor="middle")


def _edge(run: ShownRun, area: Frame, index: int) -> float:
    """Return the place between a frame and the one before; the ends of the axis at the ends of the run."""
    if index == 0:
        return area.left
    if index == len(run.places):
        return area.right
    return area.x((run.places[index - 1] + run.places[index]) / 2)


def _curve(run: ShownRun, area: Frame) -> Iterator[Node]:
    places = [
        (area.x(place), area.y(PERCENT * level))
        for place, level in zip(run.places, run.opacification.levels_T.tolist(), strict=True)
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield element("polyline", points=points, fill="none", stroke=LINE, stroke_width=1.8, stroke_linejoin="round")
    x, y = places[run.opacification.peak]
    yield element("path", d=f"M{x:.1f} {y - 4:.1f}l-5 -9h10z", fill=MARK, class_="peak")
    beside, anchor = (x + 9, "start") if x < (area.left + area.right) / 2 else (x - 9, "end")
    yield from text(beside, y - 6, say("cine.peak"), fill=INK, font_weight="600", text_anchor=anchor)


def _key_marks(run: ShownRun, area: Frame) -> Iterator[Node]:
    for number, index in enumerate(sorted(run.key_frames), start=1):
        x = area.x(run.places[index])
        yield element("line", x1=x, y1=area.top, x2=x, y2=area.bottom, stroke=INK, stroke_dasharray="3 3", class_="key")
        yield element("circle", cx=x, cy=area.bottom - 12, r=8, fill="#ffffff", stroke=INK)
        yield from text(x, area.bottom - 8, str(number), text_anchor="middle", font_weight="600")


def _beats(run: ShownRun, area: Frame) -> Iterator[Node]:
    """Yield a tick at the beginning of each beat, and its words."""
    for index in run.beat.beats_at():
        x = area.x(run.places[index])
        yield element("line", x1=x, y1=BEATS_TOP, x2=x, y2=BEATS_TOP + 10, stroke=INK, stroke_width=1.6, class_="beat")
    yield from text(12, BEATS_TOP + 24, _beat_words(run.beat), fill=SOFT)


def _beat_words(beat: CardiacPhase) -> Label:
    if beat.unclear is not None:
        return say("cine.no_beat", why=say(f"cine.unclear.{beat.unclear.name}"))
    return say("cine.beats", rate=f"{beat.rate_bpm:.0f}")


def _thumbnails(run: ShownRun) -> Iterator[Node]:
    for place, index in enumerate(sorted(run.key_frames)):
        row, column = divmod(place, COLUMNS)
        caption = _caption(run, index)
        phase = run.opacification.phases[index]
        step = (WIDTH - 24) / COLUMNS
        nodes = [
            element("image", width=THUMBNAIL, height=THUMBNAIL, href=_embedded(run.key_frames[index])),
            *text(0, THUMBNAIL + 14, f"{place + 1}", font_weight="600"),
            *text(14, THUMBNAIL + 14, caption),
            *(text(14, THUMBNAIL + 27, say(f"groups.phases.{phase}"), fill=SOFT) if phase else ()),
        ]
        yield moved(nodes, 12 + column * step, THUMBNAILS_TOP + row * (THUMBNAIL + CAPTION))


def _caption(run: ShownRun, index: int) -> Label:
    if run.times_s is None:
        return say("cine.frame_alone", frame=index)
    return say("cine.frame", frame=index, time=f"{run.times_s[index]:.2f}")


def _embedded(picture: ColourImage) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    stream = BytesIO()
    image.save(stream, format="PNG")
    return "data:image/png;base64," + b64encode(stream.getvalue()).decode("ascii")
