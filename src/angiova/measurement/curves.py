"""How the vessels of a run change from frame to frame, as an SVG drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from angiova.report.charts.lines import Panel, Series, line_chart
from angiova.report.charts.svg import Drawing
from angiova.report.text import Text

COLUMNS = 2
PANEL_PX = 210.0
CURVES = (
    ("length_px", Text("length of all branches, px", "全部分支长度，像素")),
    ("calibre_px", Text("mean calibre, px", "平均管径，像素")),
    ("num_branches", Text("branches", "分支数")),
    ("num_bifurcations", Text("bifurcations", "分叉数")),
    ("worst_percent", Text("most severe narrowing, %", "最重狭窄，%")),
    ("num_pieces", Text("connected pieces", "连通块数")),
)


def run_curves(run: str, rows: Sequence[dict[str, Any]]) -> Drawing:
    """Return the curves of a run.

    Args:
        run: its name.
        rows: `angiova.measurement.tables.frame_row` of its frames with their index; frames with no value have no point.
    """
    ordered = sorted(rows, key=lambda row: row["index"])
    panels = []
    for name, label in CURVES:
        known = [(float(row["index"]), float(row[name])) for row in ordered if row[name] is not None]
        if known:
            xs, ys = zip(*known, strict=True)
            panels.append(Panel(label, (Series(label, xs, ys),)))
    return line_chart(panels, Text("frame", "帧"), Text(f"vessels of run {run}", f"{run} 的血管"), COLUMNS, PANEL_PX)
