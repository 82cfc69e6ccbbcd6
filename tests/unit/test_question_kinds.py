"""Which kind a question is of, what an answer says to it, and how that stands to what is measured."""

from __future__ import annotations

import pytest

from angiova.data.prompts import QUESTIONS, known_phrases
from angiova.data.questions.kinds import Asked, Kind, phrases_in, read_answer, segments_named, understand
from angiova.inference.asking.comparing import compare
from angiova.inference.asking.language import language_of
from angiova.inference.asking.reply import Verdict
from angiova.morphology.anatomy import Side

TREE, COUNT = Asked(Kind.TREE), Asked(Kind.BRANCHES, 20)


@pytest.mark.parametrize(
    ("question", "kind", "threshold"),
    [
        ("Which coronary tree is this?", Kind.TREE, 0),
        ("is it the left or the right coronary artery?", Kind.TREE, 0),
        ("这是左冠还是右冠？", Kind.TREE, 0),
        ("Which segments are visible?", Kind.SEGMENTS, 0),
        ("能看到哪些血管？", Kind.SEGMENTS, 0),
        ("Is there a catheter in this frame?", Kind.CATHETER, 0),
        ("画面里有没有导管？", Kind.CATHETER, 0),
        ("is there any contrast?", Kind.CONTRAST, 0),
        ("有造影剂吗？", Kind.CONTRAST, 0),
        ("How many branches are there?", Kind.BRANCHES, 20),
        ("how many branches of at least 35 px are there?", Kind.BRANCHES, 35),
        ("有多少条分支长于 30 像素？", Kind.BRANCHES, 30),
        ("Where is the narrowest place, and how narrow is it?", Kind.NARROWEST, 0),
        ("最窄的地方在哪里？", Kind.NARROWEST, 0),
        ("Is there a stenosis?", Kind.STENOSIS, 50),
        ("are there narrowings above 70 %?", Kind.STENOSIS, 70),
        ("有没有超过 30% 的狭窄？", Kind.STENOSIS, 30),
        ("which frame shows the vessels best?", Kind.BEST_FRAME, 0),
        ("哪一帧显影最好？", Kind.BEST_FRAME, 0),
    ],
)
def test_a_kind_is_told_by_its_words(question: str, kind: Kind, threshold: float) -> None:
    assert understand(question) == (Asked(kind, threshold),)


@pytest.mark.parametrize("question", ["describe the vessel tree", "请描述血管"])
def test_a_description_asks_several_things(question: str) -> None:
    assert [asked.kind for asked in understand(question)] == [Kind.TREE, Kind.SEGMENTS, Kind.BRANCHES, Kind.STENOSIS]


def test_asking_for_a_mask_is_no_kind() -> None:
    for phrase in known_phrases():
        for template in QUESTIONS:
            assert understand(template.format(phrase)) == (), template.format(phrase)


@pytest.mark.parametrize(
    ("kind", "words", "value"),
    [
        (Kind.TREE, "It is the left coronary tree [SEG].", Side.LEFT),
        (Kind.TREE, "right", Side.RIGHT),
        (Kind.TREE, "这是右冠。", Side.RIGHT),
        (Kind.TREE, "the left or right coronary", None),
        (Kind.TREE, "[SEG] coronary artery tree.", None),
        (Kind.TREE, "[SEG] left main.", None),
        (Kind.TREE, "[SEG] proximal RCA.", None),
        (Kind.SEGMENTS, "[SEG] first diagonal branch a, [SEG] left main.", frozenset({"9a", "5"})),
        (Kind.SEGMENTS, "many", None),
        (Kind.CATHETER, "Yes, at the left main.", True),
        (Kind.CATHETER, "There is no catheter.", False),
        (Kind.CATHETER, "没有导管。", False),
        (Kind.CATHETER, "有。", True),
        (Kind.CATHETER, "[SEG] second obtuse marginal.", None),
        (Kind.BRANCHES, "There are 7 branches of at least 20 px.", 7),
        (Kind.BRANCHES, "12", 12),
        (Kind.BRANCHES, "共 5 条。", 5),
        (Kind.BRANCHES, "[SEG] first diagonal.", None),
        (Kind.NARROWEST, "In the mid LAD, 2.5 px.", 2.5),
        (Kind.NARROWEST, "最窄处 3 像素", 3),
        (Kind.NARROWEST, "in the mid LAD", None),
        (Kind.BEST_FRAME, "frame 17", 17),
        (Kind.BEST_FRAME, "第 4 帧", 4),
        (Kind.STENOSIS, "No narrowing.", False),
        (Kind.STENOSIS, "The left tree, 8 branches, no relevant stenosis.", False),
        (Kind.STENOSIS, "A right tree with a narrowing of 62 % in the mid RCA.", True),
        (Kind.STENOSIS, "There is a narrowing of 32 %.", False),
        (Kind.STENOSIS, "左冠，未见明显狭窄。", False),
        (Kind.STENOSIS, "前降支狭窄约 70%。", True),
        (Kind.STENOSIS, "[SEG] stenosis.", None),
    ],
)
def test_an_answer_is_read_strictly(kind: Kind, words: str, value: object) -> None:
    threshold = 50.0 if kind is Kind.STENOSIS else 0.0
    assert read_answer(Asked(kind, threshold), words) == value


