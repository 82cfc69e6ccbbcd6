"""Questions to be answered in words: asked so that they are understood, answered so that they are read back."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from angiova.data import rle
from angiova.data.augment import NO_AUGMENTATION, AugmentSettings
from angiova.data.dataset import Example, ExampleDataset, ExampleSettings
from angiova.data.manifest import Manifest, Provenance, write_dataset
from angiova.data.questions.drawing import QuestionBank, QuestionSettings
from angiova.data.questions.facts import Facts, described
from angiova.data.questions.kinds import DESCRIBED, Asked, Kind, Value, read_answer, understand
from angiova.data.questions.phrasing import (
    ASKED,
    DESCRIBE,
    GROUNDED,
    NAMES,
    Language,
    answer_of,
    description_of,
    question_of,
)
from angiova.data.records import FrameRecord, Origin, Split, Target, TargetKind
from angiova.data.syntax import RIGHT_SEGMENTS, SEGMENT_NAMES, TREE_PHRASE, segment_phrase
from angiova.morphology.anatomy import Side
from models import SIDE_PX, small_model, write_frames

LANGUAGES: tuple[Language, ...] = ("en", "zh")
EVERY_QUESTION = [
    (language, kind, template) for language in LANGUAGES for kind, all_ in ASKED[language].items() for template in all_
]
VALUES: list[tuple[Asked, Value]] = [
    (Asked(Kind.TREE), Side.LEFT),
    (Asked(Kind.TREE), Side.RIGHT),
    *((Asked(Kind.SEGMENTS), frozenset({number})) for number in SEGMENT_NAMES),
    (Asked(Kind.SEGMENTS), frozenset({"9", "9a", "14", "14b", "16", "16c"})),
    *((Asked(kind), value) for kind in (Kind.CATHETER, Kind.CONTRAST) for value in (True, False)),
    *((Asked(Kind.VISIBLE, segment="9a"), value) for value in (True, False)),
    *((Asked(Kind.STENOSIS, 50), value) for value in (True, False)),
    (Asked(Kind.BRANCHES, 20), 0.0),
    (Asked(Kind.BRANCHES, 20), 17.0),
    (Asked(Kind.NARROWEST), 2.4),
]


def masks_of(record: FrameRecord) -> list[np.ndarray]:
    return [rle.decode(target.mask) for target in record.targets]


def frame(name: str, segments: tuple[str, ...], **labels: bool) -> FrameRecord:
    """Return a frame with a bar for each segment, and whatever else is labelled as there or not."""
    masks = {}
    for place, number in enumerate(segments):
        masks[number] = np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
        masks[number][10 + 12 * place : 15 + 12 * place, 8:-8] = True
    tree_HW = np.any(list(masks.values()), axis=0) if masks else np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
    targets = [Target(TREE_PHRASE, TargetKind.VESSEL_TREE, rle.encode(tree_HW), Origin.MANUAL)]
    targets += [
        Target(segment_phrase(n), TargetKind.SEGMENT, rle.encode(mask), Origin.MANUAL, segment=n)
        for n, mask in masks.items()
    ]
    for kind, is_there in labels.items():
        mask_HW = np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
        mask_HW[80:84, :20] = is_there
        targets.append(Target(kind, TargetKind(kind), rle.encode(mask_HW), Origin.MANUAL))
    return FrameRecord(
        name, f"images/{name}.png", SIDE_PX, SIDE_PX, "drawn", "0" * 64, name, patient=name, targets=tuple(targets)
    )


def many_frames() -> list[FrameRecord]:
    """Return frames of which three in four show the left tree, as in ARCADE, and one in four a catheter."""
    left, right = [n for n in SEGMENT_NAMES if n not in RIGHT_SEGMENTS], sorted(RIGHT_SEGMENTS)
    rng = np.random.default_rng(0)
    frames = []
    for index in range(80):
        pool = right if index % 4 == 0 else left
        seen = tuple(sorted(str(n) for n in rng.choice(pool, size=4, replace=False)))
        frames.append(frame(f"f{index}", seen, catheter=index % 4 == 1))
    return frames


@pytest.mark.parametrize(("language", "kind", "template"), EVERY_QUESTION)
def test_every_question_is_understood_as_what_it_asks(language: Language, kind: Kind, template: str) -> None:
    for segment in SEGMENT_NAMES if kind is Kind.VISIBLE else ("",):
        threshold = {Kind.STENOSIS: 50.0, Kind.BRANCHES: 30.0}.get(kind, 0.0)
        question = template.format(segment=NAMES[language].get(segment, ""), threshold=f"{threshold:g}")
        assert understand(question) == (Asked(kind, threshold, segment),)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("asked", "value"), VALUES)
def test_every_answer_is_read_back(asked: Asked, value: Value, language: Language) -> None:
    assert read_answer(asked, answer_of(asked, value, language)) == value


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("stenosis", [True, False])
@pytest.mark.parametrize("side", list(Side))
def test_every_fact_of_a_description_is_read_back(language: Language, side: Side, stenosis: bool) -> None:
    segments = sorted(RIGHT_SEGMENTS) if side is Side.RIGHT else [n for n in SEGMENT_NAMES if n not in RIGHT_SEGMENTS]
    told: dict[Asked, Value] = {
        Asked(Kind.TREE): side,
        Asked(Kind.SEGMENTS): frozenset(segments),
        Asked(Kind.BRANCHES, 20): 7.0,
        Asked(Kind.STENOSIS, 50): stenosis,
    }
    assert {asked.kind for asked in told} == set(DESCRIBED)
    words = description_of(told, language)
    assert {asked: read_answer(asked, words) for asked in told} == told
    for question in DESCRIBE[language]:
        assert understand(question) == tuple(told)


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_of_segments_are_told_apart(language: Language) -> None:
    assert len(set(NAMES[language].values())) == len(SEGMENT_NAMES) == len(NAMES[language])


def test_facts_follow_what_is_shown() -> None:
    """A segment that cropping took away is no longer in view; one that nobody labelled is unknown."""
    record = frame("f", ("5", "6"), catheter=False)
    masks = masks_of(record)
    whole = Facts(record.targets, tuple(masks), complete=True)
    assert whole.value(Asked(Kind.TREE)) is Side.LEFT
    assert whole.value(Asked(Kind.SEGMENTS)) == {"5", "6"}
    assert whole.value(Asked(Kind.VISIBLE, segment="7")) is False
    assert whole.value(Asked(Kind.CATHETER)) is False
    assert whole.value(Asked(Kind.CONTRAST)) is True
    assert whole.value(Asked(Kind.STENOSIS, 50)) is None
    assert whole.value(Asked(Kind.BRANCHES, 20)) == 2
    assert whole.value(Asked(Kind.NARROWEST)) == pytest.approx(5, abs=0.5)
    cropped = Facts(record.targets, (*masks[:2], np.zeros_like(masks[2]), masks[3]), complete=True)
    assert cropped.value(Asked(Kind.SEGMENTS)) == {"5"}
    assert cropped.value(Asked(Kind.VISIBLE, segment="6")) is False
    partly = Facts(record.targets, tuple(masks), complete=False)
    assert partly.value(Asked(Kind.SEGMENTS)) is None
    assert partly.value(Asked(Kind.VISIBLE, segment="7")) is None
    assert partly.value(Asked(Kind.VISIBLE, segment="1")) is False  # of the other tree


def test_a_labelled_narrowing_counts_where_it_is_measured_as_one() -> None:
    tree_HW = np.zeros((120, 120), dtype=bool)
    tree_HW[55:67, 5:-5] = True
    label_HW = np.zeros_like(tree_HW)
    label_HW[55:67, 50:70] = True
    tree = Target(TREE_PHRASE, TargetKind.VESSEL_TREE, rle.encode(tree_HW), Origin.SIMULATED)
    stenosis = Target("stenosis", TargetKind.STENOSIS, rle.encode(label_HW), Origin.SIMULATED)
    even = Facts((tree, stenosis), (tree_HW, label_HW), complete=True)
    assert even.value(Asked(Kind.STENOSIS, 50)) is None
    narrowed_HW = tree_HW.copy()
    narrowed_HW[55:59, 52:68] = narrowed_HW[63:67, 52:68] = False
    narrowed = Facts((tree, stenosis), (narrowed_HW, label_HW), complete=True)
    assert narrowed.value(Asked(Kind.STENOSIS, 50)) is True
    healthy = Facts((tree, stenosis), (narrowed_HW, np.zeros_like(label_HW)), complete=True)
    assert healthy.value(Asked(Kind.STENOSIS, 50)) is False


def draw_many(settings: QuestionSettings, count: int) -> list[tuple[Asked, str, Value]]:
    bank, rng = QuestionBank(many_frames(), settings), np.random.default_rng(1)
    found = []
    while len(found) < count:
        drawn = bank.draw(rng)
        record = drawn.frames[int(rng.integers(len(drawn.frames)))]
        facts = bank.facts(record, masks_of(record))
        if drawn.is_description or drawn.asked[0].kind in (Kind.SEGMENTS, Kind.BRANCHES, Kind.NARROWEST):
            continue
        turn, told = bank.turn(drawn, facts, rng), described(facts, drawn.asked)
        if turn is not None:
            found.append((drawn.asked[0], turn.question, told[drawn.asked[0]]))
    return found


@pytest.mark.parametrize("absent_from", ["any", "other_tree"])
def test_closed_questions_have_even_answers(absent_from: str) -> None:
    answers = defaultdict(Counter)
    for asked, _, value in draw_many(QuestionSettings(share=0.5, absent_from=absent_from), 1500):
        answers[asked.kind][value] += 1
    assert set(answers) == {Kind.TREE, Kind.VISIBLE, Kind.CATHETER}  # there is contrast everywhere: not asked
    for counts in answers.values():
        assert len(counts) == 2
        assert min(counts.values()) / sum(counts.values()) > 0.42


def test_no_answer_can_be_guessed_from_the_question() -> None:
    """A classifier of the words alone does not beat the more frequent answer by more than 3 points."""
    drawn = draw_many(QuestionSettings(share=0.5, absent_from="any", languages=("en",)), 3000)
    for kind in (Kind.TREE, Kind.VISIBLE, Kind.CATHETER):
        questions = [question for asked, question, _ in drawn if asked.kind is kind]
        answers = [str(value) for asked, _, value in drawn if asked.kind is kind]
        half = len(questions) // 2
        words = CountVectorizer(ngram_range=(1, 2)).fit(questions)
        probe = MultinomialNB().fit(words.transform(questions[:half]), answers[:half])
        accuracy = np.mean(probe.predict(words.transform(questions[half:])) == np.array(answers[half:]))
        majority = max(Counter(answers[half:]).values()) / (len(answers) - half)
        assert accuracy <= majority + 0.03


def test_the_probe_would_notice_answers_that_can_be_guessed() -> None:
    """Segments of the other tree alone are absent: the name then tells nothing still, but an uneven draw would."""
    questions = ["is the left main visible?", "is the mid RCA visible?"] * 50
    answers = ["True", "False"] * 50
    words = CountVectorizer().fit(questions)
    probe = MultinomialNB().fit(words.transform(questions[:50]), answers[:50])
    assert np.mean(probe.predict(words.transform(questions[50:])) == np.array(answers[50:])) == 1


def test_only_the_wanted_kinds_are_asked() -> None:
    bank = QuestionBank(many_frames(), QuestionSettings(share=0.5, kinds=(Kind.TREE, Kind.STENOSIS)))
    assert bank.kinds == (Kind.TREE,)  # no stenosis is labelled


def test_segments_with_their_masks() -> None:
    record = frame("f", ("6", "11"))
    bank = QuestionBank([record, frame("g", ("1", "2"))], QuestionSettings(share=0.5, grounded=1, absent_from="any"))
    facts = bank.facts(record, masks_of(record))
    rng = np.random.default_rng(0)
    turn = next(
        turn
        for turn in (bank.turn(bank.draw(rng), facts, rng) for _ in range(200))
        if turn is not None and turn.targets
    )
    assert turn.answer == "[SEG] proximal LAD, [SEG] proximal circumflex."
    assert [target.segment for target in turn.targets] == ["6", "11"]
    assert turn.question in GROUNDED["en"] + GROUNDED["zh"]


def test_questions_come_in_words_and_in_both_languages() -> None:
    rng = np.random.default_rng(0)
    for language in LANGUAGES:
        typed = {question_of(Asked(Kind.VISIBLE, segment="6"), language, rng) for _ in range(100)}
        words = {question.casefold().rstrip("?？") for question in typed}
        assert len(words) == len(ASKED[language][Kind.VISIBLE]) < len(typed)


def write_sides(folder: Path) -> Manifest:
    """Write drawn frames of both trees."""
    write_frames(folder)
    manifest = Manifest(folder)
    frames = []
    for index, record in enumerate(manifest.records()):
        tree, first, _ = record.targets
        right = replace(first, phrase=segment_phrase("1"), segment="1")
        frames.append(record if index % 4 < 1 else replace(record, targets=(tree, right)))
    again = folder.parent / f"{folder.name}-sides"
    (again / "images").mkdir(parents=True)
    for record in frames:
        (again / record.image).write_bytes((folder / record.image).read_bytes())
    return write_dataset(again, frames, Provenance("test", "drawn", "0"))


def asking(manifest: Manifest, share: float, augmentation: AugmentSettings = NO_AUGMENTATION) -> ExampleDataset:
    questions = QuestionSettings(share=share, absent_from="any")
    return ExampleDataset(manifest, Split.TRAIN, 12, 0, ExampleSettings(), augmentation, questions=questions)


def test_questions_take_their_share_and_leave_the_others_as_they_were(tmp_path: Path) -> None:
    manifest = write_sides(tmp_path / "data")
    without, some = asking(manifest, 0), asking(manifest, 0.5)
    pairs = [(without[i], some[i]) for i in range(len(some))]
    changed = [b for a, b in pairs if a.turns != b.turns]
    assert 0.3 < len(changed) / len(pairs) < 0.7
    assert all(len(example.turns) == 1 for example in changed)
    for a, b in pairs:
        if a.turns == b.turns:
            np.testing.assert_array_equal(a.image_HW, b.image_HW)


def test_an_answer_that_is_rarely_told_is_drawn_as_often(tmp_path: Path) -> None:
    """Cropping takes segments out of view, yet "visible" is answered as often as "not visible"."""
    manifest = write_sides(tmp_path / "data")
    far = AugmentSettings(shift=0.45, rotation_deg=0, scale=(1, 1), flip=0)
    questions = QuestionSettings(share=0.95, absent_from="any", kinds=(Kind.VISIBLE,), languages=("en",))
    dataset = ExampleDataset(manifest, Split.TRAIN, 60, 0, ExampleSettings(), far, questions=questions)
    answers = [dataset[i].turns[0].answer for i in range(len(dataset)) if len(dataset[i].turns[0].targets) == 0]
    said = Counter(answer.split(",")[0] for answer in answers)
    assert min(said["yes"], said["no"]) / sum(said.values()) > 0.4


def test_a_question_depends_on_seed_and_index_alone(tmp_path: Path) -> None:
    manifest = write_sides(tmp_path / "data")
    one, other = asking(manifest, 0.9, AugmentSettings()), asking(manifest, 0.9, AugmentSettings())
    backwards = {i: other[i] for i in reversed(range(len(other)))}
    for index in range(len(one)):
        a, b = one[index], backwards[index]
        assert (a.frame_id, a.turns) == (b.frame_id, b.turns)
        np.testing.assert_array_equal(a.image_HW, b.image_HW)


def talk(image_HW: np.ndarray, masks: tuple[np.ndarray, ...] = ()) -> Example:
    from angiova.data.prompts import Turn

    words = "[SEG] proximal LAD." if masks else "left coronary tree."
    return Example("f", image_HW, (Turn("which tree?", words, ()),), masks)


def test_frames_that_are_only_talked_about_never_reach_the_segmenter() -> None:
    model, processor = small_model()
    image_HW = np.zeros((SIDE_PX, SIDE_PX), dtype=np.uint8)
    mask_HW = np.ones((SIDE_PX, SIDE_PX), dtype=bool)
    batch = processor.collate([talk(image_HW), talk(image_HW, (mask_HW,)), talk(image_HW)])
    assert len(batch["images"]) == len(batch["segmenter_pixels"]) == 1
    assert len(batch["tile_counts"]) == len(batch["input_ids"]) == 3
    losses = model(**batch).losses
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert losses["language"] > 0
    assert losses["dice"] > 0


def test_a_frame_that_is_talked_about_does_not_change_the_masks_of_others() -> None:
    model, processor = small_model()
    model.eval()
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 255, size=(2, SIDE_PX, SIDE_PX)).astype(np.uint8)
    mask_HW = np.ones((SIDE_PX, SIDE_PX), dtype=bool)
    with torch.no_grad():
        alone = model(**processor.collate([talk(first, (mask_HW,))])).masks
        beside = model(**processor.collate([talk(second), talk(first, (mask_HW,))])).masks
    assert alone is not None
    assert beside is not None
    torch.testing.assert_close(alone.presence_N, beside.presence_N, atol=1e-4, rtol=1e-4)


def test_no_answer_has_the_place_of_an_image() -> None:
    """A model that would say nothing else says something else: there is no image to stand there."""
    model, processor = small_model()
    place = model.config.vlm_config.image_token_id
    model.vlm.lm_head.weight.data.zero_()
    model.vlm.lm_head.bias = torch.nn.Parameter(torch.zeros(model.vlm.lm_head.weight.shape[0]))
    model.vlm.lm_head.bias.data[place] = 9
    batch = processor.prompts([np.zeros((SIDE_PX, SIDE_PX), dtype=np.uint8)], ["which tree?"], [0])
    read = {name: value for name, value in batch.items() if name not in ("segmenter_pixels", "images")}
    spoken = model.speak(
        **read,
        eos_token_id=processor.eos_token_id,
        pad_token_id=processor.pad_token_id,
        max_new_tokens=4,
        with_probabilities=True,
    )
    assert place not in spoken.answer_ids[0]


def test_a_batch_of_words_alone_trains_the_language_model_and_nothing_of_the_segmenter() -> None:
    model, processor = small_model()
    image_HW = np.zeros((SIDE_PX, SIDE_PX), dtype=np.uint8)
    calls = []
    model.segmenter.vision_encoder.register_forward_hook(lambda *_: calls.append(1))
    losses = model(**processor.collate([talk(image_HW), talk(image_HW)])).losses
    torch.autograd.backward(sum(losses.values()))
    assert calls == []
    assert model.vlm.lm_head.weight.grad is not None
