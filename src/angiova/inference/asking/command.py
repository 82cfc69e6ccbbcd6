"""`angiova ask` and `angiova chat`: questions in, words, masks and measurements out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from angiova.data.decoding.limits import DecodeLimits
from angiova.errors import AngiovaError, DataError, ExitCode
from angiova.inference.asking import wording
from angiova.inference.asking.chat import Chat, open_chat, open_predictor
from angiova.inference.asking.language import choose_language
from angiova.inference.asking.printing import AnswerPrinter, printable
from angiova.inference.asking.writing import write_reply
from angiova.report.text import in_language

PROMPT = "? "
LEAVING = ("exit", "quit", "/exit", "/quit")


def ask(
    model: Path,
    source: Path,
    question: str,
    *,
    out: Path | None = None,
    language: str | None = None,
    run: str | None = None,
    frame: int | None = None,
    key_frames: int | None = None,
    device: str | None = None,
    threshold: float = 0.5,
    base: Path | None = None,
    limits: DecodeLimits | None = None,
    bright_vessels: bool = False,
) -> ExitCode:
    """Ask one question, print the answer as it comes, and write it where `out` says; see `asking.writing`.

    Args:
        model: run or checkpoint folder.
        source: an image, a DICOM or video file, a folder of frames, or a data set.
        question: in the user's words.
        out: folder to write; None writes nothing.
        language: en or zh; default: that of the question.
        run: name of the run, where the source has several.
        frame: index of a frame of the run that is asked about alone.
        key_frames: most frames of a run that the model sees; default: as it is configured.
        device: where to run; default: the best there is.
        threshold: probability above which a pixel is vessel.
        base: where the base of an adapter lies now; default: where it lay in training.
        limits: what opening a file may cost.
        bright_vessels: whether vessels are brighter than their surroundings; frames are inverted then.

    Raises:
        ConfigError: an option or the question cannot be used.
        ModelError: there is no model, or none that can be asked.
        DataError: the source cannot be read, or OUT holds another answer.
    """
    chosen = choose_language(language, question)
    _check_out(out, source)
    predictor = open_predictor(model, device, threshold, base)
    chat = open_chat(
        predictor, source, run=run, frame=frame, key_frames=key_frames, limits=limits, bright_vessels=bright_vessels
    )
    _ask_once(chat, question, chosen, AnswerPrinter(chosen), out, model)
    return ExitCode.DONE


def chat(
    model: Path,
    source: Path,
    *,
    out: Path | None = None,
    language: str | None = None,
    run: str | None = None,
    frame: int | None = None,
    key_frames: int | None = None,
    device: str | None = None,
    threshold: float = 0.5,
    base: Path | None = None,
    limits: DecodeLimits | None = None,
    bright_vessels: bool = False,
) -> ExitCode:
    """Ask every question that comes on standard input, each with those before it; see `ask` for the arguments.

    OUT gets a folder a question: `001`, `002`, ...

    Returns:
        DONE, or SOME_CASES_FAILED when a question could not be asked; it is named, the others are.
    """
    spoken = choose_language(language, "")
    _check_out(out, source)
    predictor = open_predictor(model, device, threshold, base)
    talk = open_chat(
        predictor, source, run=run, frame=frame, key_frames=key_frames, limits=limits, bright_vessels=bright_vessels
    )
    if sys.stdin.isatty():
        _console().print(in_language(wording.invitation(talk.shown), spoken), soft_wrap=True)
    code = ExitCode.DONE
    for number, question in enumerate(_questions(), start=1):
        chosen = choose_language(language, question)
        folder = None if out is None else out / f"{number:03d}"
        try:
            _ask_once(talk, question, chosen, AnswerPrinter(chosen), folder, model)
        except AngiovaError as error:
            _console(stderr=True).print(f"angiova: {error}", soft_wrap=True)
            code = ExitCode.SOME_CASES_FAILED
    return code


def _ask_once(chat: Chat, question: str, language: str, printer: AnswerPrinter, out: Path | None, model: Path) -> None:
    reply = chat.ask(question, language=language, hand_out=printer.words)
    printer.reply(reply, chat.shown)
    if out is not None:
        write_reply(out, chat, reply, model, language)


def _questions() -> Iterator[str]:
    """Yield the lines of standard input until it ends or one says to leave.

    A person is prompted for them; where they come from a file, each stands above its answer.
    """
    is_person = sys.stdin.isatty()
    while True:
        try:
            line = input(PROMPT if is_person else "").strip()
        except EOFError:
            if is_person:
                _console().print()
            return
        except UnicodeDecodeError:
            raise DataError("letters that are no Unicode", where="standard input", remedy="ask in UTF-8") from None
        if line.casefold() in LEAVING:
            return
        if line:
            if not is_person:
                _console().print(f"{PROMPT}{printable(line)}", soft_wrap=True)
            yield line


def _check_out(out: Path | None, source: Path) -> None:
    """Refuse to mix answers with anything else, before any time is spent."""
    if out is None:
        return
    remedy = "choose another folder for --out"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError("is there already and not empty", where=out, remedy=remedy)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise DataError("lies in the source: its pictures would be frames", where=out, remedy=remedy)


def _console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)
