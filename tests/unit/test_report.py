"""A report says what the run folder holds, all of it and nothing else, and cannot be turned against its reader."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter

import numpy as np
import pytest

from angiova.data import rle
from angiova.data.manifest import Manifest, Provenance, write_dataset
from angiova.data.pixels import write_png
from angiova.data.records import FrameRecord, Origin, Prediction, Split, Target, TargetKind
from angiova.errors import ConfigError, DataError
from angiova.evaluation.evaluate import evaluate
from angiova.evaluation.result import Evaluation
from angiova.evaluation.store import read_evaluation, write_evaluation
from angiova.files import read_json, write_json
from angiova.report import formats
from angiova.report.page import write_report
from angiova.report.tables import print_evaluation
from angiova.report.wording import WORDS, Words
from angiova.run_record import (
    Checkpoint,
    DataFacts,
    LossFacts,
    ModelPart,
    Progress,
    Resources,
    RunRecord,
    SplitFacts,
    read_run,
    write_run,
)

SIDE = 32
ATTACK = "<script>alert(1)</script>\"'|`[x](javascript:1)&<img src=x onerror=alert(2)>"
SEGMENTS = {"6": "proximal LAD", "7": "mid LAD"}


class Page(HTMLParser):
    """Tags, attributes and text of a page, as a browser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def mask(top: int, height: int = 6, left: int = 3) -> rle.Rle:
    pixels = np.zeros((SIDE, SIDE), dtype=bool)
    pixels[top : top + height, left : left + 24] = True
    return rle.encode(pixels)


def targets(index: int) -> tuple[Target, ...]:
    tree = Target("coronary artery tree", TargetKind.VESSEL_TREE, mask(index, 14), Origin.SIMULATED)
    named = [
        Target(phrase, TargetKind.SEGMENT, mask(index + 8 * n), Origin.SIMULATED, segment=number)
        for n, (number, phrase) in enumerate(SEGMENTS.items())
    ]
    return (tree, *named)


def make_dataset(folder: Path, name: str, *, patients: bool = True) -> Manifest:
    records = []
    for index in range(8):
        image = f"images/{index}.png"
        write_png(folder / image, np.full((SIDE, SIDE), 100 + index, dtype=np.uint8))
        patient = f"P{index // 2}" if patients else None
        frame_id, run = f"{name}{index}", f"run{index}"
        record = FrameRecord(frame_id, image, SIDE, SIDE, "s", "0", run, 0, patient, targets=targets(index))
        records.append(replace(record, split=Split.TEST))
    return write_dataset(folder, records, Provenance("test", "code", "0", frames_are_independent=not patients))


def make_answers(manifest: Manifest, *, perfect: bool = False) -> list[Prediction]:
    """Every target moved by 0 to 3 columns, so that scores differ."""
    answers = []
    for index, record in enumerate(manifest.records()):
        for target in record.targets:
            moved = np.roll(rle.decode(target.mask), 0 if perfect else index % 4, axis=1)
            answers.append(Prediction(record.frame_id, target.phrase, rle.encode(moved), 0.9))
    return answers


def make_record(manifest: Manifest, text: str = "") -> RunRecord:
    split = SplitFacts(frames=8, patients=4, targets=24, frame_ids_sha256="ab" * 32)
    return RunRecord(
        angiova_version="0.1.0",
        code_commit="4c2f2ef",
        command=["angiova", "train", "recipes/nano.yaml", text],
        status="finished",
        started="2026-11-23T05:00:00Z",
        machine={"cpu": "two cores", "driver": None},
        recipe={"optimizer": {"lr": 0.0002, "betas": [0.9, 0.999]}, "note": text},
        seed=1234,
        data=DataFacts(
            folder="/data/set",
            manifest_sha256=manifest.sha256(),
            frames_are_independent=manifest.provenance.frames_are_independent,
            splits={"train": split, "test": split},
        ),
        model_preset="nano",
        model_parts=[
            ModelPart(name="language model", total=3_000_000, trainable=1_000_000, num_bytes=12_000_000),
            ModelPart(name="segmenter", total=1_000_000, trainable=1_000_000, num_bytes=4_000_000),
        ],
        progress=Progress(samples_seen=800, micro_steps=400, optimizer_steps=100, planned_optimizer_steps=100),
        losses={
            "mask": LossFacts(weight=2.0, first=5.0, last=1.0),
            "dice": LossFacts(weight=0.5, first=1.0, last=0.5),
        },
        resources=Resources(seconds={"total": 3723.0}, peak_rss_bytes=2_500_000_000),
        checkpoints=[
            Checkpoint(
                path="checkpoints/step-100", role="last", optimizer_step=100, num_bytes=16_000_000, sha256="cd" * 32
            )
        ],
        evaluations=["evaluation"],
        messages=[f"clipped {text}"],
    )


