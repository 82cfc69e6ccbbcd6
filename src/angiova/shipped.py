"""The trained model inside the package, which every verb takes where no other is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from angiova.errors import ConfigError, ModelError
from angiova.files import read_json, sha256_file

SHIPPED_NAME: Final = "nano"
SHIPPED_FOLDER: Final = Path(__file__).parent / "weights" / SHIPPED_NAME
HASH_NAME: Final = "shipped.json"
# What makes a folder a model, before it is opened.
MODEL_FILES: Final = ("config.json", "run.json", "adapter.json")


def resolved(model: str | Path) -> Path:
    """Return where a model lies: the shipped one for its name, unless a folder is called so.

    Raises:
        ModelError: the shipped weights are missing or not those that were shipped.
    """
    path = Path(model)
    if str(model) != SHIPPED_NAME or path.exists():
        return path
    weights = SHIPPED_FOLDER / "model.safetensors"
    if not weights.exists():
        raise ModelError("this installation has no weights", where=SHIPPED_FOLDER, remedy="install angiova again")
    if sha256_file(weights) != read_json(SHIPPED_FOLDER / HASH_NAME)["model.safetensors"]:
        raise ModelError("not the weights that were shipped", where=weights, remedy="install angiova again")
    return SHIPPED_FOLDER


def model_and_source(places: Sequence[Path]) -> tuple[Path, Path, Path]:
    """Return model, source and output folder of a command's `[MODEL] SOURCE [OUT]`.

    Without a model it is the shipped one; without an output folder, `SOURCE-angiova` in the working directory. Of two
    places the first is the model if it is one, or if it does not exist and the second does: its name is mistyped.

    Raises:
        ConfigError: too many or too few places.
    """
    named = len(places) == 3 or (len(places) == 2 and _names_a_model(*places))
    model, rest = (places[0], places[1:]) if named else (Path(SHIPPED_NAME), places)
    if not 1 <= len(rest) <= 2:
        raise ConfigError(f"{len(places)} places given", remedy="give [MODEL] SOURCE [OUT]")
    source = rest[0]
    return model, source, rest[1] if len(rest) == 2 else Path(f"{source.resolve().stem}-angiova")


def _names_a_model(first: Path, second: Path) -> bool:
    if str(first) == SHIPPED_NAME or not first.exists():
        return str(first) == SHIPPED_NAME or second.exists()
    return any((first / name).exists() for name in MODEL_FILES)
