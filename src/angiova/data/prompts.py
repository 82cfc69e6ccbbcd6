"""From targets to words: the questions that training asks and the answers that it expects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from angiova.data.records import Target
from angiova.data.syntax import (
    CATHETER_PHRASE,
    SEGMENT_NAMES,
    STENOSIS_PHRASE,
    TREE_PHRASE,
    VESSELS_PHRASE,
)

# The token of the model whose state becomes the prompt of a mask.
SEG: Final = "[SEG]"
QUESTIONS: Final = (
    "segment the {}",
    "please segment the {}",
    "segment the {} in this angiogram",
    "can you segment the {}?",
    "where is the {}?",
    "show me the {}",
    "outline the {}",
    "{}",
)
# The name follows its mask: to say the name next, the state at `[SEG]` has to know what was asked, and that state is
# the prompt of the mask. With plain answers ("It is [SEG].") a model from random weights drew one mask for every name.
NAMED_ANSWER: Final = "[SEG] {}"
# How often questions are typed with a capital letter, and without the mark that ends them.
CAPITALISED: Final = 0.3
UNMARKED: Final = 0.2


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer; the answer has one `[SEG]` a target, in the same order.

    Attributes:
        question: the user's words.
        answer: the words expected of the model.
        targets: what the `[SEG]` tokens stand for.
    """

    question: str
    answer: str
    targets: tuple[Target, ...]


def question_for(phrase: str) -> str:
    """Return the plain question for a phrase, as evaluation asks it."""
    return QUESTIONS[0].format(phrase)


def make_turn(targets: Sequence[Target], rng: np.random.Generator) -> Turn:
    """Ask for one or several targets at once in randomly chosen words."""
    turn = make_named_turn([target.phrase for target in targets], rng)
    return Turn(turn.question, turn.answer, tuple(targets))


def make_named_turn(phrases: Sequence[str], rng: np.random.Generator) -> Turn:
    """Ask for one or several phrases at once, without targets."""
    question = as_typed(str(rng.choice(QUESTIONS)).format(_enumerate(phrases)), rng)
    answer = ", ".join(NAMED_ANSWER.format(phrase) for phrase in phrases) + "."
    return Turn(question, answer, ())


def as_typed(question: str, rng: np.random.Generator) -> str:
    """Return a question as people type it: now and then with a capital letter, or without its question mark."""
    if rng.random() < CAPITALISED:
        question = capitalised(question)
    return question.rstrip("?？") if rng.random() < UNMARKED else question


def capitalised(words: str) -> str:
    """Return words with a capital first letter, the others as they are: names hold capitals of their own."""
    return words[:1].upper() + words[1:]


def known_phrases() -> list[str]:
    """Return every phrase that the product itself uses."""
    return [*SEGMENT_NAMES.values(), TREE_PHRASE, VESSELS_PHRASE, CATHETER_PHRASE, STENOSIS_PHRASE]


def tokenizer_corpus() -> Iterator[str]:
    """Yield the sentences that the small tokenizer is trained on: every phrase in every question and answer."""
    for phrase in known_phrases():
        for question in QUESTIONS:
            sentence = question.format(phrase)
            yield from (sentence, capitalised(sentence))
            yield f" {phrase}, and {phrase}."
    yield "user\nassistant\n"


def _enumerate(phrases: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return " and ".join(filter(None, [", ".join(phrases[:-1]), phrases[-1]]))
