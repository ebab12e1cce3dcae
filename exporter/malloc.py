"""Allocator settings for a program that briefly reads much and keeps little.

A page of the API can be 30 MB and lives for a tenth of a second. glibc raises, by itself, the size
from which a block is returned to the system at once, up to 32 MB, and keeps an arena for each
thread; both together nearly double the peak and keep it. Elsewhere that part does nothing.
"""

from __future__ import annotations

M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
"""Numbers of glibc's ``mallopt``, from ``malloc.h``."""

LARGE = 4 << 20
"""Bytes: above the pieces in which bodies arrive, below the bodies that matter."""


def return_large_blocks() -> None:
    """Set it up for this process, where the C library is glibc."""
    try:
        import ctypes  # noqa: PLC0415 - some builds of Python lack it

        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, ImportError, OSError):
        return
    mallopt(M_MMAP_THRESHOLD, LARGE)
    mallopt(M_ARENA_MAX, 2)
