"""The report in a real browser: silent, offline, complete, in both languages, narrow and on paper."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from angiova.report.page import write_report
from runs import make_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def find_browser() -> str | None:
    """Return an installed chromium, Chrome or what ANGIOVA_TEST_BROWSER names."""
    named = os.environ.get("ANGIOVA_TEST_BROWSER")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    path = find_browser()
    if path is None:
        pytest.skip("no chromium is installed")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("browsed"))
    write_report(run)
    return run / "report.html"


@dataclass
class Heard:
    """What a page said and asked for while it was open."""

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def page(browser: sync_api.Browser, report: Path, heard: Heard) -> Iterator[sync_api.Page]:
    opened = browser.new_page(viewport={"width": 1100, "height": 900})
    opened.on("console", lambda message: heard.messages.append(message.text))
    opened.on("pageerror", lambda error: heard.messages.append(str(error)))
    opened.on("request", lambda request: heard.requests.append(request.url))
    opened.goto(report.as_uri())
    yield opened
    opened.close()


def test_nothing_is_fetched_and_nothing_goes_wrong(page: sync_api.Page, report: Path, heard: Heard) -> None:
    page.click("button[data-language=zh]")
    page.click("a[href='#next']")
    page.wait_for_timeout(300)
    assert heard.messages == []
    fetched = [url for url in heard.requests if not url.startswith("data:image/png;base64,")]
    assert [url.partition("#")[0] for url in fetched] == [report.as_uri()]


def test_every_picture_is_there_and_decoded(page: sync_api.Page) -> None:
    sizes = page.eval_on_selector_all("img", "images => images.map(i => [i.complete, i.naturalWidth, i.naturalHeight])")
    assert len(sizes) == 5
    assert all(complete and width > 50 and height > 10 for complete, width, height in sizes)
    drawn = page.eval_on_selector_all("figure svg", "all => all.map(s => s.getBoundingClientRect().height)")
    assert len(drawn) >= 6
    assert min(drawn) > 40


def test_the_language_switches_in_text_and_drawings(page: sync_api.Page) -> None:
    def shown(selector: str) -> str:
        return page.locator(selector).first.inner_text()

    assert shown("h1") == "Training and evaluation report"
    assert page.title().startswith("Training and evaluation report: ")
    axes = page.locator("#losses svg text:visible", has_text="optimizer steps")
    assert axes.count() > 0
    page.click("button[data-language=zh]")
    assert shown("h1") == "训练与评估报告"
    assert page.title().startswith("训练与评估报告：")
    assert page.evaluate("document.documentElement.lang") == "zh"
    assert axes.count() == 0
    assert page.locator("#losses svg text:visible", has_text="优化步").count() > 0
    assert page.locator("[lang=en]:visible").count() == 0
    page.click("button[data-language=en]")
    assert shown("h1") == "Training and evaluation report"


def test_the_language_asked_for_comes_first(browser: sync_api.Browser, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write_report(run, "zh")
    opened = browser.new_page()
    opened.goto((run / "report.html").as_uri())
    assert opened.locator("h1").inner_text() == "训练与评估报告"
    opened.close()


def test_pointing_at_a_curve_shows_its_values_and_the_legend_switches_it(page: sync_api.Page) -> None:
    chart = page.locator("#losses svg").first
    chart.scroll_into_view_if_needed()
    page.wait_for_timeout(200)  # scrolling hides what was pointed at before
    chart.locator(".hit").nth(3).hover(force=True)
    tip = page.locator("#tip")
    assert tip.is_visible()
    assert "optimizer steps 40" in tip.inner_text()
    assert "logged" in tip.inner_text()
    raw = chart.locator(".series[data-series=raw]")
    assert raw.is_visible()
    chart.locator(".toggle[data-series=raw]").click()
    assert not raw.is_visible()
    chart.locator(".toggle[data-series=raw]").press("Enter")
    assert raw.is_visible()


def test_a_figure_leads_to_its_field_even_where_it_is_folded(page: sync_api.Page) -> None:
    field_row = page.locator("[id='r:seed']")
    assert not field_row.is_visible()
    page.locator("#configuration a[href='#r:seed']").click()
    field_row.wait_for(state="visible", timeout=3000)
    assert "1234" in field_row.inner_text()


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_nothing_is_wider_than_the_window(page: sync_api.Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for language in ("en", "zh"):
        page.click(f"button[data-language={language}]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_text_stands_out_from_its_ground(page: sync_api.Page) -> None:
    """Contrast of at least 4.5 to 1 for every text that is shown (WCAG 2.2, 1.4.3)."""
    worst = page.evaluate(
        """() => {
        const light = (c) => { const v = c / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
        const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
        const parts = (text) => text.match(/[\\d.]+/g).map(Number);
        const ground = (element) => {
          for (let at = element; at; at = at.parentElement) {
            const colour = parts(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
          }
          return [255, 255, 255];
        };
        let worst = [99, ""];
        for (const element of document.querySelectorAll("main p, main td, main th, main a, main span, svg text")) {
          const style = getComputedStyle(element);
          if (!element.textContent.trim() || !element.getClientRects().length) continue;
          const colour = parts(element instanceof SVGElement ? style.fill : style.color);
          const [a, b] = [luminance(colour), luminance(ground(element))].sort((x, y) => y - x);
          const contrast = (a + 0.05) / (b + 0.05);
          if (contrast < worst[0]) worst = [contrast, element.textContent.trim().slice(0, 60)];
        }
        return worst;
    }"""
    )
    assert worst[0] >= 4.5, worst


def test_it_prints_with_every_table_open(page: sync_api.Page, tmp_path: Path) -> None:
    printed = tmp_path / "report.pdf"
    page.pdf(path=str(printed), format="A4", print_background=True)
    content = printed.read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") + content.count(b"/Type/Page/") >= 3
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert not page.locator("nav").is_visible()
    assert not page.locator(".switch").is_visible()
