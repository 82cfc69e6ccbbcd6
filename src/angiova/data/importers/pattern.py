"""A small language for what file paths say about patient, study, run and frame.

A pattern is compared with the whole path of an image, relative to the source, with forward slashes and without the
file's ending. Everything stands for itself apart from

    {patient} {study} {run}   one or more characters, never a slash; as few as the rest of the pattern allows
    {frame}                   digits
    {*}                       anything, also nothing

A field with no text between it and the next one ends where digits turn into something else, or letters do: in
``images/Image_{patient}{*}`` the file ``images/Image_01L.png`` is patient ``01``.

Examples: ``{patient}_{run}/images/frame_{frame}`` reads ``p1_run2/images/frame_00007.jpg`` as patient ``p1``, run
``run2``, frame 7; ``{patient}/{study}/{run}/{frame}`` reads four levels of folders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from angiova.errors import ConfigError

SUMMARY: Final = (
    "{patient}, {study}, {run} stand for text without a slash, {frame} for digits, {*} for anything; a field directly "
    "before another ends where digits and letters meet; the path is relative to the source, without the file's ending"
)
FIELDS: Final = frozenset({"patient", "study", "run", "frame"})
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Named:
    """What a path says; None where the pattern has no such field."""

    patient: str | None = None
    study: str | None = None
    run: str | None = None
    frame: int | None = None

    def run_id(self, otherwise: str) -> str:
        """Return an id of the run that no other patient shares, or `otherwise` when the path names no run."""
        if self.run is None:
            return otherwise
        return "_".join(part for part in (self.patient, self.study, self.run) if part is not None)


class PathPattern:
    """A compiled pattern.

    Args:
        text: the pattern, as the module describes.

    Raises:
        ConfigError: a field is unknown or stands twice, or there is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        names = _PLACEHOLDER.findall(text)
        _check_fields(text, names)
        self._expression = re.compile(_expression(text))

    def match(self, path: PurePath) -> Named | None:
        """Return what `path`, relative to the source, says; None when it doesn't fit the pattern."""
        found = self._expression.fullmatch(path.with_suffix("").as_posix())
        if found is None:
            return None
        values = found.groupdict()
        frame = values.pop("frame", None)
        return Named(**values, frame=None if frame is None else int(frame))


def _check_fields(text: str, names: list[str]) -> None:
    fields = [name for name in names if name != "*"]
    wrong = [name for name in fields if name not in FIELDS or fields.count(name) > 1]
    if wrong or not fields or "{" in _PLACEHOLDER.sub("", text):
        problem = f"{{{wrong[0]}}} is unknown or stands twice" if wrong else "no field, or an open brace"
        raise ConfigError(f"{problem} in {text!r}", where="--pattern", remedy=SUMMARY)


def _expression(text: str) -> str:
    parts, position = [], 0
    for field in _PLACEHOLDER.finditer(text):
        parts += [re.escape(text[position : field.start()]), _group(field[1], text[field.end() : field.end() + 1])]
        position = field.end()
    return "".join([*parts, re.escape(text[position:])])


def _group(name: str, following: str) -> str:
    if name == "*":
        return ".*?"
    if name == "frame":
        return r"(?P<frame>[0-9]{1,18})"
    if following == "{":
        return rf"(?P<{name}>[0-9]+(?![0-9])|[^\W\d_]+(?![^\W\d_]))"
    return rf"(?P<{name}>[^/]+?)"
