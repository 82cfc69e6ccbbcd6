"""Frames kept on disk come back as they were, in any order, and other sizes are refused."""

from __future__ import annotations

import numpy as np
import pytest

from angiova.data.spool import FrameSpool
from angiova.errors import DataError
from videos import numbered


def test_frames_come_back_in_any_order_while_others_are_added() -> None:
    with FrameSpool() as spool:
        for number in range(6):
            spool.append(numbered(number))
            assert np.array_equal(spool[0], numbered(0))
        assert len(spool) == 6
        assert spool.shape_px == (64, 96)
        for number in (5, 0, 3):
            assert np.array_equal(spool[number], numbered(number))
        assert np.array_equal(spool[-1], numbered(5))
        assert [int(image[40, 90]) for image in spool[1:6:2]] == [41, 43, 45]
        assert len(list(spool)) == 6


def test_places_outside_are_an_index_error() -> None:
    with FrameSpool() as spool:
        spool.append(numbered(1))
        for place in (1, -2):
            with pytest.raises(IndexError):
                spool[place]


def test_another_size_is_refused_and_leaves_the_others() -> None:
    with FrameSpool() as spool:
        spool.append(numbered(1))
        with pytest.raises(DataError, match="frame 1 is"):
            spool.append(numbered(2, (96, 128)))
        assert len(spool) == 1


def test_the_frames_of_a_spool_cannot_be_changed() -> None:
    with FrameSpool() as spool:
        spool.append(numbered(1))
        with pytest.raises(ValueError, match="read-only"):
            spool[0][0, 0] = 1


def test_a_full_disk_is_told() -> None:
    with FrameSpool() as spool:
        spool.append(numbered(1))
        spool._file.close()
        spool._file = open("/dev/full", "r+b", buffering=0)  # noqa: PTH123, SIM115  (refuses every byte)
        with pytest.raises(DataError, match="TMPDIR"):
            spool.append(numbered(2))
