"""The ``dicom`` format: XA and RF files, one or a folder of them under any name, or a DICOMDIR.

A multi-frame file is a run. Single-frame files of one series, acquisition and size are the frames of one run, in the
order of their instance numbers.

Identity stays behind: patient, study and run get names under the user's key, and nothing else of the header is let
through but what `angiova.data.decoding.facts` lists. The files are opened in a process of their own, with limits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from angiova.data.decoding.decoder import Decoder
from angiova.data.decoding.facts import DicomFacts
from angiova.data.importers.burned_in import Box, blank, find_text, report_text
from angiova.data.importers.dicom_files import image_files, is_source
from angiova.data.importers.findings import Findings
from angiova.data.importers.options import ImportOptions
from angiova.data.importers.pattern import Named
from angiova.data.importers.pseudonyms import Pseudonyms, default_key_path, load_key
from angiova.data.importers.source import Decoded, Reading, SourceFrame
from angiova.data.pixels import GreyImage
from angiova.data.records import Photometry
from angiova.errors import ConfigError, DataError
from angiova.files import sha256_file

LEAVE_OUT: Final = "leave the file out"
FULL_RANGE: Final = (0.0, 255.0)
NOTES: Final = {
    "spacing-of-detector-only": "pixel spacing at the detector is known, in the plane of the vessels it is not",
    "positioner-moves": "the positioner moves during the run; its angles were left out",
    "frame-time-vector-unusable": "the Frame Time Vector does not fit the frames",
}


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file and what its header says."""

    path: Path
    facts: DicomFacts


class DicomImporter:
    """Reads X-ray angiograms as they leave the machine."""

    name = "dicom"

    def recognises(self, source: Path) -> bool:
        """Return whether `source` is, holds or lists DICOM files."""
        return is_source(source)

    def read(self, source: Path, options: ImportOptions, findings: Findings) -> Reading:
        """Return the frames run by run."""
        _check_options(options)
        pseudonyms = Pseudonyms(load_key(options.key or default_key_path()))
        decoder = Decoder(options.limits)  # closed by `_frames`, which goes on with it
        paths = image_files(source, decoder, findings)
        runs = runs_of(_opened(paths, decoder, findings))
        num_frames = sum(file.facts.num_frames for files in runs for file in files)
        frames = _frames(runs, decoder, pseudonyms, options, findings)
        return Reading(num_frames, frames, hide=lambda where: pseudonyms.of("file", where))


def _check_options(options: ImportOptions) -> None:
    if options.reference:
        raise ConfigError("cannot refer to frames inside files", where="--reference", remedy="leave it out")
    if options.pattern:
        remedy = "leave it out: the header says patient and run"
        raise ConfigError("names of DICOM files are not read", where="--pattern", remedy=remedy)


def _opened(paths: list[Path], decoder: Decoder, findings: Findings) -> Iterator[ImageFile]:
    path_of_instance: dict[str, Path] = {}
    for path in paths:
        try:
            facts = facts_of(path, decoder)
        except DataError as error:
            _unreadable(path, error, findings)
            continue
        if path_of_instance.setdefault(facts.instance, path) != path:
            message = "is there twice: another file has the same SOP Instance UID"
            findings.repair("dicom-instance-twice", path, message, LEAVE_OUT, "remove one")
            continue
        for note in facts.notes:
            findings.note(note, path, NOTES[note])
        if facts.says_burned_in:
            message = "the header says that identity is burned into the pixels"
            findings.warn("burned-in-declared", path, message, "look at the contact sheet before passing it on")
        yield ImageFile(path, facts)


def facts_of(path: Path, decoder: Decoder) -> DicomFacts:
    """Return what the header of a file says.

    Raises:
        DataError: the file cannot be used.
    """
    return DicomFacts.from_json(_without_size(decoder.one("dicom-facts", path).fields))


def _without_size(fields: object) -> dict[str, object]:
    assert isinstance(fields, dict)
    return {name: value for name, value in fields.items() if name != "num_bytes"}


def _unreadable(path: Path, error: DataError, findings: Findings) -> None:
    findings.repair("dicom-unreadable", path, error.problem, LEAVE_OUT, error.remedy or "")


def runs_of(files: Iterable[ImageFile]) -> list[list[ImageFile]]:
    """Return the files of every run, in order."""
    runs: dict[tuple[object, ...], list[ImageFile]] = defaultdict(list)
    for file in files:
        facts = file.facts
        alone = facts.num_frames > 1 or facts.series is None
        key = (facts.instance,) if alone else (facts.series, facts.acquisition, facts.height, facts.width)
        runs[key].append(file)
    return [sorted(run, key=lambda file: (file.facts.number or 0, file.facts.instance)) for run in runs.values()]


def _frames(
    runs: list[list[ImageFile]],
    decoder: Decoder,
    pseudonyms: Pseudonyms,
    options: ImportOptions,
    findings: Findings,
) -> Iterator[SourceFrame]:
    with decoder:
        for run in runs:
            yield from _frames_of_run(run, decoder, pseudonyms, options, findings)


