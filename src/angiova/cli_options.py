"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Argument(help="Folder to write.", show_default=False)]
Places = Annotated[
    list[Path],
    typer.Argument(
        metavar="[MODEL] SOURCE [OUT]",
        help="MODEL: run or checkpoint folder; default: nano, which ships with angiova. OUT: folder to write; default: "
        "SOURCE-angiova.",
        show_default=False,
    ),
]
Base = Annotated[
    Path | None, typer.Option(help="Where the adapter's base lies now; default: where it lay in training.")
]
BrightVessels = Annotated[
    bool, typer.Option("--bright-vessels", help="Vessels are brighter than their surroundings; invert what is read.")
]
Dataset = Annotated[Path, typer.Argument(help="Data set folder made by `angiova import` or `simulate`.")]
