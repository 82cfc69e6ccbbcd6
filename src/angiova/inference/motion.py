"""Smoothing masks over time along the motion of the image.

Each frame's probabilities become a weighted mean of its own and its neighbours', every one of them brought to the
frame's place along the estimated motion first: a motion-compensated temporal filter (E. Dubois and S. Sabri, Noise
Reduction in Image Sequences Using Motion-Compensated Temporal Filtering, IEEE Trans. Commun. 32(7), 1984), here with
binomial weights. Motion is found between neighbours, on small frames, by `angiova.evaluation.motion`, and added up over
two frames.

What the motion cannot explain, contrast that arrives or washes out, is smoothed as it is: an edge in time grows by up
to two frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from scipy.special import expit, logit

from angiova.data.pixels import GreyImage
from angiova.evaluation.motion import displacements, motion_between

Floats = npt.NDArray[np.float32]

# Of the frame itself and of those one and two frames away: the binomial coefficients over 16.
WEIGHTS: Final = (6 / 16, 4 / 16, 1 / 16)
RADIUS: Final = len(WEIGHTS) - 1
# Flow is found at this side, where it takes some 0.1 s; hearts move by a few pixels of it from frame to frame.
FLOW_SIDE_PX: Final = 256
# Logits are kept inside these, so that a probability of 1 has one.
MOST_LOGIT: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Moment:
    """A frame on its way through the filter, and its flow to the frame before it and to the one after it."""

    image_HW: GreyImage
    probabilities_NHW: Floats
    presence_N: Floats
    back_2HW: Floats | None


def smooth(frames: Iterable[tuple[GreyImage, Floats, Floats]]) -> Iterator[tuple[Floats, Floats]]:
    """Yield logits (N, H, W) and presence (N,) smoothed over time, one pair a frame, two frames behind.

    Args:
        frames: 8-bit image (H, W), logits (N, H, W) and presence (N,), probabilities, of each frame in order of time.
    """
    window: deque[_Moment] = deque(maxlen=2 * RADIUS + 1)
    forward: deque[Floats] = deque(maxlen=2 * RADIUS)
    taken, given = 0, 0
    for image_HW, logits_NHW, presence_N in frames:
        back_2HW = None
        if window:
            before_HW = window[-1].image_HW
            forward.append(_flow(before_HW, image_HW))
            back_2HW = _flow(image_HW, before_HW)
        window.append(_Moment(image_HW, expit(logits_NHW), presence_N, back_2HW))
        taken += 1
        if taken > RADIUS:
            yield _filtered(list(window), list(forward), len(window) - 1 - RADIUS)
            given += 1
    for behind in range(taken - given - 1, -1, -1):
        yield _filtered(list(window), list(forward), len(window) - 1 - behind)


def warp(values_NHW: Floats, flow_2HW: Floats) -> Floats:
    """Return values fetched from where the flow leads, (N, H, W): linear between pixels, the edge's value outside."""
    places_2HW = np.indices(flow_2HW.shape[1:], dtype=np.float32) + flow_2HW
    fetched = [map_coordinates(values_HW, places_2HW, order=1, mode="nearest") for values_HW in values_NHW]
    return np.asarray(fetched, dtype=np.float32).reshape(values_NHW.shape)


def _filtered(window: list[_Moment], forward: list[Floats], place: int) -> tuple[Floats, Floats]:
    """Return the weighted mean around one place of the window; weights of frames that are not there are shared out."""
    here = window[place]
    total_NHW, presence_N, weight = WEIGHTS[0] * here.probabilities_NHW, WEIGHTS[0] * here.presence_N, WEIGHTS[0]
    for step in (-1, 1):
        path_2HW = np.zeros((2, *here.probabilities_NHW.shape[1:]), dtype=np.float32)
        for distance in range(1, RADIUS + 1):
            there = place + step * distance
            if not 0 <= there < len(window):
                break
            # The last of `forward` leads to the last of the window, and so on back.
            next_2HW = forward[there - len(window)] if step > 0 else window[there + 1].back_2HW
            assert next_2HW is not None
            path_2HW = path_2HW + warp(next_2HW, path_2HW)
            total_NHW = total_NHW + WEIGHTS[distance] * warp(window[there].probabilities_NHW, path_2HW)
            presence_N = presence_N + WEIGHTS[distance] * window[there].presence_N
            weight += WEIGHTS[distance]
    return _logit(total_NHW / weight), np.asarray(presence_N / weight, dtype=np.float32)


def _flow(here_HW: GreyImage, there_HW: GreyImage) -> Floats:
    """Return where each pixel of a frame went in another, (2, H, W): what lies at p of the one lies at p + flow."""
    return displacements(motion_between(there_HW, here_HW, FLOW_SIDE_PX))


def _logit(probabilities: Floats) -> Floats:
    least = expit(-MOST_LOGIT)
    return np.asarray(logit(np.clip(probabilities.astype(np.float64), least, 1 - least)), dtype=np.float32)
