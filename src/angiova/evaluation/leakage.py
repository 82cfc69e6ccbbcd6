"""Whether a test set tests: patients, files and pictures that the model was trained on are found and named."""

from __future__ import annotations

import numpy as np
import polars as pl

from angiova.data.duplicates import near_duplicates
from angiova.data.records import Finding, Severity
from angiova.data.training_frames import thumbnails_of
from angiova.evaluation.result import LeakageFacts


def find_leakage(trained: pl.DataFrame, evaluated: pl.DataFrame) -> LeakageFacts:
    """Compare frames, both as `angiova.data.training_frames.describe_frames` returns them."""
    patients = (set(evaluated["patient"]) & set(trained["patient"])) - {None}
    same_file = evaluated["source_sha256"].is_in(trained["source_sha256"].to_list())
    shared = (same_file | evaluated["pixels_sha256"].is_in(trained["pixels_sha256"].to_list())).to_numpy()
    return LeakageFacts(
        num_training_frames=len(trained),
        num_shared_patients=len(patients),
        num_shared_files=int(np.count_nonzero(shared)),
        num_near_duplicates=int(np.count_nonzero(_is_near(trained, evaluated) & ~shared)),
    )


def leakage_findings(facts: LeakageFacts | None) -> list[Finding]:
    """Return an error where anything is shared, and a note where nobody knows."""
    if facts is None:
        message = "what the model was trained on is not known; whether it saw these frames cannot be said"
        remedy = "evaluate the run folder that trained the model"
        return [Finding("training-data-unknown", Severity.NOTE, "leakage", message, remedy)]
    if facts.is_clean:
        return []
    remedy = "evaluate on patients that were never trained on"
    return [Finding("trained-on-test", Severity.ERROR, "leakage", describe(facts), remedy)]


def describe(facts: LeakageFacts) -> str:
    """Return in words what is shared."""
    return (
        f"the model was trained on {facts.num_shared_patients} patients of this split, on the very file or pixels of "
        f"{facts.num_shared_files} of its frames, and on nearly the same picture as {facts.num_near_duplicates} others"
    )


def _is_near(trained: pl.DataFrame, evaluated: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each evaluated frame whether one trained on shows nearly the same."""
    is_near = np.zeros(len(evaluated), dtype=bool)
    groups = np.repeat([0, 1], [len(trained), len(evaluated)])
    pairs = near_duplicates(np.concatenate([thumbnails_of(trained), thumbnails_of(evaluated)]), groups)
    is_near[pairs[:, 1] - len(trained)] = True  # pairs lie across the two groups, the smaller index first
    return is_near
