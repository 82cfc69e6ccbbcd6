"""What every importer yields, and how all of them treat paths, JSON and image headers of a source."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any, Final, Protocol, TypeVar

from angiova.data.importers.findings import Findings
from angiova.data.importers.options import ImportOptions
from angiova.data.importers.pattern import SUMMARY, Named, PathPattern
from angiova.data.pixels import IMAGE_SUFFIXES, GreyImage, open_image
from angiova.data.records import Photometry, Split, Target
from angiova.data.rle import Rle
from angiova.errors import DataError
from angiova.files import read_json

MAX_JSON_BYTES: Final = 2 * 1024**3
MAX_ID_LENGTH: Final = 120
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A frame out of a file that holds a whole run, and what that file says of it.

    Attributes:
        pixels: the frame as 8-bit grey, (H, W).
        source: what the manifest calls the file.
        source_sha256: SHA-256 of the file.
        photometry: facts about the grey values in the file.
        time_s: seconds from the start of the run, where known.
        spacing_mm: (row, column) spacing in the plane of the vessel, where known.
        angles_deg: (primary, secondary) positioner angles, where known.
    """

    pixels: GreyImage
    source: str
    source_sha256: str
    photometry: Photometry
    time_s: float | None = None
    spacing_mm: tuple[float, float] | None = None
    angles_deg: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One frame as an importer found it; the pixels are still where they lie, unless they came with it.

    Attributes:
        frame_id: unique in the source, and safe as a file name.
        image: the image file.
        size_px: (height, width) that its header claims.
        run: frames of one cine share it.
        frame: index of the frame in its run, from 0.
        named: what the path says of patient and study.
        split: the part that the publisher put it in.
        field_of_view: where the image is valid.
        targets: the labelled objects.
        decoded: the pixels, and what else is known, of a frame that is no image file of its own.
    """

    frame_id: str
    image: Path
    size_px: tuple[int, int]
    run: str
    frame: int = 0
    named: Named = field(default_factory=Named)
    split: Split | None = None
    field_of_view: Rle | None = None
    targets: tuple[Target, ...] = ()
    decoded: Decoded | None = None


def _as_it_is(where: str) -> str:
    return where


@dataclass(frozen=True, slots=True)
class Reading:
    """A source being read.

    Attributes:
        num_frames: how many frames it lists.
        frames: the frames, one by one.
        hide: what the data set calls a file or folder of the source, where their names may identify a patient.
    """

    num_frames: int
    frames: Iterable[SourceFrame]
    hide: Callable[[str], str] = _as_it_is


class Importer(Protocol):
    """One source format."""

    @property
    def name(self) -> str:
        """What `--format` calls it."""

    def recognises(self, source: Path) -> bool:
        """Return whether `source` looks like this format, without reading much of it."""

    def read(self, source: Path, options: ImportOptions, findings: Findings) -> Reading:
        """Return the frames of `source`; problems go to `findings`, and the reading goes on."""


class Naming:
    """Reads patient, run and frame from image paths by the user's pattern.

    Args:
        root: the folder that the pattern starts from.
        options: holds the pattern, if any.
        findings: told of every path that doesn't fit.
    """

    def __init__(self, root: Path, options: ImportOptions, findings: Findings) -> None:
        self._root, self._findings = root, findings
        self._pattern = PathPattern(options.pattern) if options.pattern else None

    def of(self, path: Path) -> Named:
        """Return what `path` says; nothing where there is no pattern or the path doesn't fit."""
        if self._pattern is None:
            return Named()
        relative = path.relative_to(self._root)
        named = self._pattern.match(relative)
        if named is None:
            message = f"{relative.with_suffix('').as_posix()!r} does not fit --pattern {self._pattern.text!r}"
            self._findings.refuse("pattern-mismatch", path, message, SUMMARY)
        return named or Named()


def confined(root: Path, name: str, folder: Path | None = None) -> Path:
    """Return the file `name` in `folder`, which lies under `root` and is `root` itself where not given.

    Raises:
        DataError: `name` is absolute, climbs with ``..``, or leads out of `root` through a link.
    """
    # Read as a Windows path too: the file may have been written there, and backslashes climb when it goes back.
    windows = PureWindowsPath(name)
    if PurePath(name).is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise DataError(f"path {name!r} leaves the source folder", remedy="use paths relative to the image folder")
    path = (folder or root) / name
    try:
        inside = path.resolve().is_relative_to(root.resolve())
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError, RuntimeError):  # too long, not text, or links in a circle (RuntimeError before 3.13)
        raise DataError(f"{_shortened(name)!r} is no usable path", remedy="rename the file") from None
    if not inside:
        raise DataError(f"{name!r} is a link out of the source folder", remedy="put the file itself there")
    return path


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_ID_LENGTH else f"{text[:MAX_ID_LENGTH]}..."


