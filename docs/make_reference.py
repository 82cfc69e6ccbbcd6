"""Write the pages of docs/reference/ that follow from the code: `python docs/make_reference.py`."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import typer.main
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from angiova import run_record
from angiova.baselines.settings import FrangiSettings, NetworkSettings, NnunetSettings
from angiova.cli import app
from angiova.data import manifest, records
from angiova.data.rle import Rle
from angiova.errors import ExitCode
from angiova.evaluation import scores
from angiova.evaluation.metrics import ALL_METRICS, RULES
from angiova.files import write_text
from angiova.training.config import Recipe

REFERENCE = Path(__file__).parent / "reference"
NOTICE = "<!-- Written by docs/make_reference.py from the code; change it there. -->"
EXIT_CODES = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed, or stopped; one line on stderr says why and what to do",
    ExitCode.USAGE: "wrong command line or recipe",
    ExitCode.SOME_CASES_FAILED: "done, but some images or runs failed, or `audit` has findings; they are listed",
}


def pages() -> dict[str, str]:
    """Return the generated pages by file name."""
    return {
        "cli.md": cli_page(),
        "dataset-format.md": dataset_page(),
        "metrics.md": metrics_page(),
        "recipe.md": recipe_page(),
        "run-format.md": run_page(),
    }


def cli_page() -> str:
    """Return the page about the command line."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parts = [
        "# The command line",
        NOTICE,
        "One verb does one thing. `angiova VERB --help` says the same as this page.",
        *(_command(name, command) for name, command in commands.items()),
        "## Exit codes",
        _table(("code", "meaning"), [(str(code.value), EXIT_CODES[code]) for code in ExitCode]),
    ]
    return "\n\n".join(parts) + "\n"


def dataset_page() -> str:
    """Return the page about data sets on disk."""
    parts = [
        "# The data set folder",
        NOTICE,
        "Made by `angiova import` and `angiova simulate`; read by every other verb. "
        f"`dataset.json` is written last and names the format, `{manifest.FORMAT}`: "
        "a folder without it is no data set.",
        _layout(manifest),
        "## dataset.json",
        "`format`, `num_frames` and `provenance`, which has these fields:",
        _attributes(manifest.Provenance),
        f"## {manifest.MANIFEST_NAME}",
        "One row a frame, with the types of Polars. Masks are COCO run lengths of the size of the frame.",
        _table(("column", "type"), [(f"`{n}`", f"`{_short(t)}`") for n, t in manifest.SCHEMA.items()]),
        "In Python, `Manifest(folder).records()` gives each row as a `FrameRecord`:",
        *(_class(kind) for kind in (records.FrameRecord, records.Target, Rle, records.Photometry)),
        *(_enum(kind) for kind in (records.TargetKind, records.Origin, records.Split)),
    ]
    return "\n\n".join(parts) + "\n"


def metrics_page() -> str:
    """Return the page about metrics: names, units and definitions, as every evaluation.json holds them."""
    rows = [(f"`{m.name}`", m.unit.value, m.better.value, _sentence(m.definition)) for m in ALL_METRICS]
    parts = [
        "# The metrics",
        NOTICE,
        "Every case (one thing asked on one frame) gets these. A metric that a case cannot have is left out of its "
        "row, never NaN. Sources stand in the docstrings of `angiova.evaluation`.",
        _table(("metric", "unit", "better", "definition"), rows),
        "## Empty masks",
        _empty_masks(),
        "## Rules",
        _table(("rule", "meaning"), [(f"`{name}`", _sentence(text)) for name, text in RULES.items()]),
    ]
    return "\n\n".join(parts) + "\n"


def _empty_masks() -> str:
    """Return the table at the top of `angiova.evaluation.scores` and what is said below it."""
    lines = inspect.cleandoc(scores.__doc__ or "").splitlines()
    return "\n".join(lines[2:])


def run_page() -> str:
    """Return the page about run folders."""
    record, *others = run_record.RunRecord, *_parts()
    parts = [
        "# The run folder",
        NOTICE,
        "Made by `angiova train`; `angiova eval` and `angiova report` add to it.",
        _layout(run_record),
        "A *micro-step* is one forward and backward pass on one device; an *optimizer step* ends an accumulation; "
        "*samples seen* counts samples over all devices.",
        f"## {run_record.RUN_NAME}",
        f"The format is `{run_record.FORMAT}`. Unknown fields are refused.",
        *(_model(kind) for kind in (record, *others)),
    ]
    return "\n\n".join(parts) + "\n"


def recipe_page() -> str:
    """Return the page about recipes: every field with its default."""
    parts = [
        "# The fields of a recipe",
        NOTICE,
        "Names are joined by dots, as `--set` takes them. How to use them: "
        "[Write a recipe](../how-to/write-a-recipe.md).",
        _table(("field", "default", "meaning"), list(_fields(Recipe))),
        "## model.baseline",
        "What to compare with, instead of a preset or a checkpoint; "
        "[how to](../how-to/compare-with-baselines.md). `method` says which:",
        *(_baseline(kind) for kind in (FrangiSettings, NetworkSettings, NnunetSettings)),
    ]
    return "\n\n".join(parts) + "\n"


