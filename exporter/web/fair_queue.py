"""Password checks, one at a time, in an order that a flood does not decide."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from exporter.threads import in_thread

MOST_WAITING = 64
MOST_WAITING_OF_A_CLIENT = 2
MEMORY = 60.0
"""Seconds for which it is remembered how often each client has asked."""
MOST_CLIENTS = 10_000
"""That are remembered."""

_IPV6_NETWORK = 64
"""Bits of an IPv6 address that name a network, all of whose addresses one client can have."""


class BusyError(Exception):
    """The check is not made: there are too many of clients that have asked less often."""


class _Waiting(NamedTuple):
    asked: int
    newest_first: int
    client: str
    call: Callable[[], bool]
    result: asyncio.Future[bool]


class FairQueue:
    """Runs the check of the client that has asked least often; for one event loop.

    Of clients that have asked equally often the newest comes first, since the others may be many.
    So a client that asks now and then waits for the check under way and little else, however many
    others ask all the time.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self._asked: Counter[str] = Counter()
        self._forget_at = clock() + MEMORY
        self._waiting: list[_Waiting] = []
        self._worker: asyncio.Task[None] | None = None

    async def run(self, address: str, call: Callable[[], bool]) -> bool:
        """What the call returns, or raises.

        Args:
            address: of the client; empty where it has none.
            call: may block.

        Raises:
            BusyError: others come first.
        """
        client = client_of(address)
        result: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        number = next(self._numbers)
        self._waiting.append(_Waiting(self._count(client), -number, client, call, result))
        self._drop([one for one in self._waiting if one.client == client], MOST_WAITING_OF_A_CLIENT)
        self._drop(self._waiting, MOST_WAITING)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())
        return await result

    def _count(self, client: str) -> int:
        """How often it has asked lately, this time included."""
        now = self._clock()
        if now >= self._forget_at or len(self._asked) >= MOST_CLIENTS:
            self._forget_at = now + MEMORY
            self._asked.clear()
        self._asked[client] += 1
        return self._asked[client]

    def _drop(self, some: list[_Waiting], most: int) -> None:
        if len(some) > most:
            last = max(some)
            self._waiting.remove(last)
            last.result.set_exception(BusyError())

    async def _work(self) -> None:
        while self._waiting:
            first = min(self._waiting)
            self._waiting.remove(first)
            try:
                is_right = await in_thread(first.call, name="password")
            except Exception as problem:  # noqa: BLE001 - raised where the result is awaited
                if not first.result.done():
                    first.result.set_exception(problem)
            else:
                if not first.result.done():
                    first.result.set_result(is_right)
        self._worker = None


def client_of(address: str) -> str:
    """An IPv4 address, or the network of an IPv6 address; anything else as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:  # on a dual-stack socket
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK), strict=False))