def read_limited_json(path: Path) -> Any:  # noqa: ANN401  (anything JSON can hold)
    """Return the content of a JSON file after checking its size.

    Raises:
        DataError: the file is larger than 2 GB, missing, or is not JSON.
    """
    if path.is_file() and path.stat().st_size > MAX_JSON_BYTES:
        raise DataError(f"{path.stat().st_size} bytes, the limit is {MAX_JSON_BYTES}", where=path, remedy="split it")
    return read_json(path)


def typed(entry: object, key: str, kind: type[Value]) -> Value:
    """Return ``entry[key]``, which must be of type `kind`.

    Raises:
        DataError: `entry` is no mapping, has no `key`, or holds something else there.
    """
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        found = f"{type(entry).__name__} entry" if not isinstance(entry, Mapping) else f"{type(value).__name__}"
        raise DataError(f"field {key!r} should be a {kind.__name__}, found {found}")
    return value


def words(entry: object, key: str) -> str:
    """Return the text ``entry[key]`` without white space around it.

    Raises:
        DataError: it is no text, is empty, or cannot be written as UTF-8.
    """
    text = typed(entry, key, str).strip()
    if not text or not is_writable(text):
        raise DataError(f"field {key!r} is empty or no proper text")
    return text


def is_writable(text: str) -> bool:
    """Return whether UTF-8 can hold `text`: JSON can name half a surrogate pair, and no file can."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def note_unlisted(folder: Path, listed: Collection[Path], findings: Findings) -> None:
    """Note how many images lie under `folder` that no entry of the source lists."""
    images = [path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES] if folder.is_dir() else []
    unlisted = sorted(set(images).difference(listed))
    if unlisted:
        message = f"{len(unlisted)} images that the JSON does not list were left out, e.g. {unlisted[0].name}"
        findings.note("image-not-listed", folder, message)


def probe_size(path: Path, findings: Findings) -> tuple[int, int] | None:
    """Return the (height, width) that the header of an image claims; None, and a finding, where there is no image."""
    if not path.is_file():
        findings.repair("image-missing", path, "image not found", "leave the frame out", "put it there")
        return None
    try:
        with open_image(path) as image:
            return image.height, image.width
    except DataError as error:
        unreadable(path, error, findings)
        return None


def unreadable(path: Path, error: DataError, findings: Findings) -> None:
    """Record an image that cannot be decoded."""
    findings.repair("image-unreadable", path, error.problem, "leave the frame out", error.remedy or "")


def image_files(root: Path, findings: Findings) -> list[Path]:
    """Return the images under `root` in natural order; a link that leads out of it is a finding."""
    images = [path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."]
    return [path for path in sorted(images, key=natural_key) if stays_inside(path, root, findings)]


def stays_inside(path: Path, root: Path, findings: Findings) -> bool:
    """Return whether `path` stays under `root`; a link that leads out of it is a finding."""
    try:
        confined(root, path.relative_to(root).as_posix())
    except DataError as error:
        findings.refuse("path-escapes", path, error.problem, error.remedy or "")
        return False
    return True


def natural_key(path: PurePath) -> list[tuple[int, int, str]]:
    """Return a sorting key under which ``frame_10`` follows ``frame_9``."""
    parts = re.split(r"([0-9]+)", path.as_posix())
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts]


def frame_id_of(parts: Sequence[str]) -> str:
    """Join folder names and a file's stem into an id that is safe as a file name; folders ``images`` are left out."""
    joined = "-".join([*(part for part in parts[:-1] if part != "images"), *parts[-1:]])
    safe = re.sub(r"[^\w.-]+", "_", joined).lstrip(".") or "frame"
    if len(safe) <= MAX_ID_LENGTH:
        return safe
    return f"{safe[: MAX_ID_LENGTH - 13]}-{sha256(joined.encode()).hexdigest()[:12]}"


def split_of_name(name: str) -> Split | None:
    """Return the split that a folder or file name such as ``val`` or ``instances_train2017`` states."""
    found = re.search(r"(?:^|[_-])(train|val|test)(?:ing|id|idation)?[0-9]*$", name.lower())
    return Split(found[1]) if found else None
