"""Every sentence of the report, English beside Chinese. Metric and loss names stay as the files have them."""

from __future__ import annotations

from typing import Final

from angiova.errors import ConfigError
from angiova.report.wording_evaluation import EVALUATION_WORDS
from angiova.report.wording_run import RUN_WORDS

LANGUAGES: Final = ("en", "zh")

WORDS: Final = {**EVALUATION_WORDS, **RUN_WORDS}


class Words:
    """The sentences of one language.

    Args:
        language: one of LANGUAGES.

    Raises:
        ConfigError: the language is not one of them.
    """

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise ConfigError(f"no report in {language!r}", where="--language", remedy="choose en or zh")
        self.language = language
        self._index = LANGUAGES.index(language)

    def __call__(self, key: str, **values: object) -> str:
        """Return the sentence of `key` with its values filled in."""
        return WORDS[key][self._index].format(**values)

    def optional(self, key: str) -> str:
        """Return the sentence of `key`, or nothing where there is none (a finding of a later version)."""
        return WORDS[key][self._index] if key in WORDS else ""
