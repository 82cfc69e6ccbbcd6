"""The ``frames`` format: cine runs as folders of single frames, with masks beside them or without.

    SOURCE/p1_run2/images/frame_00007.jpg         --pattern '{patient}_{run}/images/frame_{frame}'
    SOURCE/p1_run2/pseudo_masks/frame_00007.png   optional; masks*, labels*, annotations*, pseudo_masks*

Without a pattern every folder is a run and no patient is known. Where masks may lie is told in `mask_files.pair_up`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from angiova.data.importers.findings import Findings
from angiova.data.importers.mask_files import Pair, pair_up, read_mask
from angiova.data.importers.masks import observers_of, targets_of_pair
from angiova.data.importers.options import ImportOptions
from angiova.data.importers.pattern import Named
from angiova.data.importers.source import Naming, Reading, SourceFrame, frame_id_of, probe_size
from angiova.data.pixels import IMAGE_SUFFIXES


class FrameImporter:
    """Reads cine runs from folders of frames."""

    name = "frames"

    def recognises(self, source: Path) -> bool:
        """Return whether images lie anywhere under `source`."""
        return source.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in source.rglob("*"))

    def read(self, source: Path, options: ImportOptions, findings: Findings) -> Reading:
        """Return the frames run by run, each run in the order of its frame numbers."""
        naming = Naming(source, options, findings)
        runs: dict[str, list[tuple[Pair, Named]]] = defaultdict(list)
        for pair in pair_up(source, findings):
            named = naming.of(pair.image)
            runs[named.run_id(otherwise=_run_of_folder(source, pair.image.parent, named))].append((pair, named))
        return Reading(sum(map(len, runs.values())), _frames(source, runs, options, findings))


def _run_of_folder(source: Path, folder: Path, named: Named) -> str:
    """Return the folder's name as the run's, with the patient's before it: patients may share a folder."""
    parts = [part for part in folder.relative_to(source).parts if part != "images"] or [source.resolve().name]
    return frame_id_of([part for part in (named.patient, named.study) if part is not None] + parts)


def _frames(
    source: Path, runs: dict[str, list[tuple[Pair, Named]]], options: ImportOptions, findings: Findings
) -> Iterator[SourceFrame]:
    observers = observers_of([pair for members in runs.values() for pair, _ in members])
    for run, members in runs.items():
        numbered = sorted(
            ((_number(pair, named), pair, named) for pair, named in members), key=lambda member: member[0]
        )
        numbers = [number for number, _, _ in numbered]
        _report_numbers(run, numbers, findings)
        for number, pair, named in numbered:
            size_px = probe_size(pair.image, findings)
            if size_px is None:
                continue
            yield SourceFrame(
                frame_id=frame_id_of(pair.image.relative_to(source).with_suffix("").parts),
                image=pair.image,
                size_px=size_px,
                run=run,
                # From the number, not from the place in the list: a frame that is missing leaves a gap in time.
                frame=number - numbers[0],
                named=named,
                field_of_view=read_mask(pair.field_of_view, size_px, findings) if pair.field_of_view else None,
                targets=targets_of_pair(pair, size_px, observers, options, findings),
            )


def _number(pair: Pair, named: Named) -> int:
    if named.frame is not None:
        return named.frame
    digits = re.findall(r"[0-9]{1,18}", pair.image.stem)
    return int(digits[-1]) if digits else 0


def _report_numbers(run: str, numbers: list[int], findings: Findings) -> None:
    if len(set(numbers)) < len(numbers):
        message = "several frames of the run have the same number"
        findings.refuse("frame-number-twice", run, message, "let --pattern name the run and the frame")
    elif len(numbers) > 1 and numbers[-1] - numbers[0] >= len(numbers):
        missing = numbers[-1] - numbers[0] + 1 - len(numbers)
        findings.note(
            "frames-missing", run, f"{missing} frame numbers between {numbers[0]} and {numbers[-1]} are not there"
        )
