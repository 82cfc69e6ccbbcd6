"""Telling the C library to keep freed memory, which halves the time of a training step on a CPU."""

from __future__ import annotations

import ctypes
import sys

# Parameters of mallopt(3), from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_TOP_PAD_BYTES = 256 * 1024 * 1024
_INT_MAX = 2**31 - 1


def keep_freed_memory() -> bool:
    """Ask glibc to reuse large blocks instead of returning each to the kernel; return whether it agreed.

    PyTorch frees every large activation after each step; by default glibc gives such blocks back at once, and the
    kernel clears them again page by page on the next step. Measured by `benchmarks/allocator.py`. Elsewhere than on
    glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _INT_MAX), (_M_TOP_PAD, _TOP_PAD_BYTES))
    return all(mallopt(name, value) == 1 for name, value in settings)
