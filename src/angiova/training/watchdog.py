"""Noticing that training stands still, and saying which process the others are waiting for.

Each process notes what it is doing in a file of its own. When none of them has moved for a while, the one that is
farthest back is the one that is stuck; the others are where gradients are averaged.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

NOTES: Final = "ANGIOVA_NOTES"
STALL_S: Final = 900.0


class Phase(IntEnum):
    """Where in an optimizer step a process is, in order."""

    READING = 0
    FORWARD = 1
    AVERAGING = 2
    VALIDATING = 3
    SAVING = 4


@dataclass(frozen=True, slots=True)
class Note:
    """What a process last said.

    Attributes:
        rank: of the process.
        micro_step: counted from the start of the process.
        phase: where in it.
        time_s: when it said so, as `time.time`.
    """

    rank: int
    micro_step: int
    phase: Phase
    time_s: float


class Notes:
    """Writes what this process is doing, where the process that started it asked for it; otherwise does nothing."""

    def __init__(self) -> None:
        folder = os.environ.get(NOTES)
        self._path = None if folder is None else Path(folder) / os.environ["RANK"]
        self._micro_step = 0

    def say(self, phase: Phase) -> None:
        """Note the phase that begins."""
        if self._path is None:
            return
        self._micro_step += phase is Phase.FORWARD
        self._path.write_text(f"{self._micro_step} {int(phase)}", encoding="ascii")


def read_notes(folder: Path) -> list[Note]:
    """Return the last note of every process that has written one, by rank."""
    notes = []
    for path in folder.iterdir():
        micro_step, _, phase = path.read_text(encoding="ascii").partition(" ")
        if phase:  # else it is being written
            notes.append(Note(int(path.name), int(micro_step), Phase(int(phase)), path.stat().st_mtime))
    return sorted(notes, key=lambda note: note.rank)


def stall_of(notes: list[Note], now_s: float, stall_s: float = STALL_S) -> str | None:
    """Return who is waited for, in words, when nobody has moved for `stall_s` seconds; else None.

    Nothing counts as standing still before the first note, while models are loaded, nor while somebody validates or
    saves, which has no limit of time.

    Args:
        notes: the last note of each process.
        now_s: the time, as `time.time`.
        stall_s: seconds after which training stands still.
    """
    if not notes or now_s - max(note.time_s for note in notes) < stall_s:
        return None
    if any(note.phase in (Phase.VALIDATING, Phase.SAVING) for note in notes):
        return None
    behind = min((note.micro_step, note.phase) for note in notes)
    stuck = [note for note in notes if (note.micro_step, note.phase) == behind]
    who = ", ".join(str(note.rank) for note in stuck)
    waiting = f"; the other {len(notes) - len(stuck)} wait" if len(stuck) < len(notes) else ""
    phase = stuck[0].phase.name.lower()
    return f"no process has moved for {stall_s:.0f} s: process {who} is {phase} in micro-step {behind[0]}{waiting}"
