"""A data set on disk: one columnar manifest, its images and its provenance.

DATASET/
  manifest.parquet   one row a frame (read lazily, column by column)
  dataset.json       where it came from, and when and how it was made; written last
  images/            lossless images, unless the importer was told to reference the originals
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import polars as pl

from angiova.data.pixels import GreyImage, read_grey
from angiova.data.records import FrameRecord, Origin, Photometry, Split, Target, TargetKind
from angiova.data.rle import Rle
from angiova.errors import DataError
from angiova.files import atomic_path, read_json, sha256_file, write_json

FORMAT: Final = "angiova-dataset/1"
MANIFEST_NAME: Final = "manifest.parquet"
DATASET_NAME: Final = "dataset.json"

_TARGET_TYPE: Final = pl.Struct(
    [pl.Field(name, pl.String) for name in ("phrase", "kind", "counts", "origin", "observer", "segment")]
)
_COLUMNS: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "frame_id": pl.String,
    "image": pl.String,
    "height": pl.Int32,
    "width": pl.Int32,
    "source": pl.String,
    "source_sha256": pl.String,
    "run": pl.String,
    "frame": pl.Int32,
    "patient": pl.String,
    "study": pl.String,
    "time_s": pl.Float64,
    "spacing_mm": pl.List(pl.Float64),
    "angles_deg": pl.List(pl.Float64),
    "bits": pl.Int16,
    "channels": pl.Int16,
    "inverted": pl.Boolean,
    "field_of_view": pl.String,
    "split": pl.String,
    "targets": pl.List(_TARGET_TYPE),
}
SCHEMA: Final = pl.Schema(_COLUMNS)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a data set came from.

    Attributes:
        importer: importer or generator that made it, e.g. ``"coco"`` or ``"simulate"``.
        source: the folder or file that was read, or the generator's settings in words.
        options: every option that shaped the result.
        created: date and time in UTC, ISO 8601; None for generated sets, which must not depend on the clock.
        angiova_version: version that wrote it.
        licence: licence of the data, where known.
        frames_are_independent: the user stated that frames without patient ids are independent.
    """

    importer: str
    source: str
    angiova_version: str
    options: Mapping[str, Any] = field(default_factory=dict)
    created: str | None = None
    licence: str | None = None
    frames_are_independent: bool = False


class Manifest:
    """The frames of a data set, read on demand.

    Args:
        folder: the data set's folder.

    Raises:
        DataError: the folder is no data set, or is incomplete.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        description = _read_description(folder)
        self.provenance = Provenance(**description["provenance"])
        self.num_frames = int(description["num_frames"])

    @property
    def path(self) -> Path:
        """The columnar file."""
        return self.folder / MANIFEST_NAME

    def sha256(self) -> str:
        """Return the SHA-256 of the manifest file."""
        return sha256_file(self.path)

    def scan(self) -> pl.LazyFrame:
        """Return the manifest as a lazy frame; only the columns asked for are read.

        Raises:
            DataError: the file is missing, damaged or of another form.
        """
        with self._readable():
            rows = pl.scan_parquet(self.path)
            found = rows.collect_schema()  # a lazy frame alone opens nothing and would fail later, in polars' words
        if found != SCHEMA:
            raise DataError("not a manifest of this version", where=self.path, remedy="import again")
        return rows

    def records(self, split: Split | None = None, batch_rows: int = 1024) -> Iterator[FrameRecord]:
        """Yield the frames in manifest order, optionally of one split, holding `batch_rows` rows at a time."""
        rows = self.scan() if split is None else self.scan().filter(pl.col("split") == split.value)
        batches = rows.collect_batches(chunk_size=batch_rows, maintain_order=True)
        while True:
            with self._readable():
                batch = next(batches, None)
            if batch is None:
                return
            yield from map(_record_of_row, batch.iter_rows(named=True))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"manifest cannot be read ({error})", where=self.path, remedy="import again") from None

    def image_path(self, record: FrameRecord) -> Path:
        """Return where the image of `record` lies; a relative path may not leave the data set's folder."""
        path = Path(record.image)
        if path.is_absolute():
            return path
        if ".." in path.parts:
            raise DataError("image path leaves the data set", where=f"{self.path}: {record.frame_id}")
        return self.folder / path

    def read_image(self, record: FrameRecord) -> GreyImage:
        """Return the image of `record` as 8-bit grey, shape (H, W).

        Raises:
            DataError: it cannot be read, or its size differs from the record's.
        """
        image_HW = read_grey(self.image_path(record))
        if image_HW.shape != (record.height, record.width):
            found, stated = " x ".join(map(str, image_HW.shape)), f"{record.height} x {record.width}"
            raise DataError(
                f"image is {found}, the manifest says {stated}",
                where=self.image_path(record),
                remedy="the image was changed after the import; import again",
            )
        return image_HW


