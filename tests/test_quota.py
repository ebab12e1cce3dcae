"""However often people scrape, the user's quota lasts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.cloudflare.rate_limit import RequestQuotas
from exporter.settings import load
from exporter.simulator.server import Simulator
from processes import eventually, get
from serving import serving
from watching import accounts_of, failures, value


class User:
    """The API's side of one user's quota, and the time of both sides."""

    def __init__(self, quota: int, window: int) -> None:
        self.quota, self.window = quota, window
        self.now = 0.0
        self.left = quota
        self.ends = float(window)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        while self.now >= self.ends:
            self.left = self.quota
            self.ends += self.window

    def answer(self) -> dict[str, str]:
        """To one request."""
        self.left -= 1
        return {
            "Ratelimit": f'"default";r={max(0, self.left)};t={max(1, round(self.ends - self.now))}',
            "Ratelimit-Policy": f'"default";q={self.quota};w={self.window}',
        }


@given(
    quota=st.integers(20, 1200),
    window=st.integers(10, 300),
    waits=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=30),
)
@example(quota=20, window=20, waits=[1.0, 1.0, 1.0625])  # seconds that the API rounds down
def test_whoever_asks_only_where_the_quota_allows_it_never_uses_it_up(
    quota: int, window: int, waits: list[float]
) -> None:
    user = User(quota, window)
    quotas = RequestQuotas(lambda: user.now)
    for number in range(2 * quota):
        user.wait(waits[number % len(waits)])
        if not quotas.is_short("token"):
            quotas.note("token", user.answer())
        assert user.left > 0


@given(left=st.integers(0, 1200))
@example(left=0)
@example(left=1)
@example(left=599)
@example(left=600)
def test_from_half_of_the_quota_on_requests_are_spread_over_the_time_that_is_left(
    left: int,
) -> None:
    now = 0.0
    quotas = RequestQuotas(lambda: now)
    policy = '"default";q=1200;w=300'
    for _ in range(3):
        quotas.note("a", {"Ratelimit": f'"default";r={left};t=150', "Ratelimit-Policy": policy})
    short_for = 0.0 if left >= 600 else 3 * 151 / max(1, left)
    assert quotas.is_short("a") is (short_for > 0)
    assert not quotas.is_short("b"), "another user"
    now = max(0.0, short_for - 0.001)
    assert quotas.is_short("a") is (short_for > 0)
    now = short_for + 0.001
    assert not quotas.is_short("a")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Ratelimit": '"default";r=1;t=300'},
        {"Ratelimit-Policy": '"default";q=1200;w=300'},
        {"Ratelimit": "none", "Ratelimit-Policy": "none"},
        {"Ratelimit": f'"default";r={"9" * 5000};t=1', "Ratelimit-Policy": '"default";q=1200;w=3'},
    ],
)
def test_without_usable_headers_nothing_is_spread(headers: dict[str, str]) -> None:
    quotas = RequestQuotas(lambda: 0.0)
    quotas.note("a", headers)
    assert not quotas.is_short("a")


@pytest.mark.parametrize("timeout", ["0.002", "10"], ids=["impatient", "patient"])
def test_clients_that_scrape_without_a_break_leave_half_of_the_quota_to_the_user(
    timeout: str,
) -> None:
    with Simulator(quota=200, window=3600.0, clock=lambda: 1e9) as simulator:
        accounts = accounts_of(load([], simulator.environment()))
        over = threading.Event()
        scrapes: list[int] = []
        announced = {"X-Prometheus-Scrape-Timeout-Seconds": timeout}
        with serving(accounts) as url, ThreadPoolExecutor(4) as pool:

            def loop() -> None:
                while not over.is_set():
                    get(f"{url}/metrics", 30.0, headers=announced)
                    scrapes.append(1)

            running = [pool.submit(loop) for _ in range(4)]
            eventually(lambda: len(scrapes) > 300, "more scrapes than the quota has requests")
            over.set()
            for one in running:
                one.result(30)
            text = get(f"{url}/metrics").text
    assert failures(text) == {}
    assert value(text, "cloudflare_mcp_up") == 1
    assert (value(text, "cloudflare_mcp_api_ratelimit_remaining") or 0) in range(90, 111)
