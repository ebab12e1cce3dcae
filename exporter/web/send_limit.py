"""The limit of memory for responses that are being sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from exporter.logs import event
from exporter.web.responses import PIECE

LOGGER = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024 * 1024
"""Metrics are kept compressed, at about a twelfth of their size."""


class SendLimit:
    """Responses being sent; for one event loop.

    When their total is too large, the oldest are aborted: their readers have had the most time.
    """

    def __init__(self, most_bytes: int = MAX_BYTES) -> None:
        self._most = most_bytes
        self._sizes: dict[asyncio.Task[None], int] = {}
        self._total = 0

    async def send(self, sending: Coroutine[Any, Any, None], size: int) -> None:
        """Wait for ``sending``, which holds this many bytes; returns early if it is aborted."""
        if size <= PIECE:  # no more than its connection's buffers
            await sending
            return
        task = asyncio.create_task(sending)
        self._sizes[task] = size
        self._total += size
        self._make_room()
        try:
            await task
        except asyncio.CancelledError:
            if task in self._sizes:  # the caller was cancelled, not the response aborted
                raise
            event(
                LOGGER,
                logging.WARNING,
                "closed a slow client connection, pending responses use too much memory",
            )
        finally:
            self._forget(task)

    def _make_room(self) -> None:
        while self._total > self._most and len(self._sizes) > 1:
            oldest = next(iter(self._sizes))
            self._forget(oldest)
            oldest.cancel()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._total -= self._sizes.pop(task, 0)
