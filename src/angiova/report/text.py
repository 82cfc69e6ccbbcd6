"""Texts in both languages of the report at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from angiova.errors import ConfigError

LANGUAGES: Final = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Text:
    """One statement in English and in Chinese."""

    en: str
    zh: str


Label = Text | str
"""A text in both languages, or one that is the same in all (a number, a file name, a user's own word)."""


def in_language(label: Label, language: str) -> str:
    """Return a label in one language."""
    if isinstance(label, str):
        return label
    return label.zh if language == "zh" else label.en


def fill(template: tuple[str, str], values: dict[str, object]) -> Text:
    """Return a template pair with its values filled in; values that are texts go in in their own language."""
    english, chinese = (
        sentence.format(**{k: in_language(v, language) if isinstance(v, Text) else v for k, v in values.items()})
        for sentence, language in zip(template, LANGUAGES, strict=True)
    )
    return Text(english, chinese)


def joined(labels: list[Label], separator: str = ", ") -> Text:
    """Return labels one after another."""
    english, chinese = (separator.join(in_language(label, language) for label in labels) for language in LANGUAGES)
    return Text(english, chinese)


def capitalised(label: Label) -> Text:
    """Return a label with a capital first letter."""
    english, chinese = (in_language(label, language) for language in LANGUAGES)
    return Text(english[:1].upper() + english[1:], chinese[:1].upper() + chinese[1:])


def checked_language(language: str) -> str:
    """Return `language`.

    Raises:
        ConfigError: there is no report in that language.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"no report in {language!r}", where="--lang", remedy=f"choose {' or '.join(LANGUAGES)}")
    return language
