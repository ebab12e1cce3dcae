"""Reloading when the configuration file has changed, as Kubernetes changes a mounted one."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

from exporter.settings.read_file import UnreadableError, read
from exporter.threads import in_thread

LARGEST = 1 << 20
"""Bytes: as much as a configuration file may have."""


async def reload_on_change(
    file: str, interval: float, reload: Callable[[], Awaitable[object]]
) -> None:
    """Reload whenever the file holds something else than before; never returns.

    A file that cannot be read, or used, is a change too: the reload says so, once.

    Args:
        file: links are followed at each check.
        interval: seconds from one check to the next.
        reload: as for SIGHUP.
    """
    seen = await in_thread(partial(_digest, file))
    while True:
        await asyncio.sleep(interval)
        found = await in_thread(partial(_digest, file))
        if found != seen:
            seen = found
            await reload()


def _digest(file: str) -> bytes:
    try:
        return hashlib.sha256(read(file, LARGEST)).digest()
    except UnreadableError:
        return b""
