"""Measures as tables: one row a branch, a bifurcation, a narrowing, a frame; and all of it as JSON."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

from angiova.data.syntax import SEGMENT_NAMES
from angiova.files import write_text
from angiova.morphology.measures import Branch, NodeKind, VesselMeasures

Row = dict[str, Any]

# fmt: off
BRANCH_COLUMNS = (
    "frame", "branch", "vessel", "start", "end", "segment", "segment_name", "row", "column", "length_px",
    "length_mm", "tortuosity", "calibre_px", "calibre_mm", "minimum_px", "minimum_mm", "minimum_at_px",
    "stenosis_percent",
)
BIFURCATION_COLUMNS = (
    "frame", "node", "row", "column", "parent", "daughters", "bends_deg", "opening_deg",
)
STENOSIS_COLUMNS = (
    "frame", "percent", "branch", "vessel", "segment", "row", "column", "at_px", "length_px", "length_mm",
    "minimum_px", "minimum_mm", "reference_px", "reference_mm",
)
FRAME_COLUMNS = (
    "frame", "run", "index", "time_s", "spacing_row_mm", "spacing_column_mm", "tree", "num_branches",
    "num_bifurcations", "num_crossings", "num_ends", "num_pieces", "num_loops", "length_px", "length_mm",
    "calibre_px", "worst_percent",
)
# fmt: on


def branch_rows(frame: str, measures: VesselMeasures) -> list[Row]:
    """Return one row a branch; places are (row, column) of its middle, `minimum_at_px` is counted from its start."""
    worst = {s.branch: s.percent for s in reversed(measures.stenoses)}
    return [
        {"frame": frame, **_branch(branch), "stenosis_percent": worst.get(branch.number)}
        for branch in measures.branches
    ]


def bifurcation_rows(frame: str, measures: VesselMeasures) -> list[Row]:
    """Return one row a bifurcation; several daughters and their angles are joined by spaces."""
    rows = []
    for fork in measures.bifurcations:
        node = measures.nodes[fork.node - 1]
        row = {"frame": frame, "row": node.row, "column": node.column, **asdict(fork)}
        row["daughters"] = " ".join(map(str, fork.daughters))
        row["bends_deg"] = " ".join(f"{bend:.1f}" for bend in fork.bends_deg)
        rows.append(row)
    return rows


def stenosis_rows(frame: str, measures: VesselMeasures) -> list[Row]:
    """Return one row a narrowing, the most severe first."""
    return [{"frame": frame, **asdict(stenosis)} for stenosis in measures.stenoses]


def frame_row(frame: str, measures: VesselMeasures) -> Row:
    """Return the numbers of a whole frame."""
    spacing_mm = measures.spacing_mm or (None, None)
    return {
        "frame": frame,
        "spacing_row_mm": spacing_mm[0],
        "spacing_column_mm": spacing_mm[1],
        "num_branches": len(measures.branches),
        "num_bifurcations": len(measures.nodes_of(NodeKind.BIFURCATION)),
        "num_crossings": len(measures.nodes_of(NodeKind.CROSSING)),
        "num_ends": len(measures.nodes_of(NodeKind.END)),
        "num_pieces": measures.num_pieces,
        "num_loops": measures.num_loops,
        "length_px": measures.length_px,
        "length_mm": measures.length_mm,
        "calibre_px": measures.mean_calibre_px,
        "worst_percent": measures.stenoses[0].percent if measures.stenoses else None,
    }


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write rows as CSV; numbers have three decimals, what is not known is empty."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    write_text(path, text.getvalue())


def as_json(rows: Mapping[str, Any], measures: VesselMeasures) -> dict[str, Any]:
    """Return a frame with everything measured of it, ready for JSON: also every centreline with its calibres."""
    return {
        **{name: rounded(value) for name, value in rows.items()},
        "nodes": [{name: rounded(value) for name, value in asdict(node).items()} for node in measures.nodes],
        "branches": [
            {name: rounded(value) for name, value in _branch(branch).items()}
            | {
                "points": branch.points_N2.round(2).tolist(),
                "calibres_px": branch.calibre_N_px.round(2).tolist(),
                "is_measured": branch.is_measured_N.tolist(),
            }
            for branch in measures.branches
        ],
        "bifurcations": [{name: rounded(value) for name, value in asdict(b).items()} for b in measures.bifurcations],
        "stenoses": [{name: rounded(value) for name, value in asdict(s).items()} for s in measures.stenoses],
    }


def rounded(value: Any) -> Any:  # noqa: ANN401  (anything JSON can hold)
    """Return a number to three decimals, and a sequence of them likewise; other values as they are."""
    if isinstance(value, float):
        return round(value, 3)
    return [rounded(part) for part in value] if isinstance(value, tuple) else value


def _branch(branch: Branch) -> Row:
    middle_2 = branch.points_N2[len(branch.points_N2) // 2]
    calibre_N_mm = branch.calibre_N_mm
    narrowest = branch.narrowest
    own_N = branch.is_measured_N if branch.is_measured_N.any() else slice(None)
    return {
        "branch": branch.number,
        "vessel": branch.vessel,
        "start": branch.start,
        "end": branch.end,
        "segment": branch.segment,
        "segment_name": None if branch.segment is None else SEGMENT_NAMES.get(branch.segment),
        "row": float(middle_2[0]),
        "column": float(middle_2[1]),
        "length_px": branch.length_px,
        "length_mm": branch.length_mm,
        "tortuosity": branch.tortuosity,
        "calibre_px": branch.mean_calibre_px,
        "calibre_mm": None if calibre_N_mm is None else float(calibre_N_mm[own_N].mean()),
        "minimum_px": float(branch.calibre_N_px[narrowest]),
        "minimum_mm": None if calibre_N_mm is None else float(calibre_N_mm[narrowest]),
        "minimum_at_px": float(narrowest * branch.length_px / max(len(branch.points_N2) - 1, 1)),
    }


def _cell(value: object) -> object:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else value
