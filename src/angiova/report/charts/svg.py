"""SVG elements as plain data, written out in one language or in both.

Letters stay letters and are set in the reader's own fonts, so Chinese needs no font here. In a page that shows both
languages every text stands twice, marked with its `lang`, and the page's style hides one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Final

from angiova.report.text import LANGUAGES, Label, in_language

INK: Final = "#1f2a33"
SOFT: Final = "#56626b"
FAINT: Final = "#c3ccd2"
LINE: Final = "#0b6e72"
MARK: Final = "#c24e00"
FONTS: Final = "system-ui, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
FONT_PX: Final = 11.0


@dataclass(frozen=True, slots=True)
class Node:
    """One element.

    Attributes:
        attributes: by name, numbers included; underscores become hyphens.
        lang: the language that the element is for; empty for both.
        tip: what is shown when the reader points at it.
    """

    tag: str
    attributes: Mapping[str, str | float] = field(default_factory=dict)
    children: tuple[Node | str, ...] = ()
    lang: str = ""
    tip: Label = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A whole drawing, `width` x `height` in its own units, which are pixels when it is not scaled."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    title: Label

    def svg(self, language: str | None = None) -> str:
        """Return the SVG text: of one language as a file of its own, or of both as a part of a page."""
        title = f"<title>{escape(in_language(self.title, language))}</title>" if language else ""
        names = "" if language is None else ' xmlns="http://www.w3.org/2000/svg"'
        label = escape(in_language(self.title, language or "en"))
        body = "".join(_written(node, language) for node in self.nodes)
        return (
            f'<svg{names} viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{label}" '
            f'font-family="{FONTS}" font-size="{FONT_PX:g}" fill="{INK}">{title}{body}</svg>'
        )


def element(tag: str, *children: Node | str, **attributes: str | float) -> Node:
    """Return an element; ``stroke_width=1`` is written ``stroke-width="1"``, and ``class_`` is ``class``."""
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    return Node(tag, names, tuple(children))


def pointed(nodes: Iterable[Node], tip: Label) -> Node:
    """Return the nodes as one element that says `tip` when the reader points at it."""
    return Node("g", {"class": "hit"}, tuple(nodes), tip=tip)


def text(x: float, y: float, label: Label, **attributes: str | float) -> list[Node]:
    """Return a text at a place: one element, or one a language."""
    names = {name.replace("_", "-"): value for name, value in attributes.items()}
    if isinstance(label, str) or label.en == label.zh:
        return [Node("text", {"x": x, "y": y, **names}, (in_language(label, "en"),))]
    return [Node("text", {"x": x, "y": y, **names}, (in_language(label, lang),), lang=lang) for lang in LANGUAGES]


def group(nodes: Iterable[Node], **attributes: str | float) -> Node:
    """Return the nodes as one element."""
    return element("g", *nodes, **attributes)


def moved(nodes: Iterable[Node], x: float, y: float) -> Node:
    """Return the nodes as one element, moved."""
    return element("g", *nodes, transform=f"translate({x:g} {y:g})")


def width_px(label: Label) -> float:
    """Return about how wide a text is at `FONT_PX`: Chinese signs are as wide as high, others a little over half."""
    return max(sum(FONT_PX if ord(c) > 0x2E80 else 0.56 * FONT_PX for c in in_language(label, n)) for n in LANGUAGES)


def _written(node: Node | str, language: str | None) -> str:
    if isinstance(node, str):
        return escape(node)
    if node.lang and language is not None and node.lang != language:
        return ""
    attributes = "".join(f' {name}="{_value(value)}"' for name, value in node.attributes.items())
    lang = f' lang="{node.lang}"' if node.lang and language is None else ""
    inside = _tip_title(node.tip, language) + "".join(_written(child, language) for child in node.children)
    return f"<{node.tag}{attributes}{lang}{_tip(node.tip, language)}>{inside}</{node.tag}>"


def _tip(tip: Label, language: str | None) -> str:
    if not tip or language is not None:
        return ""
    return "".join(f' data-{name}="{escape(in_language(tip, name))}"' for name in LANGUAGES)


def _tip_title(tip: Label, language: str | None) -> str:
    """Return the tip as an SVG title, which programs show that open the file alone."""
    return f"<title>{escape(in_language(tip, language))}</title>" if tip and language is not None else ""


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
