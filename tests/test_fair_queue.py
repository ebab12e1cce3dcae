"""In which order passwords are checked, and of whom none is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import bcrypt
import pytest

from exporter.web.fair_queue import (
    MAX_CLIENTS,
    MAX_WAITING,
    MAX_WAITING_OF_A_CLIENT,
    MEMORY,
    BusyError,
    FairQueue,
    client_of,
)
from processes import bare_environment
from simulated import Clock


async def _asked(queue: FairQueue, texts: list[str]) -> tuple[list[object], list[str]]:
    made: list[str] = []
    go_on = threading.Event()

    def ask(text: str) -> asyncio.Task[bool]:
        def check() -> bool:
            assert go_on.wait(20)
            made.append(text)
            return not text.endswith("!")

        return asyncio.create_task(queue.run(text.rstrip("!"), check))

    first = ask(texts[0])
    await asyncio.sleep(0)
    others = [ask(one) for one in texts[1:]]
    await asyncio.sleep(0)
    go_on.set()
    return await asyncio.gather(first, *others, return_exceptions=True), made


def asked(texts: list[str], queue: FairQueue | None = None) -> tuple[list[object], list[str]]:
    """What each of these clients gets, and in which order checks are made.

    They ask in this order, all while the first check is made. A name that ends with ``!`` is of a
    client that sends a wrong password.
    """
    return asyncio.run(_asked(queue or FairQueue(), texts))


def test_who_has_asked_least_often_is_first_and_of_those_the_newest() -> None:
    results, made = asked(["a!", "a!", "b!", "c!", "b!", "d!"])
    assert results == [False] * 6
    assert made == ["a!", "d!", "c!", "b!", "b!", "a!"]


def test_a_wrong_password_counts_more_than_many_requests_and_a_right_one_wipes_it_out() -> None:
    queue = FairQueue()
    asked(["guesser!"], queue)
    asked(["x"] + ["often"] * 100, queue)
    assert asked(["x", "often", "guesser"], queue)[1] == ["x", "often", "guesser"]
    assert asked(["x", "often", "guesser"], queue)[1] == ["x", "guesser", "often"]


def test_of_one_client_few_wait_and_the_newest_is_turned_away() -> None:
    results, _ = asked(["other"] + ["a"] * (MAX_WAITING_OF_A_CLIENT + 3))
    assert results[: 1 + MAX_WAITING_OF_A_CLIENT] == [True] * (1 + MAX_WAITING_OF_A_CLIENT)
    assert [type(one) for one in results[1 + MAX_WAITING_OF_A_CLIENT :]] == [BusyError] * 3


def test_a_crowd_that_goes_on_asking_keeps_nobody_out_who_asks_seldom() -> None:
    crowd = [f"c{one}!" for one in range(MAX_WAITING + 1)]
    results, made = asked([*crowd, *crowd, *crowd, "seldom", *crowd])
    assert made[1] == "seldom"
    assert results[3 * len(crowd)] is True
    assert len(made) == MAX_WAITING + 1


def test_a_check_that_fails_is_told_to_its_client_and_ends_nothing() -> None:
    async def run() -> bool:
        queue = FairQueue()

        def fail() -> bool:
            raise ArithmeticError

        with pytest.raises(ArithmeticError):
            await queue.run("a", fail)
        leaving = asyncio.create_task(queue.run("b", lambda: True))
        await asyncio.sleep(0)
        leaving.cancel()
        return await queue.run("c", lambda: True)

    assert asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_network_of_ipv6_is_one_client(address: str, client: str) -> None:
    assert client_of(address) == client


def test_how_often_clients_ask_is_forgotten_in_time_and_beyond_a_number_of_them() -> None:
    clock = Clock()
    queue = FairQueue(clock)
    asked(["a!"], queue)
    assert asked(["x", "b", "a!"], queue)[1] == ["x", "b", "a!"]
    clock.now += MEMORY
    assert asked(["x", "b", "a!"], queue)[1] == ["x", "a!", "b"]
    assert asked(["x", "b", "a!"], queue)[1] == ["x", "b", "a!"]
    asked([str(one) for one in range(MAX_CLIENTS)], queue)
    assert asked(["x", "b", "a!"], queue)[1] == ["x", "a!", "b"]


PROGRAM = """
import asyncio, time
from exporter.web.basic_auth import Passwords

class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(1)  # the interpreter ends slowly enough for the check to end meanwhile

slow = Slow()

async def main():
    check = asyncio.create_task(Passwords({{"alice": "{hashed}"}}).verdict("Basic YTpi", ""))
    await asyncio.wait([check], timeout=0.02)
    assert not check.done()

asyncio.run(main())
"""


def test_a_program_that_ends_while_a_password_is_checked_ends_well(tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(11)).decode()  # some 0.1 s a check
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(hashed=hashed)],
        env=bare_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
