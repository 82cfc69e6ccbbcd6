"""Which of the two languages an answer is given in."""

from __future__ import annotations

import re
from typing import Final

from angiova.errors import ConfigError
from angiova.report.text import LANGUAGES

# CJK unified ideographs and their first extension (The Unicode Standard, blocks 4E00 and 3400).
HAN: Final = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")


def choose_language(wanted: str | None, question: str) -> str:
    """Return the language wanted, or that of the question where none is.

    Raises:
        ConfigError: there are no answers in that language.
    """
    if wanted is None:
        return language_of(question)
    if wanted not in LANGUAGES:
        raise ConfigError(f"no answers in {wanted!r}", where="--lang", remedy=f"choose {' or '.join(LANGUAGES)}")
    return wanted


def language_of(question: str) -> str:
    """Return zh where a question has a Chinese character, else en."""
    return "zh" if HAN.search(question) else "en"