class ManifestWriter:
    """Writes a data set frame by frame with bounded memory; the folder counts only once `finish` has run.

    Args:
        folder: the data set's folder; must not hold a data set already.
        provenance: where the frames come from.
    """

    ROWS_A_PART = 4096

    def __init__(self, folder: Path, provenance: Provenance) -> None:
        if (folder / DATASET_NAME).exists():
            raise DataError("folder already holds a data set", where=folder, remedy="choose another or delete it")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._provenance = folder, provenance
        self._rows: list[dict[str, Any]] = []
        self._parts: list[Path] = []
        self._seen: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exception_type: object, *_: object) -> None:
        if exception_type is None:
            self.finish()
        self._remove_parts()

    def add(self, record: FrameRecord) -> None:
        """Append one frame.

        Raises:
            DataError: its frame_id was already added.
        """
        if record.frame_id in self._seen:
            raise DataError("duplicate frame", where=record.frame_id, remedy="give every frame its own id")
        self._seen.add(record.frame_id)
        self._rows.append(_row_of_record(record))
        if len(self._rows) >= self.ROWS_A_PART:
            self._flush()

    def finish(self) -> Manifest:
        """Join the parts, write the description last, and return the finished manifest."""
        self._flush()
        with atomic_path(self.folder / MANIFEST_NAME) as partial:
            pl.concat([pl.scan_parquet(part) for part in self._parts]).sink_parquet(partial)
        _write_description(self.folder, self._provenance, len(self._seen))
        return Manifest(self.folder)

    def _flush(self) -> None:
        if not self._rows and self._parts:
            return
        part = self.folder / f".part-{len(self._parts):05d}.parquet"
        pl.DataFrame(self._rows, schema=SCHEMA).write_parquet(part)
        self._parts.append(part)
        self._rows = []

    def _remove_parts(self) -> None:
        for part in self._parts:
            part.unlink(missing_ok=True)


def write_dataset(folder: Path, records: Iterable[FrameRecord], provenance: Provenance) -> Manifest:
    """Write `records` as a new data set and return it."""
    with ManifestWriter(folder, provenance) as writer:
        for record in records:
            writer.add(record)
    return Manifest(folder)


def assign_splits(manifest: Manifest, split_of: Mapping[str, Split], frames_are_independent: bool) -> None:
    """Rewrite the manifest with the split of each frame_id; frames not named lose theirs."""
    table = manifest.scan().collect()
    splits = [split_of.get(frame_id) for frame_id in table["frame_id"]]
    column = pl.Series("split", [None if s is None else s.value for s in splits], dtype=pl.String)
    with atomic_path(manifest.path) as partial:
        table.with_columns(column).write_parquet(partial)
    provenance = Provenance(**{**asdict(manifest.provenance), "frames_are_independent": frames_are_independent})
    _write_description(manifest.folder, provenance, manifest.num_frames)


def _write_description(folder: Path, provenance: Provenance, num_frames: int) -> None:
    write_json(
        folder / DATASET_NAME,
        {"format": FORMAT, "num_frames": num_frames, "provenance": asdict(provenance)},
    )


def _read_description(folder: Path) -> dict[str, Any]:
    if not (folder / DATASET_NAME).exists():
        raise DataError(
            "no data set here (dataset.json is missing)",
            where=folder,
            remedy="make one with `angiova import`",
        )
    description: dict[str, Any] = read_json(folder / DATASET_NAME)
    if description.get("format") != FORMAT:
        problem = f"format is {description.get('format')!r}, expected {FORMAT!r}"
        raise DataError(problem, where=folder / DATASET_NAME)
    return description


def _row_of_record(record: FrameRecord) -> dict[str, Any]:
    return {
        "frame_id": record.frame_id,
        "image": record.image,
        "height": record.height,
        "width": record.width,
        "source": record.source,
        "source_sha256": record.source_sha256,
        "run": record.run,
        "frame": record.frame,
        "patient": record.patient,
        "study": record.study,
        "time_s": record.time_s,
        "spacing_mm": None if record.spacing_mm is None else list(record.spacing_mm),
        "angles_deg": None if record.angles_deg is None else list(record.angles_deg),
        "bits": record.photometry.bits,
        "channels": record.photometry.channels,
        "inverted": record.photometry.inverted,
        "field_of_view": None if record.field_of_view is None else record.field_of_view.counts,
        "split": None if record.split is None else record.split.value,
        "targets": [_row_of_target(target) for target in record.targets],
    }


def _row_of_target(target: Target) -> dict[str, str | None]:
    return {
        "phrase": target.phrase,
        "kind": target.kind.value,
        "counts": target.mask.counts,
        "origin": target.origin.value,
        "observer": target.observer,
        "segment": target.segment,
    }


def _record_of_row(row: Mapping[str, Any]) -> FrameRecord:
    height, width = row["height"], row["width"]
    return FrameRecord(
        frame_id=row["frame_id"],
        image=row["image"],
        height=height,
        width=width,
        source=row["source"],
        source_sha256=row["source_sha256"],
        run=row["run"],
        frame=row["frame"],
        patient=row["patient"],
        study=row["study"],
        time_s=row["time_s"],
        spacing_mm=_pair(row["spacing_mm"]),
        angles_deg=_pair(row["angles_deg"]),
        photometry=Photometry(row["bits"], row["channels"], row["inverted"]),
        field_of_view=None if row["field_of_view"] is None else Rle(height, width, row["field_of_view"]),
        targets=tuple(_target_of_row(target, height, width) for target in row["targets"]),
        split=None if row["split"] is None else Split(row["split"]),
    )


def _target_of_row(row: Mapping[str, Any], height: int, width: int) -> Target:
    return Target(
        phrase=row["phrase"],
        kind=TargetKind(row["kind"]),
        mask=Rle(height, width, row["counts"]),
        origin=Origin(row["origin"]),
        observer=row["observer"],
        segment=row["segment"],
    )


def _pair(values: Sequence[float] | None) -> tuple[float, float] | None:
    return None if values is None else (values[0], values[1])
