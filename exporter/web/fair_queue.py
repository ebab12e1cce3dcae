"""Calls that keep a processor busy, one at a time, in an order that a flood does not decide."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from exporter.threads import in_thread

T = TypeVar("T")

MOST_WAITING = 64
MOST_WAITING_OF_A_CLIENT = 2
MEMORY = 60.0
"""Seconds for which it is remembered how often a client has asked."""

_IPV6_SITE = 64
"""Bits of an address that one client has for itself."""


class BusyError(Exception):
    """The call is not made: there are too many of clients that ask less often."""


class _Waiting(NamedTuple, Generic[T]):
    rank: tuple[int, int]
    client: str
    call: Callable[[], T]
    result: asyncio.Future[T]


class FairQueue(Generic[T]):
    """Makes the call of the client that has asked least often; for one event loop.

    Of clients that have asked as often the latest is first: who floods has come before. So a
    client that asks now and then waits for the call that is being made and little else, whatever
    many others send at the same time.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self._asked: Counter[str] = Counter()
        self._forget_at = clock() + MEMORY
        self._waiting: list[_Waiting[T]] = []
        self._worker: asyncio.Task[None] | None = None

    async def run(self, address: str, call: Callable[[], T]) -> T:
        """What the call returns, or raises.

        Args:
            address: of the client; empty where it has none.
            call: may block.

        Raises:
            BusyError: others come first.
        """
        client = site_of(address)
        rank = (self._count(client), -next(self._numbers))
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(rank, client, call, result))
        self._drop([one for one in self._waiting if one.client == client], MOST_WAITING_OF_A_CLIENT)
        self._drop(self._waiting, MOST_WAITING)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await result

    def _count(self, client: str) -> int:
        """How often it has asked lately, this time included."""
        if self._clock() >= self._forget_at:
            self._forget_at = self._clock() + MEMORY
            self._asked.clear()
        self._asked[client] += 1
        return self._asked[client]

    def _drop(self, some: list[_Waiting[T]], most: int) -> None:
        if len(some) <= most:
            return
        last = max(some)
        self._waiting.remove(last)
        last.result.set_exception(BusyError())

    async def _work(self) -> None:
        while self._waiting:
            first = min(self._waiting)
            self._waiting.remove(first)
            try:
                first.result.set_result(await in_thread(first.call))
            except Exception as problem:  # noqa: BLE001 - it is told to whoever waits
                first.result.set_exception(problem)
        self._worker = None


def site_of(address: str) -> str:
    """What one client can have of addresses: one of IPv4, and very many of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:  # on a socket for both kinds
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_SITE), strict=False))