def _frames_of_run(
    run: list[ImageFile], decoder: Decoder, pseudonyms: Pseudonyms, options: ImportOptions, findings: Findings
) -> Iterator[SourceFrame]:
    value_range = value_range_of(run, decoder)
    boxes, readable = _look_for_text(run, value_range, decoder, options, findings)
    run_name = pseudonyms.of("run", run[0].facts.instance)
    for start, file in zip(_starts(readable), readable, strict=True):
        named = _named(file.facts, pseudonyms)
        source, digest = pseudonyms.of("file", str(file.path)), sha256_file(file.path)
        try:
            for index, grey_HW in shown_frames(file, value_range, decoder):
                shown_HW = blank(grey_HW, boxes) if boxes else grey_HW
                yield SourceFrame(
                    frame_id=f"{run_name}-{start + index:05d}",
                    image=file.path,
                    size_px=(file.facts.height, file.facts.width),
                    run=run_name,
                    frame=start + index,
                    named=named,
                    decoded=_decoded(file.facts, index, shown_HW, source, digest, options),
                )
        except DataError as error:  # it could be decoded a moment ago: not a matter of leaving it out
            findings.refuse("dicom-unreadable", file.path, error.problem, error.remedy or "")


def _named(facts: DicomFacts, pseudonyms: Pseudonyms) -> Named:
    return Named(
        patient=None if facts.patient is None else pseudonyms.of("patient", facts.patient),
        study=None if facts.study is None else pseudonyms.of("study", facts.study),
    )


def _starts(run: list[ImageFile]) -> list[int]:
    """Return the index in the run of the first frame of each file; missing instance numbers leave gaps."""
    numbers = [file.facts.number for file in run]
    known = [number for number in numbers if number is not None]
    if len(set(known)) == len(run) and len(run) > 1:
        return [number - known[0] for number in known]
    return list(range(len(run)))


def _decoded(
    facts: DicomFacts, index: int, grey_HW: GreyImage, source: str, digest: str, options: ImportOptions
) -> Decoded:
    return Decoded(
        pixels=options.with_dark_vessels(grey_HW),
        source=source,
        source_sha256=digest,
        photometry=Photometry(facts.bits, facts.channels, facts.inverted or options.bright_vessels),
        time_s=None if facts.times_s is None else facts.times_s[index],
        spacing_mm=facts.spacing_mm,
        angles_deg=facts.angles_deg,
    )


def value_range_of(run: Sequence[ImageFile], decoder: Decoder) -> tuple[float, float]:
    """Return black and white for a run without a window: one range for all frames, so that none of them flickers."""
    ranges = []
    for file in run:
        if file.facts.needs_range:
            try:
                fields = decoder.one("dicom-range", file.path).fields
            except DataError:
                continue  # told by the next pass, which every file has
            ranges.append((float(fields["low"]), float(fields["high"])))
    return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else FULL_RANGE


def _look_for_text(
    run: list[ImageFile],
    value_range: tuple[float, float],
    decoder: Decoder,
    options: ImportOptions,
    findings: Findings,
) -> tuple[tuple[Box, ...], list[ImageFile]]:
    """Decode every frame once; return the boxes to blank and the files that could be decoded."""
    darkest: GreyImage | None = None
    brightest: GreyImage | None = None
    readable = []
    for file in run:
        shape_px = (2, file.facts.height, file.facts.width)
        try:
            payload = decoder.one("dicom-extremes", file.path, range=value_range).payload
            low_HW, high_HW = _image(payload, shape_px)
        except DataError as error:
            _unreadable(file.path, error, findings)
            continue
        darkest = low_HW if darkest is None else np.minimum(darkest, low_HW)
        brightest = high_HW if brightest is None else np.maximum(brightest, high_HW)
        readable.append(file)
    if darkest is None or brightest is None:
        return (), []
    boxes = find_text(darkest, brightest, sum(file.facts.num_frames for file in readable))
    if boxes:
        report_text(readable[0].path, boxes, options, findings)
    return (boxes if options.mask_burned_in else ()), readable


def shown_frames(
    file: ImageFile, value_range: tuple[float, float], decoder: Decoder
) -> Iterator[tuple[int, GreyImage]]:
    """Yield index and 8-bit grey values (H, W) of each frame of a file.

    Raises:
        DataError: the file cannot be decoded, or holds other frames than its header says.
    """
    shape_px = (file.facts.height, file.facts.width)
    num_frames = 0
    for message in decoder.ask("dicom-frames", file.path, range=value_range):
        yield num_frames, _image(message.payload, shape_px)
        num_frames += 1
    if num_frames != file.facts.num_frames:
        raise DataError("changed while it was read", remedy="import again")


def _image(payload: bytes, shape_px: tuple[int, ...]) -> GreyImage:
    if len(payload) != int(np.prod(shape_px)):
        raise DataError("made its decoder answer nonsense", remedy=LEAVE_OUT)
    return np.frombuffer(payload, dtype=np.uint8).reshape(shape_px)
