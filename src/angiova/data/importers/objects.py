"""Masks from what JSON formats hold: polygons and both flavours of COCO run lengths, checked before they are used."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from angiova.data.importers.findings import Findings
from angiova.data.importers.source import typed
from angiova.data.rle import Rle, from_counts, from_polygons
from angiova.errors import DataError

# Where a pixel's centre has whole coordinates, the outline of a border pixel lies half a pixel outside the image.
BORDER_TOLERANCE_PX: Final = 0.5
# pycocotools walks an outline in steps of a fifth of a pixel and holds all of them: 2e6 px are 80 MB.
MAX_OUTLINE_PX: Final = 2e6


def rle_of_segmentation(segmentation: object, size_px: tuple[int, int], where: str, findings: Findings) -> Rle | None:
    """Return the mask of a COCO ``segmentation``: a list of polygons, or run lengths as text or numbers.

    Args:
        segmentation: the field as read.
        size_px: (height, width) of the image.
        where: the annotation, for the findings.
        findings: told what is wrong.

    Returns:
        The mask, or None when nothing usable is there, which then is a finding.
    """
    if isinstance(segmentation, Mapping):
        return _of_runs(segmentation, size_px, where, findings)
    if isinstance(segmentation, list) and segmentation:
        return rle_of_polygons(segmentation, size_px, where, findings)
    findings.repair("no-segmentation", where, "no polygon and no run lengths", "leave the annotation out", "draw one")
    return None


def rle_of_polygons(polygons: Sequence[object], size_px: tuple[int, int], where: str, findings: Findings) -> Rle | None:
    """Return the union of `polygons`, each [x1, y1, x2, y2, ...] in pixels; `--fix` clips them to the image."""
    height, width = size_px
    checked = [_checked_polygon(polygon, height, width, where, findings) for polygon in polygons]
    usable = [polygon for polygon in checked if polygon]
    if sum(map(_outline_px, usable)) > MAX_OUTLINE_PX:
        findings.refuse("polygon-too-long", where, f"outline longer than {MAX_OUTLINE_PX:.0f} pixels", "draw it again")
        return None
    return from_polygons(usable, height, width) if usable else None


def _of_runs(segmentation: Mapping[str, Any], size_px: tuple[int, int], where: str, findings: Findings) -> Rle | None:
    try:
        size = typed(segmentation, "size", list)
        if size != list(size_px):
            problem = f"run lengths are for {size} (height, width), the image is {list(size_px)}"
            raise DataError(problem, remedy="export the mask at the image's own size")
        return from_counts(_counts(segmentation), *size_px)
    except DataError as error:
        findings.refuse("rle-malformed", where, error.problem, error.remedy or "export the mask again")
        return None


def _counts(segmentation: Mapping[str, Any]) -> str | list[int]:
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        return counts
    if isinstance(counts, list) and all(type(count) is int for count in counts):
        return counts
    raise DataError("run lengths should be text or a list of whole numbers")


def _checked_polygon(polygon: object, height: int, width: int, where: str, findings: Findings) -> list[float]:
    """Return a polygon fit for rasterising; an empty one, and a finding, when there is none."""
    problem = _malformed(polygon)
    if problem or not isinstance(polygon, list):
        findings.repair("polygon-malformed", where, problem, "leave the polygon out", "draw it again")
        return []
    excess_px = max(max(polygon[0::2]) - width, max(polygon[1::2]) - height, -min(polygon))
    if excess_px <= BORDER_TOLERANCE_PX:
        return polygon
    message = f"polygon reaches {excess_px:.4g} px outside the image of {width} x {height}"
    if not findings.repair("polygon-outside", where, message, "clip it", "check that image and labels belong together"):
        return []
    clipped = clip_polygon(polygon, height, width)
    if len(clipped) < 6 or not all(map(math.isfinite, clipped)):
        findings.warn("polygon-vanished", where, "nothing of the polygon is left inside the image; left out")
        return []
    return clipped


def _malformed(polygon: object) -> str:
    if not isinstance(polygon, list) or not all(type(value) in (int, float) for value in polygon):
        return "a polygon should be a flat list of numbers"
    # Compared, not converted: JSON has whole numbers that no float can hold.
    if not all(abs(value) <= sys.float_info.max for value in polygon):
        return "a coordinate is not finite"
    if len(polygon) % 2:
        return f"{len(polygon)} coordinates, an odd count"
    return f"{len(polygon) // 2} points, a polygon has at least 3" if len(polygon) < 6 else ""


def _outline_px(polygon: Sequence[float]) -> float:
    """Return the length of a closed outline, in pixels, each edge measured along its longer axis."""
    xs, ys = polygon[0::2], polygon[1::2]
    return sum(max(abs(xs[i] - xs[i - 1]), abs(ys[i] - ys[i - 1])) for i in range(len(xs)))


def clip_polygon(polygon: Sequence[float], height: int, width: int) -> list[float]:
    """Return the part of a polygon [x1, y1, ...] inside an image, in pixels.

    Source: Sutherland and Hodgman, "Reentrant Polygon Clipping", Communications of the ACM 17(1):32-42 (1974).
    """
    points = list(zip(polygon[0::2], polygon[1::2], strict=True))
    for axis, limit, keep_below in (
        (0, 0.0, False),
        (0, float(width), True),
        (1, 0.0, False),
        (1, float(height), True),
    ):
        points = _clip_side(points, axis, limit, keep_below)
    return [coordinate for point in points for coordinate in point]


def _clip_side(
    points: list[tuple[float, float]], axis: int, limit: float, keep_below: bool
) -> list[tuple[float, float]]:
    kept: list[tuple[float, float]] = []
    for previous, point in zip(points[-1:] + points[:-1], points, strict=True):
        inside = (point[axis] <= limit) if keep_below else (point[axis] >= limit)
        was_inside = (previous[axis] <= limit) if keep_below else (previous[axis] >= limit)
        if inside != was_inside:
            kept.append(_crossing(previous, point, axis, limit))
        if inside:
            kept.append(point)
    return kept


def _crossing(start: tuple[float, float], end: tuple[float, float], axis: int, limit: float) -> tuple[float, float]:
    share = (limit - start[axis]) / (end[axis] - start[axis])
    other = start[1 - axis] + share * (end[1 - axis] - start[1 - axis])
    return (limit, other) if axis == 0 else (other, limit)
