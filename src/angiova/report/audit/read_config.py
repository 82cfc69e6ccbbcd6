"""Configurations: xtuner's Python files, read as a syntax tree and never executed, and DeepSpeed's JSON."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from angiova.errors import DataError
from angiova.report.audit.claims import Claims, parse_claims
from angiova.report.audit.reading import read_plain_json, read_text

# Names that xtuner's configurations give at the top of the file.
_FIELDS: Final = {
    "batch_size": "micro_batch_per_device",
    "accumulative_counts": "gradient_accumulation_steps",
    "max_epochs": "epochs",
    "lr": "learning_rate",
}
_DEEPSPEED_FIELDS: Final = {
    "train_micro_batch_size_per_gpu": "micro_batch_per_device",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "train_batch_size": "effective_batch",
}


def claims_of_config(path: Path) -> Claims:
    """Return what a Python configuration states, as far as it is written as plain values.

    Raises:
        DataError: the file is too large or is not Python.
    """
    try:
        tree = ast.parse(read_text(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"not a Python configuration ({error})", where=path, remedy="leave the file out") from None
    constants = _constants(tree)
    training = {ours: constants[theirs] for theirs, ours in _FIELDS.items() if theirs in constants}
    repeats = _keyword_values(tree, "repeats") | ({constants["repeats"]} if "repeats" in constants else set())
    if len(repeats) == 1:
        training["repeats"] = repeats.pop()
    return parse_claims({"training": training}, where=path)


def is_deepspeed(path: Path) -> bool:
    """Whether a JSON file is a DeepSpeed configuration."""
    values = read_plain_json(path)
    return isinstance(values, Mapping) and any(name in values for name in ("zero_optimization", *_DEEPSPEED_FIELDS))


def claims_of_deepspeed(path: Path) -> Claims:
    """Return what a DeepSpeed configuration states; "auto" states nothing.

    Raises:
        DataError: the file is too large, is not JSON, or holds values that cannot be.
    """
    values = read_plain_json(path)
    training: dict[str, Any] = {
        ours: values[theirs] for theirs, ours in _DEEPSPEED_FIELDS.items() if values.get(theirs, "auto") != "auto"
    }
    zero = values.get("zero_optimization")
    if isinstance(zero, Mapping) and isinstance(zero.get("stage"), int):
        training["strategy"] = f"deepspeed_zero{zero['stage']}"
    return parse_claims({"training": training}, where=path)


def _constants(tree: ast.Module) -> dict[str, float]:
    """Return the numbers assigned to names at the top level."""
    found: dict[str, float] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            value = node.value.value
            if isinstance(value, int | float) and not isinstance(value, bool):
                found |= {target.id: value for target in node.targets if isinstance(target, ast.Name)}
    return found


def _keyword_values(tree: ast.Module, name: str) -> set[float]:
    """Return the numbers given as keyword `name` in any call, such as ``dict(type=..., repeats=10)``."""
    keywords = (k for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords if k.arg == name)
    values = (k.value.value for k in keywords if isinstance(k.value, ast.Constant))
    return {value for value in values if isinstance(value, int | float) and not isinstance(value, bool)}
