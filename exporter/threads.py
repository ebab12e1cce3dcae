"""Blocking calls, awaited from the event loop.

A daemon thread per call: one that is stuck where nothing can interrupt it (a name lookup) neither
blocks others, as in a thread pool, nor delays the end of the program, as the standard library's
executor would.
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
        interrupt: called on cancellation, to end what ``call`` waits for. The thread is then not
            waited for, and its result is dropped.
        daemon: False if the program must wait for ``call`` before it ends.

    Raises:
        Exception: what ``call`` raises.
        RuntimeError: no thread can be started, or ``call`` raised no `Exception`.
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
        except BaseException as raised:  # noqa: BLE001 - raised where the result is awaited
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
