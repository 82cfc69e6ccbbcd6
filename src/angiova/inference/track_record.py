"""`track.json`: what was asked of which model about which run, and what it took.

A folder with this file is finished; whoever asks the same again can skip it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
import transformers

from angiova import __version__
from angiova.code_version import code_commit
from angiova.data.cine_runs import CineRun
from angiova.errors import DataError
from angiova.files import read_json
from angiova.inference.cardiac import CardiacPhase
from angiova.inference.cine import KeyFrameChoice, Mode, Spoken
from angiova.inference.opacification import Opacification
from angiova.run_record import read_run, run_of
from angiova.shipped import resolved

FORMAT: Final = "angiova-track/1"
RECORD_NAME: Final = "track.json"
RESEARCH_USE: Final = "Research use only; not a medical device."


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of every run; a finished run counts as such for the same request alone.

    Attributes:
        model_sha256: fingerprint of the model's weights.
        prompts: what to ask for; one object each.
        mode: how masks are made.
        key_frames: most frames that the language model sees.
        threshold: probability above which a pixel is foreground.
        outputs: what is written beside the masks.
        bright_vessels: whether frames were inverted first.
    """

    model_sha256: str
    prompts: tuple[str, ...]
    mode: Mode
    key_frames: int
    threshold: float
    outputs: tuple[str, ...]
    bright_vessels: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the request as JSON has it."""
        return asdict(self) | {
            "prompts": list(self.prompts),
            "mode": self.mode.value,
            "outputs": list(self.outputs),
        }


def finished(folder: Path) -> dict[str, Any] | None:
    """Return the record of a finished run; None where there is none.

    Raises:
        DataError: the folder holds something else.
    """
    if not folder.exists():
        return None
    try:
        record = read_json(folder / RECORD_NAME)
        is_ours = (
            record["format"] == FORMAT and bool(record["source"]["sha256"]) and isinstance(record["request"], dict)
        )
    except (DataError, KeyError, TypeError):
        is_ours = False
    if not is_ours:
        remedy = "choose another OUT, or delete this folder"
        raise DataError("was not written by `angiova track`", where=folder, remedy=remedy)
    return dict(record)


def facts_of(model: Path, device: torch.device, request: Request) -> dict[str, Any]:
    """Return what the record says of the request and of what answered it."""
    return {
        "format": FORMAT,
        "use": RESEARCH_USE,
        "angiova_version": __version__,
        "code_commit": code_commit(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "device": str(device),
        "model": str(model),
        "request": request.as_json(),
    }


def facts_of_source(run: CineRun) -> dict[str, Any]:
    """Return what the record says of the files."""
    return {"kind": run.kind.value, "files": len(run.files), "first": str(run.files[0]), "sha256": run.sha256()}


def facts_of_run(
    shown: Opacification, choice: KeyFrameChoice, prompts: Sequence[str], spoken: Spoken | None
) -> dict[str, Any]:
    """Return what the record says of the contrast, the key frames and the answers."""
    said = () if spoken is None else zip(prompts, spoken.answers, spoken.num_masks, strict=True)
    return {
        "key_frames": {"frames": list(choice.frames), "why": choice.why},
        "opacification": {
            "is_clear": shown.is_clear,
            "onset": shown.onset,
            "peak": shown.peak,
            "phases": [None if phase is None else phase.value for phase in shown.phases],
            "levels": [round(level, 6) for level in shown.levels_T.tolist()],
        },
        "answers": [{"prompt": prompt, "text": text, "masks": count} for prompt, text, count in said],
    }


def facts_of_beat(beat: CardiacPhase) -> dict[str, Any]:
    """Return what the record says of the heart's beat, told from the frames alone."""
    return {
        "rate_bpm": None if beat.rate_bpm is None else round(beat.rate_bpm, 1),
        "beats_at": beat.beats_at(),
        "unclear": None if beat.unclear is None else beat.unclear.value,
    }


def notes_on_answers(prompts: Sequence[str], spoken: Spoken | None) -> Iterator[str]:
    """Yield a sentence for each answer with another number of masks than one."""
    for prompt, count in () if spoken is None else zip(prompts, spoken.num_masks, strict=True):
        if count == 0:
            yield f"the answer to {prompt!r} has no mask"
        elif count > 1:
            yield f"the answer to {prompt!r} has {count} masks, the first is kept; ask for each on its own"


def note_on_memory(model: Path, mode: Mode) -> str | None:
    """Return a warning where a mode draws from memory and the model's training is known to have shown no runs."""
    run = run_of(resolved(model))
    if run is None or mode.order is None:
        return None
    data = read_run(run).recipe.get("data")
    clips = data.get("clips") if isinstance(data, dict) else None
    if isinstance(clips, dict) and clips.get("share") == 0:
        return "the model was last trained on single frames: its memory may lose thin vessels; see --mode smooth"
    return None


def default_mode(model: Path) -> Mode:
    """Return the mode where none is asked for: one without memory where that is known to have seen no runs."""
    return Mode.TRACK if note_on_memory(model, Mode.TRACK) is None else Mode.SMOOTH
