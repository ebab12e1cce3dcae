"""Blocking calls, awaited from the event loop.

A thread per call, and a daemon: one that is stuck where nothing can interrupt it (a name lookup)
neither keeps others waiting, as in a pool of threads, nor holds up the end of the program, as an
executor of the standard library would.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(
    call: Callable[[], T],
    *,
    name: str = "worker",
    interrupt: Callable[[], None] = lambda: None,
    daemon: bool = True,
) -> T:
    """The result of ``call``, which runs in a thread.

    Args:
        call: may block.
        name: of the thread.
        interrupt: called when this is cancelled, to end what ``call`` waits for. The thread is
            not waited for then; whatever it still brings is dropped.
        daemon: False where the end of the program must wait for ``call``.

    Raises:
        Exception: what ``call`` raises.
        RuntimeError: no thread can be started, or ``call`` raised what is no `Exception`.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[list[T], BaseException | None]] = loop.create_future()

    def deliver(results: list[T], problem: BaseException | None) -> None:
        if not outcome.done():
            outcome.set_result((results, problem))

    def work() -> None:
        results: list[T] = []
        problem = None
        try:
            results.append(call())
        except BaseException as raised:  # noqa: BLE001 - carried to whoever waits
            problem = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, results, problem)

    threading.Thread(target=work, name=name, daemon=daemon).start()
    try:
        results, problem = await outcome
    except asyncio.CancelledError:
        interrupt()
        raise
    if problem is None:
        return results[0]
    if isinstance(problem, Exception):
        raise problem
    # Such as SystemExit, which would end the event loop and not this call.
    raise RuntimeError(f"a thread ended with {type(problem).__name__}") from problem
