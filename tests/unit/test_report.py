"""A report says what the run folder holds, all of it and nothing else, and cannot be turned against its reader."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

import angiova.evaluation
from angiova.data.records import Split
from angiova.errors import ConfigError, DataError
from angiova.evaluation.evaluate import evaluate
from angiova.evaluation.metrics import DEFINITIONS
from angiova.evaluation.result import Evaluation
from angiova.evaluation.store import read_evaluation
from angiova.files import read_json, write_json
from angiova.report import formats
from angiova.report.facts import read_facts
from angiova.report.files_list import list_files
from angiova.report.html import template_text
from angiova.report.page import compose, write_report
from angiova.report.tables import print_evaluation
from angiova.report.text import in_language
from angiova.report.wording import WORDS, say_if_known
from angiova.run_record import Interruption, StepTime, read_run, write_run
from runs import make_answers, make_dataset, make_record, make_run

ATTACK = "<script>alert(1)</script>\"'|`[x](javascript:1)&<img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Tags, attributes and text of a page, as a browser that shows one language sees them."""

    def __init__(self, text: str, language: str = "en") -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden: list[str] = []
        self._language = language
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        other = tag != "html" and attributes.get("lang") not in (None, self._language)
        if (self._hidden and tag not in ("br", "img", "meta")) or other or tag in ("style", "script"):
            self._hidden.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and self._hidden[-1] == tag:
            self._hidden.pop()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


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
        "4,000",  # parameters of the whole model, the sum of both parts
        "50.00 %",  # share trained: 2 of 4 thousand
        "micro-batch 4 × accumulation 2 × devices 1 = effective batch 8",
        "800 samples of 200 frames = 4.00 passes",
        "1 h 02 min",
        "2.50 GB",
        "800 samples in 200 micro-steps and 100 optimizer steps; samples an optimizer step: 8.",
        "optimizer.lr",
        "0.9, 0.999",
        "1234",
        "4c2f2ef",
        "For research only. Not a medical device",
        "never trained on",
    ):
        assert stated in text, stated
    record = read_run(good_run)
    mask, dice = record.losses["mask"], record.losses["dice"]
    first, last = 2 * mask.first + 0.5 * dice.first, 2 * mask.last + 0.5 * dice.last
    for number in (
        formats.significant(mask.first),
        formats.percent(mask.first - mask.last, mask.first),
        formats.significant(first),
        formats.percent(first - last, first),
        record.checkpoints[0].sha256,
        formats.count(record.checkpoints[0].num_bytes),
    ):
        assert number in text, number


def test_sections_come_in_the_order_that_was_asked_for(good_run: Path) -> None:
    sections = [section["key"] for section in read_json(good_run / "report.json")["sections"]]
    assert sections == [
        "configuration",
        "data",
        "course",
        "losses",
        "evaluation",
        "pictures",
        "distributions",
        "judgement",
        "next",
        "checkpoints",
        "files",
        "definitions",
        "record",
    ]


def lookup(tree: Any, path: str) -> Any:  # noqa: ANN401  (JSON)
    """Follow a dotted path; ``*`` is every entry of a list or mapping, and names may hold dots themselves."""
    if not path:
        return tree
    if path.startswith("*"):
        entries = list(tree.values()) if isinstance(tree, Mapping) else tree
        return [lookup(entry, path[2:]) for entry in entries]
    names = list(tree) if isinstance(tree, Mapping) else [str(n) for n in range(len(tree))]
    name = max((n for n in names if path == n or path.startswith(f"{n}.")), key=len)
    return lookup(tree[name] if isinstance(tree, Mapping) else tree[int(name)], path[len(name) + 1 :])


def test_every_figure_leads_to_a_field_that_exists_and_holds_it(good_run: Path) -> None:
    facts = read_facts(good_run)
    sources = list(compose(facts, list_files(good_run)).sources)
    assert len(sources) > 300
    tree = {"run.json": read_json(good_run / "run.json")}
    tree["evaluation/evaluation.json"] = read_json(good_run / "evaluation" / "evaluation.json")
    for source in sources:
        if source.file in tree:
            lookup(tree[source.file], source.field)
        elif source.file == "metrics.jsonl":
            lines = [*facts.training, *facts.validation]
            assert any(_has(line, source.field) for line in lines), source
        elif source.file == "evaluation/frames.csv":
            assert facts.frames is not None
            assert source.field.rpartition(", ")[2] in facts.frames.columns, source
        else:
            assert (good_run / source.file).is_file(), source


def _has(line: Mapping[str, Any], path: str) -> bool:
    name, _, rest = path.partition(".")
    return name in line and (not rest or rest in line[name])


def test_single_figures_equal_the_field_that_they_name(good_run: Path) -> None:
    trees = {"run.json": read_json(good_run / "run.json")}
    trees["evaluation/evaluation.json"] = read_json(good_run / "evaluation" / "evaluation.json")
    compared = 0
    for section in read_json(good_run / "report.json")["sections"]:
        for block in section["blocks"]:
            for cell in (cell for row in block.get("rows", []) for cell in row):
                if len(cell.get("sources", [])) == 1 and isinstance(cell["value"], int | float):
                    source = cell["sources"][0]
                    if source["file"] in trees and "*" not in source["field"]:
                        assert lookup(trees[source["file"]], source["field"]) == cell["value"], cell
                        compared += 1
    assert compared > 60