def _baseline(kind: type[BaseModel]) -> str:
    methods = " or ".join(get_args(kind.model_fields["method"].annotation))
    rows = list(_fields(kind, "model.baseline."))
    return "\n\n".join([f"### {methods}", _summary(kind), _table(("field", "default", "meaning"), rows)])


def _fields(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield name, default and meaning of every field, sections opened."""
    meanings = dict(_meanings(kind))
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{name}.")
            continue
        default = field.get_default(call_default_factory=True)
        shown = "required" if default is PydanticUndefined else f"`{default}`"
        yield f"`{prefix}{name}`", shown, field.description or meanings.get(name, "")


def _command(name: str, command: Any) -> str:  # noqa: ANN401  (typer keeps its classes to itself)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments)
    parts = [
        f"## angiova {name}",
        command.help,
        f"```text\nangiova {name} {'[OPTIONS] ' * bool(options)}{usage}".rstrip(),
    ]
    parts[-1] += "\n```"
    if arguments:
        parts.append(_table(("argument", "default", "meaning"), [_parameter(p.name.upper(), p) for p in arguments]))
    if options:
        rows = [_parameter(", ".join([*p.opts, *p.secondary_opts]), p) for p in options]
        parts.append(_table(("option", "default", "meaning"), rows))
    return "\n\n".join(parts)


def _parameter(name: str, parameter: Any) -> tuple[str, str, str]:  # noqa: ANN401
    default = "required" if parameter.required else "" if parameter.default is None else f"`{parameter.default}`"
    if getattr(parameter, "is_bool_flag", False):
        default = "on" if parameter.default else "off"
    limits = [
        f"{word} {limit}"
        for word, limit in (("at least", parameter.min), ("at most", parameter.max))
        if limit is not None
    ]
    meaning = parameter.help or ""
    if limits and meaning:
        meaning = f"{meaning.rstrip('.')} ({', '.join(limits)})."
    return f"`{name}`", default, meaning


def _layout(module: object) -> str:
    """Return the folder tree that a module's docstring draws."""
    lines = inspect.cleandoc(module.__doc__ or "").splitlines()
    start = next(i for i, line in enumerate(lines) if re.match(r"\s*[A-Z]+/$", line))
    block = []
    for line in lines[start:]:
        if not line.strip():
            break
        block.append(line)
    return "```text\n" + textwrap.dedent("\n".join(block)) + "\n```"


def _class(kind: type) -> str:
    return "\n\n".join([f"### {kind.__name__}", _summary(kind), _attributes(kind)])


def _attributes(kind: type) -> str:
    """Return the fields of a dataclass as a table; what they mean is in its docstring."""
    meaning = dict(_meanings(kind))
    rows = []
    for field in fields(kind):  # type: ignore[arg-type]
        optional = field.default is not MISSING or field.default_factory is not MISSING
        rows.append((f"`{field.name}`", f"`{field.type}`", "" if optional else "yes", meaning.get(field.name, "")))
    return _table(("field", "type", "required", "meaning"), rows)


def _meanings(kind: type) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each line of the section `Attributes` of a docstring."""
    section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    for match in re.finditer(r"^    (\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE):
        yield match[1], _sentence(re.sub(r"\s+", " ", match[2]).replace("``", "`"))


def _model(kind: type[BaseModel]) -> str:
    rows = []
    for name, field in kind.model_fields.items():
        default = "" if field.default is PydanticUndefined else f"`{field.default!r}`"
        rows.append(
            (f"`{name}`", f"`{inspect.get_annotations(kind)[name]}`", "yes" if field.is_required() else "", default)
        )
    table = _table(("field", "type", "required", "default"), rows)
    return "\n\n".join([f"### {kind.__name__}", _summary(kind), table])


def _parts() -> list[type[BaseModel]]:
    """Return the classes that `run.json` is made of, apart from the whole, in the order of the code."""
    found = [kind for kind in vars(run_record).values() if inspect.isclass(kind) and issubclass(kind, BaseModel)]
    return [kind for kind in found if kind.__doc__ and kind.__module__ == run_record.__name__ and _is_named_part(kind)]


def _is_named_part(kind: type[BaseModel]) -> bool:
    return not kind.__name__.startswith("_") and kind is not run_record.RunRecord


def _enum(kind: type[StrEnum]) -> str:
    return "\n\n".join([f"### {kind.__name__}", f"{_summary(kind)} One of: " + ", ".join(f"`{m.value}`" for m in kind)])


def _summary(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:")[0].replace("\n\n", "\n").replace("\n", " ")


def _short(kind: object) -> str:
    """Return a Polars type in few words."""
    text = str(kind).replace("Struct({", "Struct{").replace("})", "}")
    return re.sub(r"'(\w+)': String", r"\1", text)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    for name, text in pages().items():
        write_text(REFERENCE / name, text)
        print(f"wrote {REFERENCE / name}")
