"""One listing for all scrapes that overlap, and an answer in time, whatever happens behind it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from exporter.collector import AccountCollector
from exporter.deadline import Deadline
from exporter.errors import ListingError, Reason
from exporter.metrics.api_metrics import ApiMetrics
from exporter.model import Inventory
from exporter.scrape_result import AccountState, ListingResult
from exporter.simulator.server import Simulator
from processes import RunningExporter, get
from rawserver import Handler, RawServer, answer, eventually, listing, portal, refusal
from serving import Listed, serving
from watching import (
    ACCOUNT_ID,
    TOKEN,
    accounts_for,
    begin,
    exposed,
    failures,
    samples,
    scrape,
    stop,
    submit,
    value,
)

WHOLE = answer(listing([portal("a")]))


class Held:
    """An API that answers when it is released, all that waits and all that comes."""

    def __init__(self, reply: bytes = WHOLE) -> None:
        self._reply = reply
        self._released = threading.Event()
        self.api = RawServer(self._handle)

    def _handle(self, connection: socket.socket, head: str) -> None:
        self._released.wait(30)
        connection.sendall(self._reply)

    def release(self) -> None:
        self._released.set()

    def asked(self) -> bool:
        return bool(self.api.heads)


def environment(base_url: str) -> dict[str, str]:
    return {
        "CLOUDFLARE_BASE_URL": base_url,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
        "CLOUDFLARE_API_TOKEN": TOKEN,
    }


def replies(*sent: bytes) -> Handler:
    """Sends one after the other."""
    waiting = list(sent)
    return lambda connection, _: connection.sendall(waiting.pop(0))


# --- scrapes that overlap ----------------------------------------------------------------------


def test_fifty_scrapes_at_once_make_one_listing() -> None:
    held = Held()
    with held.api as api, ThreadPoolExecutor(50) as scrapers:
        service = accounts_for(api.base_url)
        together = threading.Barrier(50)

        def begin_together(_: int) -> Any:
            together.wait(10)
            return begin(service)

        begun = list(scrapers.map(begin_together, range(50)))
        submit(asyncio.sleep(0)).result(5)  # by then all of them wait for the listing
        held.release()
        texts = [exposed(service, future) for future in begun]
        assert len(api.heads) == 1
    assert {value(text, "cloudflare_mcp_up") for text in texts} == {1}
    assert value(texts[0], "cloudflare_mcp_api_requests_total", code="200") == 1


def test_fifty_scrapes_over_http_join_the_listing_under_way_each_with_its_own_time() -> None:
    held = Held()
    with (
        held.api as api,
        serving(accounts_for(api.base_url, "--scrape.timeout=30")) as url,
        ThreadPoolExecutor(51) as scrapers,
    ):
        patient = scrapers.submit(get, f"{url}/metrics", 30.0)
        assert eventually(held.asked)
        hurry = {"X-Prometheus-Scrape-Timeout-Seconds": "1"}
        others = [scrapers.submit(get, f"{url}/metrics", 30.0, headers=hurry) for _ in range(50)]
        assert {value(one.result().text, "cloudflare_mcp_up") for one in others} == {0}
        assert not patient.done()
        assert len(api.heads) == 1
        held.release()
        assert value(patient.result().text, "cloudflare_mcp_up") == 1


def test_a_scrape_after_the_other_lists_anew() -> None:
    with RawServer(replies(WHOLE, answer(listing([])))) as api:
        service = accounts_for(api.base_url)
        assert value(scrape(service), "cloudflare_mcp_portals") == 1
        assert value(scrape(service), "cloudflare_mcp_portals") == 0


def test_a_scrape_with_less_time_joins_and_gives_up_in_time_while_the_other_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    held = Held()
    with held.api as api:
        service = accounts_for(api.base_url, "--scrape.timeout=20")
        patient = begin(service)
        assert eventually(held.asked)
        start = time.monotonic()
        impatient = begin(service, 1.0)
        text = exposed(service, impatient)
        assert time.monotonic() - start < 10
        assert value(text, "cloudflare_mcp_up") == 0
        assert failures(text) == {}, "nobody's failure"
        assert not patient.done()
        held.release()
        text = exposed(service, patient)
        assert len(api.heads) == 1
    assert value(text, "cloudflare_mcp_up") == 1
    assert failures(text) == {}
    assert [record.message for record in caplog.records] == [
        "scrape timed out before the listing was complete",
        "listing succeeded",
    ]


def test_a_scrape_with_less_time_gets_the_listing_that_ends_in_time() -> None:
    held = Held()
    with held.api as api:
        service = accounts_for(api.base_url, "--scrape.timeout=20")
        first = begin(service)
        joined = begin(service, 10.0)
        held.release()
        assert value(exposed(service, joined), "cloudflare_mcp_up") == 1
        assert value(exposed(service, first), "cloudflare_mcp_up") == 1
        assert len(api.heads) == 1


def test_a_scrape_after_one_that_ran_out_lists_anew() -> None:
    held = Held()
    with held.api as api:
        service = accounts_for(api.base_url, "--scrape.timeout=1")
        assert failures(scrape(service)) == {"timeout": 1}
        held.release()
        assert value(scrape(service), "cloudflare_mcp_up") == 1
        assert len(api.heads) == 2


# --- a hung API --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready", "/"])
def test_while_the_api_hangs_all_that_is_no_scrape_is_answered(path: str) -> None:
    held = Held()
    with (
        held.api as api,
        serving(accounts_for(api.base_url, "--scrape.timeout=20")) as url,
        ThreadPoolExecutor(5) as scrapers,
    ):
        scrapes = [scrapers.submit(get, f"{url}/metrics", 30.0) for _ in range(5)]
        assert eventually(held.asked)
        assert get(f"{url}{path}", 5.0).status_code == 200
        assert not any(one.done() for one in scrapes)
        held.release()
        assert {one.result(10).status_code for one in scrapes} == {200}


def test_assembling_and_serving_calls_nothing_until_a_scrape() -> None:
    with RawServer(replies(WHOLE)) as api, serving(accounts_for(api.base_url)) as url:
        for path in ("/", "/-/healthy", "/-/ready", "/nothing"):
            get(f"{url}{path}")
        assert api.heads == []
        get(f"{url}/metrics")
        assert len(api.heads) == 1


# --- bugs --------------------------------------------------------------------------------------


def test_a_bug_is_the_failure_of_its_account_and_the_next_scrape_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outcomes: list[Callable[[], Inventory]] = [_bug, Inventory]

    async def list_account(_: Deadline) -> Inventory:
        return outcomes.pop(0)()

    with caplog.at_level(logging.DEBUG), serving(Listed(list_account)) as url:
        first = get(f"{url}/metrics")
        second = get(f"{url}/metrics")
    assert (first.status_code, value(first.text, "cloudflare_mcp_up")) == (200, 0)
    assert failures(first.text) == {"internal": 1}
    assert "a bug" not in first.text
    (line,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert line.exc_info is None
    assert fields(line)["error"] == "internal error while listing (RuntimeError)"
    (trace,) = [one for one in caplog.records if one.getMessage() == "traceback"]
    assert trace.levelno == logging.DEBUG
    assert "a bug" in caplog.text
    assert (second.status_code, value(second.text, "cloudflare_mcp_up")) == (200, 1)


async def _empty(_: Deadline) -> Inventory:
    return Inventory()


def _bug() -> Inventory:
    raise RuntimeError("a bug")


# --- what is known across scrapes --------------------------------------------------------------


def test_a_failed_listing_leaves_the_last_success_and_no_series_of_the_account() -> None:
    clock = iter(range(100, 200, 10))
    outcomes: list[Inventory | ListingError] = [
        ListingError(Reason.CONNECTION, "no answer"),
        Inventory(),
        ListingError(Reason.UPSTREAM_5XX, "HTTP 500"),
        Inventory(),
    ]

    async def list_account(_: Deadline) -> Inventory:
        outcome = outcomes.pop(0)
        if isinstance(outcome, ListingError):
            raise outcome
        return outcome

    service = Listed(list_account, wall_clock=lambda: float(next(clock)))
    seen = [scrape(service) for _ in range(4)]
    assert [value(text, "cloudflare_mcp_up") for text in seen] == [0, 1, 0, 1]
    last = [value(text, "cloudflare_mcp_last_success_timestamp_seconds") for text in seen]
    assert last[0] is None
    assert last[1] == last[2]
    assert last[3] is not None
    assert last[2] is not None
    assert last[3] > last[2]
    assert [value(text, "cloudflare_mcp_portals") for text in seen] == [None, 0, None, 0]
    assert [value(text, "cloudflare_mcp_account_info") for text in seen] == [1] * 4
    assert failures(seen[3]) == {"connection": 1, "upstream_5xx": 1}


def fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = vars(record).get("fields", {})
    return found


def test_a_change_of_state_is_logged_once_and_not_once_a_scrape(
    caplog: pytest.LogCaptureFixture,
) -> None:
    missing, refused = answer(refusal(7003), "404 Not Found"), answer(refusal(1234))
    sent = [WHOLE, WHOLE, missing, missing, missing, refused, refused, WHOLE, WHOLE, missing]
    with RawServer(replies(*sent)) as api, caplog.at_level(logging.INFO):
        service = accounts_for(api.base_url)
        for _ in sent:
            scrape(service)
    logged = [
        (record.getMessage(), fields(record).get("reason"))
        for record in caplog.records
        if record.name == "exporter.listing_log"
    ]
    assert logged == [
        ("listing succeeded", None),
        ("listing failed", "not_found"),
        ("listing failed", "api_error"),
        ("listing recovered", None),
        ("listing failed", "not_found"),
    ]


HINTS = {
    "auth": (answer(refusal(10000), "403 Forbidden"), "MCP Portals Read"),
    "not_found": (answer(refusal(7003), "404 Not Found"), "account ID"),
    "upstream_4xx": (answer(refusal(7001), "400 Bad Request"), "--api.per-page"),
    "invalid_response": (answer(b"<html>"), "CLOUDFLARE_BASE_URL"),
}


@pytest.mark.parametrize(("reason", "sent", "hint"), [(k, *v) for k, v in HINTS.items()], ids=HINTS)
def test_the_log_names_the_permission_or_the_setting_at_fault(
    reason: str, sent: bytes, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RawServer(replies(sent)) as api, caplog.at_level(logging.INFO):
        scrape(accounts_for(api.base_url))
    (line,) = [fields(one) for one in caplog.records if one.getMessage() == "listing failed"]
    assert line["reason"] == reason
    assert hint in line["hint"]


def test_when_the_quota_is_short_any_result_is_used_again() -> None:
    begun: list[Deadline] = []
    short = True

    async def refused(deadline: Deadline) -> Inventory:
        begun.append(deadline)
        raise ListingError(Reason.API_ERROR, "no")

    async def scraped() -> list[ListingResult]:
        nonlocal short
        collector = AccountCollector(
            "a", "a", refused, ApiMetrics("a"), quota_is_short=lambda: short
        )
        results = [await collector.scrape(), await collector.scrape()]
        short = False
        return [*results, await collector.scrape()]

    first, second, third = submit(scraped()).result(10)
    assert first is second
    assert third is not second
    assert len(begun) == 2


def test_a_listing_that_was_cancelled_is_not_used_again() -> None:
    cancelled = [True]

    async def cancelled_once(deadline: Deadline) -> Inventory:
        if cancelled.pop():
            cancelled.append(False)
            raise asyncio.CancelledError
        return await _empty(deadline)

    async def scraped() -> ListingResult:
        collector = AccountCollector(
            "a", "a", cancelled_once, ApiMetrics("a"), quota_is_short=lambda: True
        )
        with pytest.raises(asyncio.CancelledError):
            await collector.scrape()
        return await collector.scrape()

    assert submit(scraped()).result(10).failure is None


def test_the_successor_of_a_collector_has_its_results() -> None:
    async def replaced() -> tuple[AccountState, AccountState]:
        before = AccountCollector("a", "a", _empty, ApiMetrics("a"))
        await before.scrape()
        after = AccountCollector("a", "b", _empty, ApiMetrics("a"), before=before.observed)
        return before.observed, after.observed

    old, new = submit(replaced()).result(10)
    assert old.whole is old.latest is not None
    assert (new.latest, new.whole, new.history) == (old.latest, old.whole, old.history)
    assert (new.account_id, new.account_name) == ("a", "b")


@pytest.mark.parametrize("outcomes", [True, False])
def test_what_a_listing_gave_is_logged_with_the_account_unless_it_must_not(
    outcomes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    collector = AccountCollector("a", "Main", _empty, ApiMetrics("a"), log_outcomes=outcomes)
    with caplog.at_level(logging.INFO):
        submit(collector.scrape()).result(10)
    logged = [(one.getMessage(), fields(one)["account"]) for one in caplog.records]
    assert logged == ([("listing succeeded", "Main")] if outcomes else [])


def test_a_scrape_that_cannot_wait_says_so_and_the_log_says_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scraped() -> list[ListingResult]:
        go_on = asyncio.Event()

        async def slow(deadline: Deadline) -> Inventory:
            await go_on.wait()
            return await _empty(deadline)

        collector = AccountCollector("a", "Main", slow, ApiMetrics("a"), wall_clock=lambda: 12.0)
        results = [await collector.scrape(0.05), await collector.scrape(0.05)]
        go_on.set()
        return [*results, await collector.scrape()]

    with caplog.at_level(logging.WARNING):
        *impatient, patient = submit(scraped()).result(10)
    for result in impatient:
        assert str(result.failure) == "the scrape timed out before the listing was complete"
        assert result.failure is not None
        assert result.failure.reason is Reason.TIMEOUT
        assert (result.inventory, result.last_success, result.ended) == (None, None, 12.0)
        assert 0.04 <= result.duration < 5
    assert (patient.failure, patient.last_success, patient.ended) == (None, 12.0, 12.0)
    (line,) = caplog.records
    assert fields(line) == {
        "account": "Main",
        "waited": round(impatient[0].duration, 3),
        "hint": "raise scrape_timeout of the Prometheus job: listing the account takes longer",
    }


# --- the end -----------------------------------------------------------------------------------


def test_stopping_cuts_a_listing_short_and_answers_those_who_wait() -> None:
    held = Held()
    with held.api as api:
        service = accounts_for(api.base_url, "--scrape.timeout=30")
        future = begin(service)
        assert eventually(held.asked)
        start = time.monotonic()
        stop(service, 0.2)
        text = exposed(service, future)
        took = time.monotonic() - start
    assert 0.2 <= took < 10
    assert failures(text) == {"timeout": 1}


def test_a_listing_that_ends_within_the_grace_is_whole() -> None:
    held = Held()
    with held.api as api:
        service = accounts_for(api.base_url)
        future = begin(service)
        stop(service, 5)
        held.release()
        assert value(exposed(service, future), "cloudflare_mcp_up") == 1


def test_stopping_without_a_listing_is_nothing() -> None:
    service = Listed(_empty)
    stop(service, 0.0)
    assert value(scrape(service), "cloudflare_mcp_up") == 1


def test_stopping_after_a_listing_is_nothing() -> None:
    service = Listed(_empty)
    scrape(service)
    stop(service, 0.0)
    assert value(scrape(service), "cloudflare_mcp_up") == 1


@pytest.mark.parametrize("begun", [False, True], ids=["before it began", "while it runs"])
@pytest.mark.parametrize(("timeout", "grace"), [(20.0, 0.1), (0.1, 20.0), (0.1, 0.1)])
def test_a_listing_that_is_stopped_ends_with_its_own_time_or_with_the_grace(
    timeout: float, grace: float, begun: bool
) -> None:
    async def stopped() -> ListingResult:
        started = asyncio.Event()

        async def endless(_: Deadline) -> Inventory:
            started.set()
            await asyncio.sleep(60)
            raise AssertionError

        collector = AccountCollector("a", "a", endless, ApiMetrics("a"), timeout=timeout)
        waiting = asyncio.ensure_future(collector.scrape())
        # After one turn of the loop the listing's task exists, and has not run.
        await (started.wait() if begun else asyncio.sleep(0))
        collector.stop(grace)
        return await waiting

    result = submit(stopped()).result(10)
    assert result.failure is not None
    assert result.failure.reason is Reason.TIMEOUT
    assert str(result.failure) == "the API did not respond in time"
    assert 0.09 <= result.duration < 10


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT], ids=lambda by: by.name)
def test_a_signal_ends_the_command_with_0_and_answers_the_scrape_of_a_hung_api(
    by: signal.Signals, run_exporter: Callable[..., RunningExporter]
) -> None:
    held = Held()
    with held.api as api, ThreadPoolExecutor(1) as scrapers:
        exporter = run_exporter("--scrape.timeout=60", env=environment(api.base_url))
        reply = scrapers.submit(get, f"{exporter.url}/metrics", 30.0)
        assert eventually(held.asked)
        start = time.monotonic()
        assert exporter.stop(by) == 0
        assert time.monotonic() - start < 30
        answered: requests.Response = reply.result(5)
    assert answered.status_code == 200
    assert value(answered.text, "cloudflare_mcp_up") == 0


def test_the_command_starts_and_stays_up_while_the_api_is_down_and_sees_it_come_back(
    run_exporter: Callable[..., RunningExporter],
) -> None:
    simulator = Simulator()
    simulator.start()
    simulator.stop()
    exporter = run_exporter("--scrape.timeout=5", env=simulator.environment())
    for _ in range(2):
        reply = get(f"{exporter.url}/metrics")
        assert reply.status_code == 200
        assert value(reply.text, "cloudflare_mcp_up") == 0
    assert get(f"{exporter.url}/-/healthy").ok
    with simulator:
        assert value(get(f"{exporter.url}/metrics").text, "cloudflare_mcp_up") == 1
    assert exporter.log.count("listing failed") == 1
    assert exporter.log.count("listing recovered") == 1


def test_a_bug_met_in_one_account_costs_the_others_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_: Deadline) -> Inventory:
        raise RuntimeError("a bug")

    text = scrape(Listed(broken, _empty))
    ups = {value for (name, _), value in samples(text).items() if name == "cloudflare_mcp_up"}
    assert ups == {0, 1}
    assert [record.message for record in caplog.records] == ["listing failed"]


def test_each_request_is_a_line_at_debug_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with RawServer(lambda peer, _: peer.sendall(WHOLE)) as api:
        scrape(accounts_for(api.base_url))
    [line] = [record for record in caplog.records if record.message == "request"]
    fields = vars(line)["fields"]
    assert fields["url"].endswith("/access/ai-controls/mcp/portals")
    assert (fields["page"], fields["code"]) == (1, "200")
