"""Reading untrusted text files: bounded in size, never executed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from angiova.errors import DataError

MAX_TEXT_BYTES: Final = 5_000_000
MAX_LOG_BYTES: Final = 500_000_000
MAX_FILES: Final = 20_000
MOST_NESTED: Final = 100


def list_files(folder: Path) -> list[Path]:
    """Return the plain files below `folder` in order; links are not followed.

    Raises:
        DataError: there are more files than anybody's run has.
    """
    found = []
    for number, path in enumerate(folder.rglob("*")):
        if number >= MAX_FILES:
            raise DataError(f"more than {MAX_FILES:,} files", where=folder, remedy="audit the run's own folder")
        if not path.is_symlink() and path.is_file():
            found.append(path)
    return sorted(found)


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """Return the text of a file of at most `limit` bytes; bytes that are no UTF-8 become replacement characters.

    Raises:
        DataError: it is larger, or cannot be read.
    """
    try:
        num_bytes = path.stat().st_size
        if num_bytes > limit:
            raise DataError(
                f"{num_bytes:,} bytes, more than the {limit:,} that are read",
                where=path,
                remedy="cut out the part to audit",
            )
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path, remedy="check the path") from None


def read_yaml(path: Path) -> Any:  # noqa: ANN401
    """Return the content of a YAML file.

    Raises:
        DataError: it cannot be read, is not YAML, or uses aliases or tags.
    """
    try:
        text = read_text(path)
        # An alias repeats a part: a small file can unfold to any size.
        _check_events(text)
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"not valid YAML ({reason})", where=path, remedy="write plain YAML") from None


def _check_events(text: str) -> None:
    """Refuse aliases, which multiply, and depth, which costs the parser its square."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not accepted")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_NESTED:
            raise yaml.YAMLError(f"nested more than {MOST_NESTED} deep")


def read_plain_json(path: Path) -> Any:  # noqa: ANN401
    """Return the content of a JSON file of bounded size.

    Raises:
        DataError: it cannot be read or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"not valid JSON ({str(error)[:200]})", where=path, remedy="check that it is complete"
        ) from None
