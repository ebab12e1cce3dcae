"""Calls side by side on threads that nobody has to wait for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def side_by_side(call: Callable[[A], B], arguments: Sequence[A]) -> Iterable[B]:
    """The results of ``call`` for each of ``arguments``, in their order, a thread each.

    The threads are daemons: one that is stuck where nothing can interrupt it (a name lookup)
    delays neither the caller after a failure nor the end of the program, as an executor's would.

    Raises:
        Exception: the first that a call raises; the others go on, their results are dropped.
    """
    done: queue.SimpleQueue[tuple[int, B | None, Exception | None]] = queue.SimpleQueue()

    def work(position: int, argument: A) -> None:
        try:
            done.put((position, call(argument), None))
        except Exception as problem:  # noqa: BLE001 - carried to the caller, whatever it is
            done.put((position, None, problem))

    for position, argument in enumerate(arguments):
        threading.Thread(
            target=work, args=(position, argument), name=f"page-{argument}", daemon=True
        ).start()
    results: dict[int, B] = {}
    while len(results) < len(arguments):
        position, result, problem = done.get()
        if problem is not None:
            raise problem
        results[position] = result  # type: ignore[assignment]  # no problem: it is a B
    return [results[position] for position in range(len(arguments))]
