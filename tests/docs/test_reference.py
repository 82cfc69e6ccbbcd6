"""The generated pages of docs/reference/ say what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
_SPEC = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
assert _SPEC is not None and _SPEC.loader is not None
make_reference = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(make_reference)
PAGES: dict[str, str] = make_reference.pages()


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(name: str) -> None:
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == PAGES[name], "run python docs/make_reference.py"


def test_every_field_of_a_frame_is_explained() -> None:
    tables = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in PAGES["dataset-format.md"].splitlines()]
    explained = {row[0].strip("`"): row[3] for row in tables if len(row) == 4}
    assert {"frame_id", "patient", "spacing_mm", "angles_deg", "mask", "origin", "counts", "bits"} <= explained.keys()
    assert all(explained.values())
