"""A file that matters is the old one or the new one, never half of either."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from angiova.errors import DataError
from angiova.files import atomic_path, read_json, sha256_bytes, sha256_file, write_json, write_text


def test_failure_keeps_the_old_file_and_leaves_no_partial(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_interruption_before_anything_is_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "run.json"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_block_that_writes_nothing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_text(path, "old")
    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass
    assert path.read_text() == "old"


def test_old_file_stays_readable_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_text(path, "old")
    with atomic_path(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "血管")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "血管".encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_refuses_numbers_that_json_has_not(tmp_path: Path, value: float) -> None:
    path = tmp_path / "scores.json"
    write_json(path, {"dice": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"dice": value})
    assert json.loads(path.read_text()) == {"dice": 0.5}


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b"[" * 200_000])
def test_damaged_json_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"dataset\.json"):
        read_json(path)


def test_missing_json_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.json: file not found"):
        read_json(tmp_path / "dataset.json")


def test_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example "abc"
    assert sha256_file(path) == sha256_bytes(b"abc") == known
