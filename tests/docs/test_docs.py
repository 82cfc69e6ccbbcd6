"""The documentation is true: links lead somewhere, commands and recipes are accepted by the real thing."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from angiova.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img[^>]+src=\"([^\"]+)\"")
OUTSIDE = ("https://", "mailto:")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return [body for kind, body in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def shell_lines(page: Path) -> list[str]:
    """Return the command lines of the bash blocks; a backslash joins lines, comments are left out."""
    joined = "\n".join(blocks(page, "bash")).replace("\\\n", " ")
    lines = [line.partition(" #")[0].strip() for line in joined.splitlines()]
    return [re.sub(r"\s+", " ", line) for line in lines if line and not line.startswith("#")]


def commands(page: Path) -> list[str]:
    """Return the command lines that call angiova."""
    return [line for line in shell_lines(page) if line.split()[0] == "angiova"]


def _each(find: Any) -> list[Any]:  # noqa: ANN401
    return [
        pytest.param(page, found, id=f"{page.relative_to(ROOT)}: {found}") for page in PAGES for found in find(page)
    ]


def _is_ours(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "angiova"


def links(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead into the repository."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for match in LINK.finditer(text):
        link = match[1] or match[2]
        if not link.startswith(OUTSIDE):
            yield link


def anchors(page: Path) -> set[str]:
    """Return what can follow `#` in a link to a page, as code hosts make it from headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "link"), _each(links))
def test_link_leads_somewhere(page: Path, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists(), f"{target} is not there"
    assert target.is_relative_to(ROOT), "leads out of the repository"
    assert not anchor or anchor in anchors(target)


@pytest.mark.parametrize(("page", "line"), _each(commands))
def test_command_is_accepted(page: Path, line: str) -> None:
    verb, *words = shlex.split(line)[1:]
    if verb in {"--help", "--version"}:
        return
    assert verb in COMMANDS, f"no verb {verb}"
    command = COMMANDS[verb]
    options = [word for word in words if word.startswith("--")]
    known = {name for p in command.params if p.param_type_name == "option" for name in (*p.opts, *p.secondary_opts)}
    assert {option.partition("=")[0] for option in options} <= known | {"--help"}
    if "--help" not in options:
        command.make_context(verb, words)  # parses: counts, types and ranges; runs nothing


@pytest.mark.parametrize(
    ("page", "line"), _each(lambda page: [line for line in shell_lines(page) if line.startswith("make ")])
)
def test_make_target_exists(page: Path, line: str) -> None:
    assert set(line.split()[1:]) <= TARGETS | {"PYTHON=python3.12"}


@pytest.mark.parametrize(("page", "text"), _each(lambda page: blocks(page, "python")))
def test_python_is_python_and_its_names_exist(page: Path, text: str) -> None:
    import angiova

    names = {n.attr for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Attribute) and _is_ours(n.value)}
    assert names <= set(angiova.__all__)


@pytest.mark.parametrize(("page", "text"), _each(lambda page: blocks(page, "yaml")))
def test_recipe_is_accepted(page: Path, text: str) -> None:
    from angiova.training.config import parse_recipe

    parse_recipe(yaml.safe_load(text), where=page)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").rglob("*.yaml")), ids=lambda path: path.name)
def test_shipped_recipe_is_accepted(path: Path) -> None:
    from angiova.training.config import load_recipe

    load_recipe(path)


def test_both_readmes_have_the_same_sections_commands_and_links() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh.md"

    def levels(page: Path) -> list[str]:
        return re.findall(r"^(#+) ", FENCE.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE)

    assert levels(english) == levels(chinese)
    assert shell_lines(english) == shell_lines(chinese)
    other = {"README.md", "README.zh.md"}
    assert [link for link in links(english) if link not in other] == [
        link for link in links(chinese) if link not in other
    ]


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs") and page != index} <= linked


def test_every_verb_is_shown_in_the_readme() -> None:
    shown = {line.split()[1] for line in commands(ROOT / "README.md")}
    assert set(COMMANDS) <= shown
