"""The frames of one run on disk, decoded once, for those who need them in another order than they were decoded in."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, overload

import numpy as np

from angiova.data.pixels import GreyImage
from angiova.errors import DataError

BUFFER_BYTES: Final = 2**16


class FrameSpool(Sequence[GreyImage]):
    """Frames of one size in a temporary file without a name, which is gone with the process, however that ends.

    Memory does not grow with their number: each is read from the file when it is asked for. The file lies where
    `tempfile` says (TMPDIR) and takes a byte a pixel.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=BUFFER_BYTES)  # noqa: SIM115  (closed by `close`)
        self._shape_px: tuple[int, int] | None = None
        self._num_frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def append(self, image_HW: GreyImage) -> None:
        """Add a frame behind the others.

        Raises:
            DataError: it has another size than the first, or the disk is full.
        """
        if self._shape_px is None:
            self._shape_px = (image_HW.shape[0], image_HW.shape[1])
        if image_HW.shape != self._shape_px:
            problem = f"frame {self._num_frames} is {image_HW.shape}, the first {self._shape_px}"
            raise DataError(problem, remedy="give frames of one size as one run")
        try:
            self._file.seek(0, 2)
            self._file.write(image_HW.tobytes())
            self._file.flush()
        except OSError as error:
            remedy = "make room there, or set TMPDIR to another folder"
            where = tempfile.gettempdir()
            raise DataError(f"frames cannot be kept ({error.strerror})", where=where, remedy=remedy) from None
        self._num_frames += 1

    @property
    def shape_px(self) -> tuple[int, int]:
        """(height, width) of every frame; (0, 0) before there is one."""
        return self._shape_px or (0, 0)

    def __len__(self) -> int:
        return self._num_frames

    @overload
    def __getitem__(self, index: int) -> GreyImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[GreyImage]: ...
    def __getitem__(self, index: int | slice) -> GreyImage | list[GreyImage]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._num_frames))]
        place = index + self._num_frames if index < 0 else index
        if not 0 <= place < self._num_frames:
            raise IndexError(index)
        height, width = self.shape_px
        self._file.seek(place * height * width)
        return np.frombuffer(self._file.read(height * width), dtype=np.uint8).reshape(height, width)
