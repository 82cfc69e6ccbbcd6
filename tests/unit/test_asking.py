"""Questions about frames and runs: facts beside measurements, doubts, context, files, and what cannot be asked."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import angiova
from angiova.data import rle
from angiova.data.syntax import SEGMENT_NAMES
from angiova.errors import ConfigError, DataError, ExitCode, ModelError
from angiova.inference.asking.chat import Chat, open_predictor
from angiova.inference.asking.command import ask, chat
from angiova.inference.asking.printing import AnswerPrinter, printable
from angiova.inference.asking.reply import Verdict
from angiova.inference.asking.shown import Choice, show
from angiova.inference.predictor import Predictor
from angiova.morphology.anatomy import tree_side
from angiova.morphology.measuring import measure_vessels
from angiova.training.config import parse_recipe
from angiova.training.trainer import train
from models import SIDE_PX, draw_frame, write_frames
from talking import judge_presence, talking_model

IMAGE = draw_frame(1)[0]
RUN = np.stack([draw_frame(seed)[0] for seed in range(6)])
LEFT, RIGHT = "which coronary tree is this?", "left or right?"
SENTENCES = {
    LEFT: "It is the left coronary tree.",
    RIGHT: "It is the right coronary tree.",
    "左冠还是右冠？": "左冠。",
    "is there a catheter?": "Yes, there is.",
    "how many branches are there?": "77 branches.",
    "how wide is the mid LAD?": "Wide enough.",
    **{f"segment the {name}": f"[SEG] {name}." for name in ("coronary artery tree", "proximal LAD", "mid LAD")},
    "segment both": "[SEG] proximal LAD, [SEG] mid LAD.",
    "segment the catheter": "[SEG] mid LAD.",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    talking_model(SENTENCES, IMAGE, folder, talks=[(LEFT, "左冠还是右冠？")])
    return folder


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frame") / "lad.png"
    Image.fromarray(IMAGE).save(path)
    return path


@pytest.fixture(scope="module")
def opened(checkpoint: Path) -> Predictor:
    return open_predictor(checkpoint, "cpu")


@pytest.fixture
def model(opened: Predictor) -> Predictor:
    judge_presence(opened, 0.99)
    return opened


def mask_of(model: Predictor, phrase: str) -> np.ndarray:
    (answer,) = model.answer([IMAGE], [f"segment the {phrase}"], [0])
    return answer.masks[0].mask_HW


def test_an_agreement_and_a_disagreement_are_both_shown(model: Predictor) -> None:
    said_left, said_right = model.ask(IMAGE, LEFT), model.ask(IMAGE, RIGHT)
    assert (said_left.text, said_right.text) == (SENTENCES[LEFT], SENTENCES[RIGHT])
    named = {number: int(mask_of(model, SEGMENT_NAMES[number]).sum()) for number in ("6", "7")}
    assert tree_side(named) == "left"
    (agreed,), (disagreed,) = said_left.measurements, said_right.measurements
    all_of_it = "left (100 % of the pixels of named segments)"
    assert (agreed.said.en, agreed.measured.en, agreed.verdict) == ("left", all_of_it, Verdict.AGREES)
    assert (disagreed.said.en, disagreed.measured.en) == ("right", all_of_it)
    assert disagreed.verdict is Verdict.DISAGREES
    assert (said_left.disagrees, said_right.disagrees) == (False, True)
    assert 0.5 < said_left.confidence <= 1


def test_a_number_stands_beside_the_one_that_is_measured(model: Predictor) -> None:
    (statement,) = model.ask(IMAGE, "how many branches are there?").measurements
    branches = measure_vessels(mask_of(model, "coronary artery tree")).branches
    counted = sum(branch.length_px >= 20 for branch in branches)
    assert (statement.said, statement.measured) == ("77", str(counted))
    assert statement.verdict is Verdict.DISAGREES


def test_a_mask_that_is_called_something_else_is_not_measured_as_what_was_asked(model: Predictor) -> None:
    (catheter,) = model.ask(IMAGE, "is there a catheter?").measurements
    assert (catheter.said.en, catheter.measured, catheter.verdict) == ("yes", None, Verdict.NOT_MEASURED)


def test_a_free_question_has_the_measures_of_the_vessels_that_it_names(model: Predictor) -> None:
    reply = model.ask(IMAGE, "how wide is the mid LAD?")
    (beside,) = reply.measurements
    measures = measure_vessels(mask_of(model, "mid LAD"))
    assert (reply.text, beside.about, beside.said) == ("Wide enough.", "mid LAD", None)
    assert beside.verdict is Verdict.NOT_COMPARED
    assert f"{measures.length_px:.0f} px long, {measures.mean_calibre_px:.1f} px wide" in beside.measured.en
    assert np.array_equal(beside.mask_HW, mask_of(model, "mid LAD"))


def test_what_a_free_question_names_is_drawn(checkpoint: Path, frame: Path, model: Predictor, tmp_path: Path) -> None:
    ask(checkpoint, frame, "how wide is the mid LAD?", out=tmp_path / "out", device="cpu")
    drawn = np.asarray(Image.open(tmp_path / "out" / "masks" / "measured-mid-LAD.png")) == 255
    assert np.array_equal(drawn, mask_of(model, "mid LAD"))
    overlay = np.asarray(Image.open(tmp_path / "out" / "overlay.png"))[:SIDE_PX]
    assert np.array_equal((overlay != IMAGE[:, :, None]).any(axis=2), drawn)


def test_named_vessels_come_with_their_masks_and_measures(model: Predictor) -> None:
    reply = model.ask(IMAGE, "segment both")
    assert [mask.drawn.name for mask in reply.masks] == ["proximal LAD", "mid LAD"]
    assert reply.measurements == ()
    for mask in reply.masks:
        assert mask.presence == pytest.approx(0.99, abs=1e-3)
        assert mask.measures.length_px == measure_vessels(mask.drawn.masks[0]).length_px > 0


def test_what_is_judged_absent_cannot_be_told(model: Predictor) -> None:
    judge_presence(model, 0.2)
    heard: list[str] = []
    reply = model.chat(IMAGE).ask(LEFT, hand_out=heard.append)
    assert reply.text == "I can't tell: no vessels are seen in the frame (presence 0.20, 0.5 is needed)"
    assert (reply.words, reply.confidence, reply.measurements, reply.masks, heard) == (None, None, (), (), [])
    drawn = model.ask(IMAGE, "segment both")
    assert drawn.doubts == ()
    assert [mask.measures for mask in drawn.masks] == [None, None]
    assert not any(mask.drawn.masks[0].any() for mask in drawn.masks)


@pytest.mark.parametrize(("presence", "is_told"), [(0.39, True), (0.41, False), (0.59, False), (0.61, True)])
def test_a_score_that_says_neither_yes_nor_no_is_told(model: Predictor, presence: float, is_told: bool) -> None:
    judge_presence(model, presence)
    reply = model.ask(IMAGE, "is there any contrast?")
    assert (reply.words is not None) == is_told
    if is_told:
        assert reply.measurements[0].measured.en == ("yes" if presence > 0.5 else "no")
    else:
        assert f"whether the contrast is there is unsure (presence {presence:.2f})" in reply.text


def test_a_frame_that_is_worth_nothing_is_not_asked_about(model: Predictor) -> None:
    blank = np.full((SIDE_PX, SIDE_PX), 128, np.uint8)
    assert model.ask(blank, "segment both").text.startswith("I can't tell: the frame is nearly of one grey")
    assert model.ask(blank, "左冠还是右冠？").text.startswith("无法判断：画面几乎只有一种灰度")
    assert model.ask(blank, LEFT, language="zh").text.startswith("无法判断：")
    assert model.ask(IMAGE, "which frame is best?").text == "I can't tell: only one frame is shown"


def test_a_run_is_measured_where_it_has_most_contrast(model: Predictor) -> None:
    talk = model.chat(RUN, key_frames=3)
    assert talk.shown.frames == (1, 3, 5)
    assert talk.shown.measured == np.argmax(talk.shown.opacification.smooth_T[[1, 3, 5]])
    drawn = talk.ask("segment the [SEG] mid LAD").masks
    assert drawn
    assert {len(mask.drawn.masks) for mask in drawn} == {3}
    assert drawn[0].presence == drawn[0].drawn.presences[talk.shown.measured]
    cant = "I can't tell: contrast does not clearly come or go in this run"
    assert talk.ask("which frame shows the vessels best?").text == cant


def test_the_best_frame_is_the_one_with_most_contrast(model: Predictor) -> None:
    blank = np.full((3, SIDE_PX, SIDE_PX), 170, np.uint8)
    run = np.concatenate([blank, np.repeat(IMAGE[None], 4, axis=0), blank])
    (best,) = model.ask(run, "which frame shows the vessels best?").measurements
    assert best.measured in {"3", "4", "5", "6"}


def test_places_stand_beside_what_was_measured_there(model: Predictor) -> None:
    (narrowest,) = model.ask(IMAGE, "where is the narrowest place?").measurements
    branches = measure_vessels(mask_of(model, "coronary artery tree")).branches
    least = min(branches, key=lambda branch: branch.calibre_N_px[branch.narrowest])
    row, column = least.points_N2[least.narrowest].round().astype(int)
    calibre_px = least.calibre_N_px[least.narrowest]
    assert narrowest.measured.en == f"{calibre_px:.1f} px (at row {row}, column {column})"


def test_an_answer_says_what_was_asked_before(model: Predictor) -> None:
    talk = model.chat(IMAGE)
    assert talk.ask(LEFT).earlier == ()
    assert [(turn.question, turn.answer) for turn in talk.ask(RIGHT).earlier] == [(LEFT, SENTENCES[LEFT])]


def test_files_of_an_answer_agree_with_it(model: Predictor, checkpoint: Path, frame: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert ask(checkpoint, frame, "segment both", out=out, device="cpu") is ExitCode.DONE
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    masks = {"masks/1-proximal-LAD.png", "masks/2-mid-LAD.png"}
    assert names == {"answer.json", "overlay.png", "measured.png", *masks}
    record, reply = json.loads((out / "answer.json").read_text()), model.ask(frame, "segment both")
    assert (record["text"], record["confidence"]) == (reply.text, pytest.approx(reply.confidence, abs=1e-4))
    assert "not a medical device" in record["use"]
    for entry, mask in zip(record["masks"], reply.masks, strict=True):
        (file,) = entry["frames"]
        height, width = file["rle"]["size"]
        assert np.array_equal(np.asarray(Image.open(out / file["file"])) == 255, mask.drawn.masks[0])
        assert np.array_equal(rle.decode(rle.Rle(height, width, file["rle"]["counts"])), mask.drawn.masks[0])
        assert entry["measures"]["length_px"] == pytest.approx(mask.measures.length_px, abs=1e-3)
    overlay = np.asarray(Image.open(out / "overlay.png"))
    assert overlay.shape[1:] == (SIDE_PX, 3)
    untouched = ~np.any([mask.drawn.masks[0] for mask in reply.masks], axis=0)
    assert np.array_equal(overlay[:SIDE_PX][untouched], np.repeat(IMAGE[untouched][:, None], 3, axis=1))


def test_an_answer_about_a_run_has_a_picture_a_key_frame(checkpoint: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "run", tmp_path / "out"
    source.mkdir()
    for number, image in enumerate(RUN):
        Image.fromarray(image).save(source / f"{number}.png")
    assert ask(checkpoint, source, "the [SEG]", out=out, key_frames=2, device="cpu") is ExitCode.DONE
    record = json.loads((out / "answer.json").read_text())
    assert len(record["frames_shown"]) == 2
    assert record["frame_measured"] in record["frames_shown"]
    for frame in record["frames_shown"]:
        assert (out / f"overlay_f{frame:05d}.png").exists()
        assert (out / f"masks/1_f{frame:05d}.png").exists()


def test_a_folder_with_something_in_it_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match=r"not empty.*another folder"):
        ask(tmp_path / "no model", tmp_path / "no image", LEFT, out=tmp_path)
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError, match="lies in the source"):
        ask(tmp_path / "no model", tmp_path / "run", LEFT, out=tmp_path / "run" / "out")
    with pytest.raises(ConfigError, match="no answers in 'fr'"):
        ask(tmp_path / "no model", tmp_path / "no image", LEFT, language="fr")


def test_a_chat_goes_on_after_a_question_that_cannot_be_asked(
    checkpoint: Path, frame: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = f"{LEFT}\n\n<img>\n左冠还是右冠？\nquit\nnot asked\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert chat(checkpoint, frame, out=tmp_path / "out", device="cpu") is ExitCode.SOME_CASES_FAILED
    said = capsys.readouterr()
    assert said.out.index("? which coronary") < said.out.index(SENTENCES[LEFT]) < said.out.index("左冠。")
    assert "coronary tree: said left, measured left (100 % of the pixels of named segments)  agree" in said.out
    assert "冠脉树：" in said.out
    assert "not asked" not in said.out
    assert "'<img>' is the model's own token" in said.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["001", "003"]
    third = json.loads((tmp_path / "out" / "003" / "answer.json").read_text())
    assert (third["language"], [turn["question"] for turn in third["earlier"]]) == ("zh", [LEFT])


def test_a_person_is_told_what_is_shown_and_prompted(
    checkpoint: Path, frame: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = io.StringIO(f"{LEFT}\n")
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", typed)
    assert chat(checkpoint, frame, language="zh", device="cpu") is ExitCode.DONE
    said = capsys.readouterr().out
    assert said.startswith("lad：第 0 帧（共 1 帧）")
    assert said.count("? ") == 2
    assert SENTENCES[LEFT] in said


def test_masks_are_numbered_in_printed_words() -> None:
    stream = io.StringIO()
    printer = AnswerPrinter("en", Console(file=stream, width=200))
    for part in ("[SEG]", " left main,", " [SEG] mid LAD."):
        printer.words(part)
    assert stream.getvalue() == "[1] left main, [2] mid LAD."


def test_words_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07c\u202ed\x9be\n\t左") == "a[2Jbcde\n\t左"


def test_a_disagreement_is_printed(model: Predictor) -> None:
    stream = io.StringIO()
    talk = model.chat(IMAGE)
    AnswerPrinter("en", Console(file=stream, width=200)).reply(talk.ask(RIGHT), talk.shown)
    assert "said right, measured left (100 % of the pixels of named segments)  DISAGREE" in stream.getvalue()


def test_only_what_has_words_can_be_asked(tmp_path: Path) -> None:
    write_frames(tmp_path / "data")
    recipe = {"output": str(tmp_path / "run"), "model": {"baseline": {"method": "frangi", "frames": 1}}}
    data = {"data": {"folder": str(tmp_path / "data")}}
    train(parse_recipe(recipe | data, where="test"))
    with pytest.raises(ModelError, match="a baseline has no words"):
        angiova.ask(tmp_path / "run", IMAGE, LEFT)


def test_a_chat_about_the_same_source_is_the_python_way_too(model: Predictor, checkpoint: Path, frame: Path) -> None:
    by_name = angiova.ask(checkpoint, frame, LEFT, device="cpu")
    by_chat = Chat(model, show(frame, Choice(5))).ask(LEFT)
    assert (by_name.text, by_name.confidence) == (by_chat.text, by_chat.confidence)
