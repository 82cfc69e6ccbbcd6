"""When an object is there in a run: presence over frames, and the first and last frame that shows it.

An object is present in a frame where its mask has a pixel. Runs may be labelled sparsely: frames without a label are in
no count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from angiova.evaluation.overlap import Counts, dice

Presence = npt.NDArray[np.bool_]


class Edge(StrEnum):
    """What can be said about the first (or last) frame with the object.

    Attributes:
        MEASURED: truth and prediction have one; the error is a number.
        ABSENT: the object is in no labelled frame.
        OUTSIDE: it is there from the first labelled frame on (or up to the last): it came before the run was seen.
        SPARSE: the frame beside it without the object has no label, so that nobody knows the exact frame.
        MISSED: the prediction never shows the object.
    """

    MEASURED = "measured"
    ABSENT = "absent"
    OUTSIDE = "outside"
    SPARSE = "sparse"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class EdgeError:
    """Error of the first or the last frame with the object.

    Attributes:
        edge: whether there is an error to state, and if not, why.
        error_frames: predicted less true frame, negative where the prediction is early; None unless measured.
    """

    edge: Edge
    error_frames: int | None = None


def presence_counts(true_of_frame: Mapping[int, bool], predicted_T: Sequence[bool] | Presence) -> Counts:
    """Count the labelled frames of a run by true and predicted presence; nothing is counted in pixels here."""
    pairs = [(there, bool(predicted_T[frame])) for frame, there in true_of_frame.items()]
    return Counts(
        pairs.count((True, True)), pairs.count((False, True)), pairs.count((True, False)), pairs.count((False, False))
    )


def presence_f1(counts: Counts) -> float | None:
    """Return 2 TP / (2 TP + FP + FN) over frames; None where the object is in no frame of truth and prediction.

    Such a run is right about every frame and has no F1: it is counted, not scored, as an empty mask is.

    Source: van Rijsbergen, "Information Retrieval", 2nd edition (1979), chapter 7.
    """
    return dice(counts) if counts.tp + counts.fp + counts.fn else None


def onset_error(true_of_frame: Mapping[int, bool], predicted_T: Sequence[bool] | Presence) -> EdgeError:
    """Return by how many frames the first frame with the object is missed: predicted less true.

    The first predicted frame is taken as it is: a single false mask ahead of the contrast is an early onset. A
    prediction that is there from frame 0 on has its onset at 0.

    Args:
        true_of_frame: whether the object is there, by index of each labelled frame.
        predicted_T: whether the prediction shows it, in every frame of the run.
    """
    labelled = sorted(true_of_frame)
    first = next((frame for frame in labelled if true_of_frame[frame]), None)
    if first is None:
        return EdgeError(Edge.ABSENT)
    if first == labelled[0]:
        return EdgeError(Edge.OUTSIDE)
    if first - 1 not in true_of_frame:
        return EdgeError(Edge.SPARSE)
    predicted = np.flatnonzero(np.asarray(predicted_T, dtype=bool))
    return EdgeError(Edge.MEASURED, int(predicted[0]) - first) if predicted.size else EdgeError(Edge.MISSED)


def offset_error(true_of_frame: Mapping[int, bool], predicted_T: Sequence[bool] | Presence) -> EdgeError:
    """Return by how many frames the last frame with the object is missed: predicted less true; else as `onset_error`.

    A run that ends with the object in its last labelled frame has no offset.
    """
    last = len(predicted_T) - 1
    backwards = {last - frame: there for frame, there in true_of_frame.items()}
    found = onset_error(backwards, np.asarray(predicted_T, dtype=bool)[::-1])
    return found if found.error_frames is None else EdgeError(found.edge, -found.error_frames)
