"""Settings of the process's memory, for a program that briefly reads much and keeps little.

A page of the API can be 30 MB and lives for a tenth of a second. glibc raises, by itself, the size
from which a block is returned to the system at once, up to 32 MB, and keeps an arena for each
thread; both together nearly double the peak and keep it. Elsewhere that part does nothing.
"""

from __future__ import annotations

import ctypes
import gc

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
"""Numbers of glibc's ``mallopt``, from ``malloc.h``."""

LARGE = 4 << 20
"""Bytes: above the pieces in which bodies arrive, below the bodies that matter."""

KEPT = 32 << 20
"""Bytes at the end of the heap that stay, once they were needed."""


def return_large_blocks() -> None:
    """Set it up for this process, where the C library is glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(M_MMAP_THRESHOLD, LARGE)
    mallopt(M_ARENA_MAX, 2)
    # What each family needs anew while it is written need not go back and forth.
    mallopt(M_TRIM_THRESHOLD, KEPT)


def collect_less_often() -> None:
    """Look for cycles of garbage more rarely; to be called when all is imported.

    The values of a listing have no cycles, and there are many of them: looking for some among
    them, and among all that was imported, took a tenth of a large scrape.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
