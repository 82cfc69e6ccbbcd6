"""An answer on the terminal: words as they come, then each fact beside its measurement."""

from __future__ import annotations

import unicodedata
from typing import Final

from rich.console import Console
from rich.text import Text as Line

from angiova.inference.asking import wording
from angiova.inference.asking.reply import Reply, Statement, Verdict
from angiova.inference.asking.shown import Shown
from angiova.model.tokenizer import SEG
from angiova.report.text import Label, fill, in_language

STYLES: Final = {Verdict.AGREES: "green", Verdict.DISAGREES: "bold red"}


class AnswerPrinter:
    """Prints one answer.

    Args:
        language: en or zh.
        console: where to print; default: standard output.
    """

    def __init__(self, language: str, console: Console | None = None) -> None:
        self._language, self._console = language, console or Console(highlight=False, markup=False, emoji=False)
        self._num_masks = 0

    def words(self, text: str) -> None:
        """Print words as the model makes them; each `[SEG]` becomes the number of its mask."""
        first, *others = text.split(SEG)
        numbered = first
        for part in others:
            self._num_masks += 1
            numbered += f"[{self._num_masks}]{part}"
        self._console.print(Line(printable(numbered)), end="", soft_wrap=True)

    def reply(self, reply: Reply, shown: Shown) -> None:
        """Print what follows the words: doubts, confidence, measurements."""
        if reply.words is not None:
            confidence = fill(wording.CONFIDENCE, {"percent": round(100 * (reply.confidence or 0))})
            self._line(f"\n  {self._in(confidence)}", "dim")
        if reply.doubts:
            self._line(reply.text, "bold yellow")
        for note in reply.notes:
            self._line(f"  {self._in(note)}", "yellow")
        if reply.measurements or reply.masks:
            self._line(self._in(wording.place_of(shown)), "dim")
        for number, mask in enumerate(reply.masks, start=1):
            size = wording.size_of(mask.presence, int(mask.drawn.masks[shown.measured].sum()), mask.measures)
            self._line(f"  [{number}] {mask.drawn.name or self._in(wording.VESSEL)}: {self._in(size)}")
        for statement in reply.measurements:
            self._statement(statement)

    def _statement(self, statement: Statement) -> None:
        line = wording.BESIDE if statement.verdict is Verdict.NOT_COMPARED else wording.BOTH
        values: dict[str, object] = {
            "about": statement.about,
            "said": wording.NOTHING_SAID if statement.said is None else statement.said,
            "measured": wording.NOT_MEASURED if statement.measured is None else statement.measured,
        }
        told = Line(f"  {printable(self._in(fill(line, values)))}")
        if statement.verdict in wording.VERDICTS:
            told.append(f"  {self._in(wording.VERDICTS[statement.verdict])}", STYLES[statement.verdict])
        self._console.print(told, soft_wrap=True)

    def _in(self, label: Label) -> str:
        return in_language(label, self._language)

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Line(printable(text), style), soft_wrap=True)


def printable(text: str) -> str:
    """Return a text without the control characters by which words could steer the terminal; line ends stay."""
    return "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cf"))
