"""Queue of password checks, one at a time, fair between clients."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from exporter.threads import in_thread

MAX_WAITING = 64
MAX_WAITING_OF_A_CLIENT = 2
MEMORY = 60.0
"""Seconds after which the counts of requests per client are reset."""
MAX_CLIENTS = 10_000
"""Maximum clients that are counted."""
WRONG_PASSWORD = 1000
"""How many requests a wrong password counts as."""

_IPV6_NETWORK = 64
"""Prefix length of an IPv6 network, all of whose addresses one client may have."""


class BusyError(Exception):
    """The check is rejected: too many are ahead of it."""


class _Waiting(NamedTuple):
    number: int
    client: str
    call: Callable[[], bool]
    result: asyncio.Future[bool]

    def end(self, outcome: bool | Exception) -> None:
        """Deliver the result, if it is still awaited."""
        if self.result.done():
            return
        if isinstance(outcome, Exception):
            self.result.set_exception(outcome)
        else:
            self.result.set_result(outcome)


class FairQueue:
    """Checks passwords, clients with the fewest requests first; for one event loop.

    Requests are counted when the next check is chosen: a client that floods falls behind with all
    its queued checks, and one that sent a wrong password falls far behind. A correct password
    resets the count. Among equal clients the newest is first, since there may be many older ones.

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

    async def run(self, address: str, check: Callable[[], bool]) -> bool:
        """The result of the check, or its exception.

        Args:
            address: of the client; empty if it has none.
            check: checks a password; may block.

        Raises:
            BusyError: too many checks are ahead.
        """
        client = client_of(address)
        self._count(client)
        if sum(one.client == client for one in self._waiting) >= MAX_WAITING_OF_A_CLIENT:
            raise BusyError
        result: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(next(self._numbers), client, check, result))
        if len(self._waiting) > MAX_WAITING:
            self._take(max).end(BusyError())
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())
        return await result

    def _count(self, client: str) -> None:
        now = self._clock()
        if now >= self._forget_at or len(self._asked) >= MAX_CLIENTS:
            self._forget_at = now + MEMORY
            self._asked.clear()
        self._asked[client] += 1

    def _take(self, choose: Callable[..., _Waiting]) -> _Waiting:
        """Remove and return the first or the last one in the queue."""
        one = choose(self._waiting, key=lambda one: (self._asked[one.client], -one.number))
        self._waiting.remove(one)
        return one

    async def _work(self) -> None:
        while self._waiting:
            first = self._take(min)
            outcome: bool | Exception
            try:
                # No daemon: bcrypt is written in Rust, which aborts the process where Python ends
                # a thread under it.
                outcome = await in_thread(first.call, name="password", daemon=False)
            except Exception as problem:  # noqa: BLE001 - raised where the result is awaited
                outcome = problem
            if outcome is True:
                del self._asked[first.client]
            elif outcome is False:
                self._asked[first.client] += WRONG_PASSWORD
            first.end(outcome)
        self._worker = None


def client_of(address: str) -> str:
    """An IPv4 address, or the network of an IPv6 address; anything else unchanged."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:  # on a dual-stack socket
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK), strict=False))
