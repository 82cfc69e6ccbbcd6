"""How much simulated angiograms are like real ones: measures side by side, and how well a classifier tells them apart.

    angiova import ARCADE/syntax data/arcade
    angiova simulate data/simulated --runs 30 --frames 150 --seed 3
    angiova split data/simulated --val 0 --test 0
    python benchmarks/realism.py data/arcade data/simulated OUT.json [--frames 150]

Frames are spread over the training parts; those that show no labelled segment are left out. Patches come from where the
collimator is open, 60 px or more from the border, in both sets. The classifier is a logistic regression, judged on
patients (frames, where patients are not known) that it did not learn from; standard errors resample these.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.stats import kurtosis, skew
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from angiova.data import rle
from angiova.data.manifest import Manifest
from angiova.data.pixels import GreyImage
from angiova.data.records import FrameRecord, Split, TargetKind
from angiova.data.rle import BoolMask
from angiova.files import write_json
from angiova.morphology.courses import thinned

Floats = npt.NDArray[np.float64]

BORDER_PX: Final = 60
PATCH_PX: Final = 64
PATCHES: Final = 8  # a frame
FOLDS: Final = 5
RESAMPLES: Final = 400
# Edges of the bands of the power spectrum, in cycles a pixel.
BANDS: Final = (0.0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
# What the classifier may look at: columns of `features`.
GROUPS: Final = {
    "power spectrum": slice(0, 8),
    "grey histogram": slice(8, 12),
    "gradients": slice(12, 16),
    "all": slice(0, 16),
}


@dataclass(frozen=True)
class Frame:
    """One frame with its labels.

    Attributes:
        image_HW: grey values.
        segments_HW: all labelled segments.
        field_HW: where the collimator is open; without the borders where a data set does not say.
        group: the patient, or the frame where the patient is not known.
    """

    image_HW: GreyImage
    segments_HW: BoolMask
    field_HW: BoolMask
    group: str


def inner(shape: tuple[int, ...]) -> BoolMask:
    """Return what is left of an image without its borders."""
    mask_HW = np.zeros(shape, bool)
    mask_HW[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
    return mask_HW


def labelled_segments(record: FrameRecord) -> BoolMask:
    """Return the pixels of all labelled segments of a frame."""
    mask_HW = np.zeros((record.height, record.width), bool)
    for target in record.targets:
        if target.kind is TargetKind.SEGMENT:
            mask_HW |= rle.decode(target.mask)
    return mask_HW


def frames_of(folder: Path, num_frames: int) -> list[Frame]:
    """Return frames spread over the training part of a data set, without those that show no labelled segment."""
    manifest = Manifest(folder)
    records = list(manifest.records(Split.TRAIN))
    count = min(num_frames, len(records))
    has_fields = any(record.field_of_view for record in records)
    frames = []
    for record in (records[index * len(records) // count] for index in range(count)):
        segments_HW = labelled_segments(record)
        if record.field_of_view:
            field_HW = rle.decode(record.field_of_view)
        else:
            field_HW = np.ones_like(segments_HW) if has_fields else inner(segments_HW.shape)
        group = record.patient or record.frame_id
        if segments_HW.any():
            frames.append(Frame(manifest.read_image(record), segments_HW, field_HW, group))
    return frames


def contrast(frame: Frame) -> float:
    """Return by how many grey values labelled segments are darker than the ring 3 to 9 px around them."""
    away_HW_px = distance_transform_edt(~frame.segments_HW)
    ring_HW = (away_HW_px >= 3) & (away_HW_px <= 9)
    return float(frame.image_HW[ring_HW].mean() - frame.image_HW[frame.segments_HW].mean())


def noise(frame: Frame) -> float:
    """Return the robust deviation (1.4826 MAD) of what a Gaussian of 1.5 px takes off the image."""
    image_HW = frame.image_HW.astype(np.float64)
    rest_N = (image_HW - gaussian_filter(image_HW, 1.5))[frame.field_HW]
    return float(1.4826 * np.median(np.abs(rest_N - np.median(rest_N))))


def diameters_px(frame: Frame) -> Floats:
    """Return twice the distance to the wall at each pixel of the skeleton of the labelled segments, (N,)."""
    return np.asarray(2 * distance_transform_edt(frame.segments_HW)[thinned(frame.segments_HW)])


def measures(frames: Sequence[Frame]) -> dict[str, list[float]]:
    """Return the 5th, 50th and 95th percentile of each measure."""
    values = {
        "contrast": [contrast(frame) for frame in frames],
        "noise": [noise(frame) for frame in frames],
        "diameter_px": np.concatenate([diameters_px(frame) for frame in frames]),
        "segments_percent": [100 * float(frame.segments_HW.mean()) for frame in frames],
        "grey_deviation": [float(frame.image_HW[frame.field_HW].std()) for frame in frames],
    }
    return {name: np.percentile(found, (5, 50, 95)).round(2).tolist() for name, found in values.items()}


def features(patch_PP: GreyImage) -> Floats:
    """Return what is known of a patch, (16,): power in bands, moments of grey values, statistics of gradients."""
    patch = patch_PP.astype(np.float64)
    window = np.hanning(len(patch))
    power = np.abs(np.fft.fft2((patch - patch.mean()) * window[:, None] * window)) ** 2
    cycles = np.fft.fftfreq(len(patch))
    band = np.digitize(np.hypot(cycles[:, None], cycles), BANDS)
    spectrum = [np.log(power[band == number].mean() + 1) for number in range(1, len(BANDS))]
    deviation = patch.std()
    moments = [patch.mean(), np.log(deviation + 1)]
    moments += [skew(patch, axis=None), kurtosis(patch, axis=None)] if deviation else [0.0, 0.0]
    slope = np.hypot(*np.gradient(patch))
    gradients = [slope.mean(), *np.percentile(slope, (50, 90, 99))]
    return np.array([*spectrum, *moments, *np.log(np.add(gradients, 1))])


def patches(frame: Frame, rng: np.random.Generator) -> list[GreyImage]:
    """Return up to PATCHES random patches from inside the borders and the open collimator."""
    allowed_HW = frame.field_HW & inner(frame.image_HW.shape)
    room = np.subtract(allowed_HW.shape, PATCH_PX) + 1
    found: list[GreyImage] = []
    for row, column in rng.integers(0, room, (50 * PATCHES, 2)):
        place = np.s_[row : row + PATCH_PX, column : column + PATCH_PX]
        if allowed_HW[place].all():
            found.append(frame.image_HW[place])
        if len(found) == PATCHES:
            break
    return found


def separation(is_real_N: BoolMask, score_N: Floats) -> tuple[float, float]:
    """Return the accuracy at a score of 0, both kinds weighing the same, and the AUC."""
    accuracy = balanced_accuracy_score(is_real_N, score_N > 0)
    return float(accuracy), float(roc_auc_score(is_real_N, score_N))


def resampled(is_real_N: BoolMask, group_N: npt.NDArray[np.str_], score_N: Floats) -> Floats:
    """Return accuracy and AUC of RESAMPLES draws of patients, with replacement and real ones apart, (RESAMPLES, 2)."""
    rng = np.random.default_rng(0)
    members = [
        [np.flatnonzero(group_N == group) for group in np.unique(group_N[is_kind_N])]
        for is_kind_N in (is_real_N, ~is_real_N)
    ]
    rows = []
    for _ in range(RESAMPLES):
        drawn = [kind[index] for kind in members for index in rng.integers(0, len(kind), len(kind))]
        at = np.concatenate(drawn)
        rows.append(separation(is_real_N[at], score_N[at]))
    return np.array(rows)


def told_apart(features_NF: Floats, is_real_N: BoolMask, group_N: npt.NDArray[np.str_]) -> dict[str, float]:
    """Return how well a logistic regression tells real from simulated patches of patients it did not learn from."""
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    score_N = cross_val_predict(model, features_NF, is_real_N, groups=group_N, cv=folds, method="decision_function")
    error_2 = resampled(is_real_N, group_N, score_N).std(axis=0, ddof=1)
    accuracy, auc = separation(is_real_N, score_N)
    return {
        "accuracy": round(accuracy, 3),
        "accuracy_standard_error": round(float(error_2[0]), 3),
        "auc": round(auc, 3),
        "auc_standard_error": round(float(error_2[1]), 3),
    }


def two_samples(real: Sequence[Frame], simulated: Sequence[Frame]) -> dict[str, Any]:
    """Return how well each group of features tells patches of both sets apart."""
    rng = np.random.default_rng(0)
    rows, is_real, groups = [], [], []
    for kind, frames in ((True, real), (False, simulated)):
        for frame in frames:
            found = [features(patch) for patch in patches(frame, rng)]
            rows += found
            is_real += [kind] * len(found)
            groups += [frame.group] * len(found)
    features_NF, is_real_N, group_N = np.array(rows), np.array(is_real), np.array(groups)
    scores = {name: told_apart(features_NF[:, columns], is_real_N, group_N) for name, columns in GROUPS.items()}
    return {"patches": [int(is_real_N.sum()), int((~is_real_N).sum())], "features": scores}


def main() -> None:
    """Read, measure, tell apart and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("simulated", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=150)
    options = parser.parse_args()
    real, simulated = frames_of(options.real, options.frames), frames_of(options.simulated, options.frames)
    result: dict[str, Any] = {
        "frames": [len(real), len(simulated)],
        "groups": [len({frame.group for frame in frames}) for frames in (real, simulated)],
        "real": measures(real),
        "simulated": measures(simulated),
        **two_samples(real, simulated),
    }
    write_json(options.out, result)
    print(options.out.read_text())


if __name__ == "__main__":
    main()
