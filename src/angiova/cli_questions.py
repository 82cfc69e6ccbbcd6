"""The verbs that talk: `angiova ask` and `angiova chat`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from angiova.cli_options import Base, BrightVessels
from angiova.errors import ConfigError
from angiova.shipped import SHIPPED_NAME

MODEL_AND_INPUT = (
    "MODEL: run or checkpoint folder; default: nano, which ships with angiova. INPUT: an image, a DICOM or video file, "
    "a folder of frames, or a data set."
)
OutOption = Annotated[
    Path | None, typer.Option(help="Folder to write: masks, pictures, answer.json. Default: nothing is written.")
]
Language = Annotated[
    str | None, typer.Option("--lang", "--language", help="en or zh; default: the language of the question.")
]
Run = Annotated[str | None, typer.Option(help="The run of this name, where INPUT has several.")]
Frame = Annotated[int | None, typer.Option(min=0, help="Ask about this frame of a run alone; frames count from 0.")]
KeyFrames = Annotated[
    int | None,
    typer.Option(min=1, help="Frames of a run that the model sees, at most; default: as the model is configured."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; default: the best there is.")]
Threshold = Annotated[float, typer.Option(min=0, max=1, help="Probability above which a pixel is vessel.")]
DecodeMemory = Annotated[
    int, typer.Option(min=256, help="DICOM and video: memory that opening one file may use, in MiB.")
]
DecodeSeconds = Annotated[
    float, typer.Option(min=1, help="DICOM and video: seconds that one pass over one file may take.")
]


def ask(
    words: Annotated[
        list[str],
        typer.Argument(metavar='[MODEL] INPUT "QUESTION"', help=MODEL_AND_INPUT, show_default=False),
    ],
    lang: Language = None,
    out: OutOption = None,
    run: Run = None,
    frame: Frame = None,
    key_frames: KeyFrames = None,
    device: Device = None,
    threshold: Threshold = 0.5,
    decode_memory: DecodeMemory = 1024,
    decode_seconds: DecodeSeconds = 120.0,
    base: Base = None,
    bright_vessels: BrightVessels = False,
) -> None:
    """Ask a question about a frame or a run: words, masks, and each fact beside the one measured on the masks."""
    model, source = _model_and_input(words[:-1])
    from angiova.data.decoding.limits import DecodeLimits
    from angiova.inference.asking.command import ask as run_ask

    code = run_ask(
        model,
        source,
        words[-1],
        out=out,
        language=lang,
        run=run,
        frame=frame,
        key_frames=key_frames,
        device=device,
        threshold=threshold,
        base=base,
        limits=DecodeLimits(memory_mib=decode_memory, seconds=decode_seconds),
        bright_vessels=bright_vessels,
    )
    raise typer.Exit(code)


def chat(
    places: Annotated[list[Path], typer.Argument(metavar="[MODEL] INPUT", help=MODEL_AND_INPUT, show_default=False)],
    lang: Language = None,
    out: OutOption = None,
    run: Run = None,
    frame: Frame = None,
    key_frames: KeyFrames = None,
    device: Device = None,
    threshold: Threshold = 0.5,
    decode_memory: DecodeMemory = 1024,
    decode_seconds: DecodeSeconds = 120.0,
    base: Base = None,
    bright_vessels: BrightVessels = False,
) -> None:
    """Ask several questions, one a line; the model sees those before. The end of input or `quit` ends it.

    A question that cannot be asked is named, the others are; the exit code is then 3.
    """
    model, source = _model_and_input(places)
    from angiova.data.decoding.limits import DecodeLimits
    from angiova.inference.asking.command import chat as run_chat

    code = run_chat(
        model,
        source,
        out=out,
        language=lang,
        run=run,
        frame=frame,
        key_frames=key_frames,
        device=device,
        threshold=threshold,
        base=base,
        limits=DecodeLimits(memory_mib=decode_memory, seconds=decode_seconds),
        bright_vessels=bright_vessels,
    )
    raise typer.Exit(code)


def _model_and_input(places: Sequence[str | Path]) -> tuple[Path, Path]:
    """Return model and input; without a model it is the shipped one.

    Raises:
        ConfigError: too many or too few places.
    """
    if not 1 <= len(places) <= 2:
        raise ConfigError(f"{len(places)} places given", remedy="give [MODEL] INPUT, and to ask a QUESTION in quotes")
    return Path(places[0] if len(places) == 2 else SHIPPED_NAME), Path(places[-1])
