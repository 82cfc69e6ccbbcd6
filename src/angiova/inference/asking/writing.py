"""The folder of an answer: its masks, pictures of them, what was measured, and everything once more as JSON.

OUT/
  answer.json             question, words, confidence, doubts, facts beside their measurements, masks, provenance
  masks/1-NAME.png        masks of the vessels that the answer names, 0 and 255; of a run one a key frame
  masks/measured-NAME.png of a vessel that a free question names and its answer does not draw
  overlay.png             the frame with these masks laid over it; of a run one a key frame
  measured.png            the vessel tree that was measured: branches numbered, coloured by calibre
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from angiova import __version__
from angiova.code_version import code_commit
from angiova.data import rle
from angiova.data.pixels import write_png
from angiova.data.rle import BoolMask
from angiova.files import write_json
from angiova.inference.asking.chat import Chat
from angiova.inference.asking.picture import answer_picture
from angiova.inference.asking.reply import AnsweredMask, Reply, Statement
from angiova.inference.asking.shown import Shown
from angiova.inference.track_record import RESEARCH_USE
from angiova.measurement.picture import draw_measures
from angiova.measurement.sources import safe_name
from angiova.measurement.tables import frame_row, rounded
from angiova.report.text import Label, Text

FORMAT: Final = "angiova-answer/1"
ANSWER_NAME: Final = "answer.json"
WHITE: Final = 255
DIGITS: Final = 4


def write_reply(out: Path, chat: Chat, reply: Reply, model: Path, language: str) -> None:
    """Write a reply into a folder, `answer.json` last."""
    shown = chat.shown
    masks = [_write_mask(out, shown, number, mask) for number, mask in enumerate(reply.masks, start=1)]
    for place, frame in enumerate(shown.frames):
        drawn = [(mask.drawn.name, mask.drawn.masks[place]) for mask in reply.masks]
        if place == shown.measured:
            drawn += _write_measured(out, shown, reply)
        picture = answer_picture(shown.images[place], [mask_HW for _, mask_HW in drawn], [name for name, _ in drawn])
        write_png(out / f"overlay{_suffix(shown, frame)}.png", picture)
    tree, tree_HW = (None, None) if reply.doubts else (chat.measured.tree, chat.measured.tree_HW)
    if tree is not None and tree_HW is not None:
        write_png(out / "measured.png", draw_measures(tree, tree_HW, shown.image_HW))
    write_json(out / ANSWER_NAME, _record(shown, reply, masks, model, language))


def _write_mask(out: Path, shown: Shown, number: int, mask: AnsweredMask) -> dict[str, Any]:
    """Write the masks of one vessel; return what `answer.json` says of it."""
    frames = []
    name = "-".join(filter(None, [str(number), safe_name(mask.drawn.name) if mask.drawn.name else ""]))
    for mask_HW, presence, frame in zip(mask.drawn.masks, mask.drawn.presences, shown.frames, strict=True):
        path = Path("masks") / f"{name}{_suffix(shown, frame)}.png"
        write_png(out / path, mask_HW.astype("uint8") * WHITE)
        encoded = rle.encode(mask_HW).as_coco()
        frames.append({"frame": frame, "file": path.as_posix(), "presence": round(presence, DIGITS), "rle": encoded})
    measures = None
    if mask.measures is not None:
        row = frame_row(mask.drawn.name, mask.measures)
        measures = {name: rounded(value) for name, value in row.items() if name != "frame"}
    return {"name": mask.drawn.name, "frames": frames, "measures": measures}


def _write_measured(out: Path, shown: Shown, reply: Reply) -> list[tuple[str, BoolMask]]:
    """Write the masks of what a free question names beside its answer; return their names and masks."""
    found = [(str(s.about), s.mask_HW) for s in reply.measurements if s.mask_HW is not None]
    for name, mask_HW in found:
        path = out / "masks" / f"measured-{safe_name(name)}{_suffix(shown, shown.frames[shown.measured])}.png"
        write_png(path, mask_HW.astype("uint8") * WHITE)
    return [(f"{name}, as measured", mask_HW) for name, mask_HW in found]


def _record(shown: Shown, reply: Reply, masks: Sequence[dict[str, Any]], model: Path, language: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "use": RESEARCH_USE,
        "angiova_version": __version__,
        "code_commit": code_commit(),
        "model": str(model),
        "source": shown.name,
        "num_frames": shown.num_frames,
        "frames_shown": list(shown.frames),
        "why_these_frames": shown.why,
        "frame_measured": shown.frames[shown.measured],
        "spacing_mm": shown.spacing_mm,
        "language": language,
        "earlier": [{"question": turn.question, "words": turn.answer} for turn in reply.earlier],
        "question": reply.question,
        "text": reply.text,
        "words": reply.words,
        "confidence": None if reply.confidence is None else round(reply.confidence, DIGITS),
        "doubts": [_both(doubt) for doubt in reply.doubts],
        "measurements": [_statement(statement) for statement in reply.measurements],
        "notes": [_both(note) for note in reply.notes],
        "masks": list(masks),
    }


def _statement(statement: Statement) -> dict[str, Any]:
    labels = {"about": statement.about, "said": statement.said, "measured": statement.measured}
    return {**{name: _both(label) for name, label in labels.items()}, "verdict": statement.verdict.value}


def _both(label: Label | None) -> Any:  # noqa: ANN401  (JSON)
    return {"en": label.en, "zh": label.zh} if isinstance(label, Text) else label


def _suffix(shown: Shown, frame: int) -> str:
    return f"_f{frame:05d}" if shown.is_run else ""
