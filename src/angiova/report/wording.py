"""Every sentence of the report, English beside Chinese. Metric and loss names stay as the files have them."""

from __future__ import annotations

from typing import Final

from angiova.report.text import Label, Text, fill
from angiova.report.wording_advice import ADVICE_WORDS
from angiova.report.wording_answers import ANSWER_WORDS
from angiova.report.wording_cine import CINE_WORDS
from angiova.report.wording_evaluation import EVALUATION_WORDS
from angiova.report.wording_run import RUN_WORDS

WORDS: Final = {**EVALUATION_WORDS, **RUN_WORDS, **ADVICE_WORDS, **ANSWER_WORDS, **CINE_WORDS}


def say(key: str, **values: object) -> Text:
    """Return the sentence of `key` in both languages with its values filled in."""
    return fill(WORDS[key], values)


def say_if_known(key: str, otherwise: str) -> Label:
    """Return the sentence of `key`, or `otherwise` where there is none; an empty English side is `otherwise` too."""
    if key not in WORDS:
        return otherwise
    english, chinese = WORDS[key]
    return Text(english or otherwise, chinese)
