"""What a model was trained on, wherever it went since: in its run, or beside its weights after `merge` or `convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from angiova.data.training_frames import read_training_frames, write_training_frames
from angiova.errors import DataError
from angiova.files import read_json, write_json
from angiova.run_record import read_run, run_of
from angiova.shipped import resolved

HISTORY_NAME: Final = "trained_on.json"


class History(BaseModel):
    """Content of `trained_on.json`.

    Attributes:
        format: version of this layout.
        training_frames_sha256: of training_frames.parquet beside it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    training_frames_sha256: str


def history_of(model: Path) -> pl.DataFrame | None:
    """Return the frames that a model was trained on, see `angiova.data.training_frames`; None where nobody knows.

    Args:
        model: a run, a checkpoint in one, or a model's folder.

    Raises:
        DataError: the history is damaged.
    """
    model = resolved(model)
    if (model / HISTORY_NAME).exists():
        try:
            history = History.model_validate(read_json(model / HISTORY_NAME))
        except ValidationError as error:
            raise DataError(f"cannot be read ({error.errors()[0]['msg']})", where=model / HISTORY_NAME) from None
        return read_training_frames(model, history.training_frames_sha256)
    run = run_of(model)
    sha256 = None if run is None else read_run(run).data.training_frames_sha256
    return None if run is None or sha256 is None else read_training_frames(run, sha256)


def keep_history(source: Path, out: Path) -> None:
    """Write what is known of the training of `source` beside the weights in `out`; nothing where nothing is known."""
    join_histories([source], out)


def join_histories(sources: Sequence[Path], out: Path) -> None:
    """Write what is known of the training of all `sources` beside the weights in `out`; nothing if one is unknown."""
    known = [frames for source in sources if (frames := history_of(source)) is not None]
    if len(known) == len(sources):
        frames = pl.concat(known).unique(maintain_order=True)
        history = History(training_frames_sha256=write_training_frames(out, frames))
        write_json(out / HISTORY_NAME, history.model_dump(mode="json"))