def test_links_of_the_page_lead_somewhere_on_it(good_run: Path) -> None:
    page = Page((good_run / "report.html").read_text(encoding="utf-8"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 50
    links = [str(attributes["href"]) for tag, attributes in page.tags if tag == "a"]
    assert len(links) > 200
    assert all(link.startswith("#") and link[1:] in ids for link in links)


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
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    assert {tag for tag, _ in page.tags}.isdisjoint({"link", "iframe", "object"})
    script = template_text("report.js")
    assert html.count("<script") == 1
    assert f"<script>{script}</script>" in html
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert f"'sha256-{digest}'" in policy
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 5
    assert all(source is not None and source.startswith("data:image/png;base64,") for source in sources)
    pictures = re.findall(r"\]\((report_files/[^)]+)\)", (good_run / "report.md").read_text(encoding="utf-8"))
    assert len(pictures) == len(list((good_run / "report_files").iterdir())) > 5
    assert all((good_run / name).is_file() for name in pictures)


def test_the_same_run_gives_the_same_bytes(good_run: Path) -> None:
    before = [path.read_bytes() for path in write_report(good_run)]
    assert before == [path.read_bytes() for path in write_report(good_run)]


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    run = make_run(tmp_path, text=ATTACK)
    html = html_of(run)
    page = Page(html)
    assert [tag for tag, _ in page.tags].count("script") == 1
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
    assert "Missing from the run folder: metrics.jsonl" in text
    assert "not evaluated" in (run / "report.md").read_text(encoding="utf-8").lower()


def test_a_run_that_contradicts_itself_says_so_first(good_run: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert "contradicts itself" not in (good_run / "report.html").read_text(encoding="utf-8")
    record = read_run(run)
    record.progress.samples_seen = 8000
    write_run(run, record)
    text = Page(html_of(run)).text
    assert "The run contradicts itself (steps-arithmetic)" in text
    assert "200 micro-steps x 4 micro-batch x 1 devices = 800 samples, recorded 8,000" in text
    assert text.index("contradicts itself") < text.index("1 Configuration")


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
    codes = {statement["code"] for statement in read_json(tmp_path / "run" / "report.json")["statements"]}
    assert codes.isdisjoint({"narrow", "followed", "balanced", "names_followed", "none_missed"})


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


def test_one_page_has_both_languages_and_markdown_the_chosen_one(good_run: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    html = html_of(run, "zh")
    assert '<html lang="zh"' in html
    assert '<html lang="en"' in html_of(good_run)
    chinese, english = Page(html, "zh").text, Page(html, "en").text
    for own, text, other in (("仅供科研使用", chinese, english), ("For research only", english, chinese)):
        assert own in text
        assert own not in other
    assert "从未参与训练的患者" in chinese
    assert "never trained on" not in chinese
    assert "优化步" in (run / "report_files" / "losses.svg").read_text(encoding="utf-8")
    markdown = (run / "report.md").read_text(encoding="utf-8")
    assert "从未参与训练的患者" in markdown
    assert "never trained on" not in markdown
    with pytest.raises(ConfigError, match="no report in 'fr'"):
        write_report(good_run, "fr")


def test_what_was_not_measured_is_not_recorded_and_what_was_is_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    text = Page(html_of(run)).text
    assert "seconds a micro-stepnot recorded" in re.sub(r"\s*\n\s*", "", text)
    assert "Warnings were not recorded" in text
    record = read_run(run)
    record.warnings = {"UserWarning: cache flushed": 7}
    record.interruptions = [Interruption(stopped=None, resumed="2026-11-23T05:30:00+00:00", optimizer_step=40)]
    record.resources.micro_step = StepTime(count=200, mean=16.7, median=16.5, longest=20.25)
    write_run(run, record)
    text = Page(html_of(run)).text
    for stated in ("Warnings: 7", "UserWarning: cache flushed", "killed: not recorded", "16.700 mean, 16.500 median"):
        assert stated in text, stated


def test_both_languages_say_the_same_things() -> None:
    def fields(sentence: str) -> set[str | None]:
        return {field for _, field, _, _ in Formatter().parse(sentence)} - {None}

    for key, (english, chinese) in WORDS.items():
        assert chinese, key
        assert english or key.startswith("definition."), key
        assert not english or fields(english) == fields(chinese), key


def test_every_definition_of_an_evaluation_is_there_in_chinese() -> None:
    for name, english in DEFINITIONS.items():
        chinese = in_language(say_if_known(f"definition.{name}", english), "zh")
        assert chinese != english, name


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
    assert say_if_known("finding.something-new", "something-new") == "something-new"
    assert in_language(say_if_known("finding.scores-perfect", "scores-perfect"), "en") == "Perfect scores,"


def test_a_run_whose_parameters_nobody_counted_states_none(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    record = read_run(run)
    record.model_parts = []
    write_run(run, record)
    write_report(run)
    opening = Page((run / "report.html").read_text(encoding="utf-8")).text
    assert "its parameters are not recorded" in opening
    assert "0 parameters" not in opening and "0.00 M" not in opening


FINDING_CODES = [
    code
    for name in ("findings", "leakage")
    for code in re.findall(
        r'(?:Finding|_impossible)\("([a-z-]+)"',
        (Path(angiova.evaluation.__file__).parent / f"{name}.py").read_text(encoding="utf-8"),
    )
]


@pytest.mark.parametrize("code", FINDING_CODES)
def test_every_finding_of_an_evaluation_has_a_title_in_both_languages(code: str) -> None:
    assert f"finding.{code}" in WORDS


def test_findings_were_looked_for_where_they_are_made() -> None:
    assert {"scores-perfect", "trained-on-test", "metric-constant"} <= set(FINDING_CODES)