def write_metrics(path: Path, loss_name: str = "mask") -> None:
    lines: list[dict[str, object]] = []
    for step in range(1, 11):
        numbers = {"epoch": step / 10, "lr": 1e-4 / step, "grad_norm": 1.0, "seconds": 0.1, "loss": 10.0 / step}
        lines.append({"optimizer_step": step, "samples_seen": 8 * step, **numbers, "losses": {loss_name: 5.0 / step}})
    lines.append({"optimizer_step": 10, "validation": {"dice": 0.5}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def make_run(folder: Path, *, text: str = "f", patients: bool = True, perfect: bool = False) -> Path:
    """Write a small but complete run folder, with `text` wherever a user's text can stand."""
    manifest, run = make_dataset(folder / "set", text, patients=patients), folder / "run"
    answers = make_answers(manifest, perfect=perfect)
    write_evaluation(run / "evaluation", manifest, evaluate(manifest, Split.TEST, answers), answers)
    write_metrics(run / "metrics.jsonl", text)
    (run / "checkpoints" / "step-100").mkdir(parents=True)
    write_run(run, make_record(manifest, text))
    return run


def html_of(run: Path, language: str = "en") -> str:
    write_report(run, language)
    return (run / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def good_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("good"))
    write_report(run)
    return run


def test_everything_of_the_first_report_is_there_and_true(good_run: Path) -> None:
    text = Page((good_run / "report.html").read_text(encoding="utf-8")).text
    for stated in (
        "4,000,000",  # parameters of the whole model, the sum of both parts
        "50.00 %",  # share trained: 2 of 4 million
        "80.00 %",  # the mask loss fell from 5 to 1
        "78.57 %",  # their weighted sum fell from 2 * 5 + 0.5 * 1 = 10.5 to 2 * 1 + 0.5 * 0.5 = 2.25
        "1 h 02 min",
        "2.50 GB",
        "800 samples in 400 micro-steps and 100 optimizer steps, which is 8 samples",
        "optimizer.lr",
        "0.9, 0.999",
        "1234",
        "4c2f2ef",
        "cd" * 32,
        "16,000,000",
        "Research use only; not a medical device",
        "never trained on",
    ):
        assert stated in text, stated


def test_every_mean_of_the_evaluation_is_in_the_report(good_run: Path) -> None:
    evaluation = read_evaluation(good_run / "evaluation")
    text = Page((good_run / "report.html").read_text(encoding="utf-8")).text
    for group in evaluation.kinds.values():
        for metric in group.metrics.values():
            assert formats.spread(metric.frame) in text
            assert formats.spread(metric.patient) in text
    assert evaluation.chance is not None
    assert f"{evaluation.chance.margin:.3f}" in text


def test_page_and_markdown_need_nothing_else(good_run: Path) -> None:
    html = (good_run / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert not re.search(r"https?://|<script|@import|url\((?!#)", html)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object"})
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 5
    assert all(source is not None and source.startswith("data:image/png;base64,") for source in sources)
    pictures = re.findall(r"\]\((report_files/[^)]+)\)", (good_run / "report.md").read_text(encoding="utf-8"))
    assert len(pictures) == len(list((good_run / "report_files").iterdir())) > 5
    assert all((good_run / name).is_file() for name in pictures)


def test_drawings_on_one_page_do_not_share_ids(good_run: Path) -> None:
    page = Page((good_run / "report.html").read_text(encoding="utf-8"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 50


def test_the_same_run_gives_the_same_bytes(good_run: Path) -> None:
    before = [path.read_bytes() for path in write_report(good_run)]
    assert before == [path.read_bytes() for path in write_report(good_run)]


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    run = make_run(tmp_path, text=ATTACK)
    html = html_of(run)
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert not any("javascript:" in str(attributes.get("href")) for _, attributes in page.tags)
    assert page.text.count(ATTACK) > 5
    markdown = (run / "report.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<(script|img)", markdown)
    assert not re.search(r"(?<!\\)\[x", markdown)
    for table in re.findall(r"(?:^\|.*\n)+", markdown, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


def test_a_picture_outside_its_folder_is_not_embedded(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "secret.png").write_bytes(b"secret")
    path = run / "evaluation" / "evaluation.json"
    content = read_json(path)
    content["pictures"][0]["file"] = "../../secret.png"
    write_json(path, content)
    html = html_of(run)
    assert html.count("data:image/png") == 4
    assert "evaluation/comparisons/../../secret.png" in html


def test_a_run_without_evaluation_says_so_and_invents_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    record = make_record(make_dataset(tmp_path / "set", "f"))
    write_run(run, record.model_copy(update={"evaluations": []}))
    text = Page(html_of(run)).text
    assert "Not evaluated" in text
    assert "mean Dice" not in text
    assert "metrics.jsonl, checkpoints/step-100" in text
    assert "not evaluated" in (run / "report.md").read_text(encoding="utf-8").lower()


def test_missing_files_are_named(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "evaluation" / "frames.csv").unlink()
    (run / "evaluation" / "comparisons" / "1_best.png").unlink()
    text = Page(html_of(run)).text
    assert "Missing from the run folder: evaluation/frames.csv, evaluation/comparisons/1_best.png" in text
    with pytest.raises(DataError, match=r"run\.json"):
        write_report(tmp_path / "nowhere")


def test_perfect_scores_are_struck_out(tmp_path: Path) -> None:
    html = html_of(make_run(tmp_path, perfect=True))
    page = Page(html)
    assert "These figures cannot be trusted." in page.text
    assert "all 8 scores are perfect" in page.text
    assert "mean Dice" not in page.text
    assert sum(attributes.get("class") == "untrusted" for _, attributes in page.tags) == 3


def test_unknown_patients_and_simulated_targets_are_said_first(tmp_path: Path) -> None:
    text = Page(html_of(make_run(tmp_path, patients=False))).text
    results = text.index("Frames are averaged within a run")
    assert text.index("Frames were split without patient ids") < results
    assert text.index("24 of 24 evaluated targets are simulated") < results
    assert "nobody can say that none was trained on" in text
    assert "never trained on" not in text


def test_another_data_set_is_never_called_unseen(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    record = read_run(run)
    data = record.data.model_copy(update={"manifest_sha256": "0" * 64})
    write_run(run, record.model_copy(update={"data": data, "status": "stopped"}))
    text = Page(html_of(run)).text
    assert "whether they share patients was not checked" in text
    assert "never trained on" not in text
    assert "The run did not finish: its status is stopped" in text


def test_chinese_report(good_run: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    html = html_of(run, "zh")
    assert '<html lang="zh">' in html
    text = Page(html).text
    assert "仅供科研使用，不是医疗器械" in text
    assert "从未参与训练的患者" in text
    assert "优化步" in (run / "report_files" / "losses.svg").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="no report in 'fr'"):
        write_report(good_run, "fr")


def test_both_languages_say_the_same_things() -> None:
    def fields(sentence: str) -> set[str | None]:
        return {field for _, field, _, _ in Formatter().parse(sentence)} - {None}

    for key, (english, chinese) in WORDS.items():
        assert chinese, key
        assert english or key.startswith("definition."), key
        assert not english or fields(english) == fields(chinese), key


def test_metrics_of_a_killed_run_are_read_and_damaged_ones_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    path = run / "metrics.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"optimizer_step": 11, "los')
    write_report(run)
    path.write_text("not json\n" + whole)
    with pytest.raises(DataError, match=r"metrics\.jsonl: line 1 is not JSON"):
        write_report(run)


def evaluation_of(folder: Path, text: str = "f", *, missing: int = 0) -> Evaluation:
    manifest = make_dataset(folder, text)
    return evaluate(manifest, Split.TEST, make_answers(manifest)[missing:])


def test_terminal_tables_and_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = evaluation_of(tmp_path / "one")
    assert print_evaluation(evaluation) == 0
    printed = capsys.readouterr().out
    assert formats.spread(evaluation.kinds["vessel_tree"].metrics["dice"].frame) in printed
    assert "6 proximal LAD" in printed
    assert print_evaluation(evaluation_of(tmp_path / "two", "[bold]x[/nonsense]", missing=2)) == 3
    assert "[bold]x[/nonsense]0: coronary artery tree: 2 of 24 targets have no prediction" in capsys.readouterr().out


def test_numbers_are_written_as_agreed() -> None:
    assert formats.size(2_500_000_000) == "2.50 GB"
    assert formats.size(999) == "999 B"
    assert formats.duration(59.94) == "59.9 s"
    assert formats.duration(200) == "3 min 20 s"
    assert formats.duration(64.7 * 3600) == "64 h 42 min"
    assert formats.percent(1.25, 2.34) == "53.42 %"  # the first report printed 53.46 %
    assert (formats.percent(0, 0), formats.count(None)) == ("–", "–")
    assert formats.flattened({"a": {"b": [1, 2], "c": {}}, "d": None}) == [("a.b", "1, 2"), ("a.c", "{}"), ("d", "–")]


def test_unknown_findings_of_a_later_version_keep_their_code() -> None:
    assert Words("en").optional("finding.something-new") == ""
