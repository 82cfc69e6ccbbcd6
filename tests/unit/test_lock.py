"""The lock file satisfies pyproject.toml, and installs from whatever registry pip is set up for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [line for line in (ROOT / "requirements/dev.lock").read_text().splitlines() if line]


def test_lock_holds_every_dependency_in_a_version_that_is_allowed() -> None:
    locked = {name: Version(version) for name, _, version in (line.partition("==") for line in LINES) if version}
    extras = PROJECT["optional-dependencies"]
    (own,) = [wanted for wanted in map(Requirement, extras["dev"]) if wanted.name == "angiova"]
    lists = [PROJECT["dependencies"], extras["dev"], *(extras[name] for name in own.extras)]
    for wanted in [Requirement(line) for lines in lists for line in lines]:
        if wanted.name != "angiova":
            assert locked[canonicalize_name(wanted.name)] in wanted.specifier, wanted


def test_lock_has_names_and_versions_only() -> None:
    for line in LINES:
        assert line.lstrip().startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9.]+(post\d+)?", line), line