def test_the_longest_name_is_the_one_that_is_meant() -> None:
    assert phrases_in("the First Diagonal branch a and the catheter") == ["first diagonal branch a", "catheter"]
    assert segments_named("the first diagonal, the first diagonal branch a") == {"9", "9a"}
    assert phrases_in("nothing of ours") == []


@pytest.mark.parametrize(
    ("asked", "words", "measured", "verdict"),
    [
        (TREE, "the left coronary tree", Side.LEFT, Verdict.AGREES),
        (TREE, "the left coronary tree", Side.RIGHT, Verdict.DISAGREES),
        (TREE, "the left coronary tree", None, Verdict.NOT_MEASURED),
        (TREE, "[SEG] coronary artery tree", Side.LEFT, Verdict.NOT_USABLE),
        (COUNT, "8 branches", 8.0, Verdict.AGREES),
        (COUNT, "8 branches", 9.0, Verdict.DISAGREES),
        (Asked(Kind.NARROWEST), "2.0 px", 3.0, Verdict.AGREES),
        (Asked(Kind.NARROWEST), "2.0 px", 3.1, Verdict.DISAGREES),
        (Asked(Kind.BEST_FRAME), "frame 3", 5.0, Verdict.AGREES),
        (Asked(Kind.BEST_FRAME), "frame 3", 6.0, Verdict.DISAGREES),
        (Asked(Kind.CATHETER), "no", False, Verdict.AGREES),
        (Asked(Kind.SEGMENTS), "left main", frozenset({"5", "6"}), Verdict.DISAGREES),
    ],
)
def test_what_is_said_stands_beside_what_is_measured(
    asked: Asked, words: str, measured: object, verdict: Verdict
) -> None:
    statement = compare(asked, words, measured)  # type: ignore[arg-type]
    assert statement.verdict is verdict
    assert (statement.measured is None) == (measured is None)
    assert (statement.said is None) == (verdict is Verdict.NOT_USABLE)


def test_values_are_told_in_words() -> None:
    segments = compare(Asked(Kind.SEGMENTS), "[SEG] mid LAD", frozenset({"9a", "5", "14"}))
    assert segments.said.en == "mid LAD"  # type: ignore[union-attr]
    assert segments.measured.en == "left main, first diagonal branch a, left posterolateral"  # type: ignore[union-attr]
    assert segments.measured.zh == "左主干、第一对角支分支、左后侧支"  # type: ignore[union-attr]
    narrowest = compare(Asked(Kind.NARROWEST), "2 px", 3.14159)
    assert narrowest.measured.en == "3.1 px"  # type: ignore[union-attr]
    assert compare(COUNT, "4 branches", 5.0).about.zh == "长度不少于 20 像素的分支数"  # type: ignore[union-attr]


@pytest.mark.parametrize(("question", "language"), [("which tree?", "en"), ("LAD 在哪里？", "zh"), ("", "en")])
def test_the_language_is_that_of_the_question(question: str, language: str) -> None:
    assert language_of(question) == language
