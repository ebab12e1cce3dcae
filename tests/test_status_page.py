"""The status page over HTTP: what it needs, what it must not do, and what hostile names become."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path

import pytest
import requests

import accounts as made
from exporter.deadline import Deadline
from exporter.errors import ListingError, Reason
from exporter.model import Inventory
from exporter.scrape_result import AccountState
from exporter.web.request import Request
from exporter.web.responses import Message
from exporter.web.routes import App
from exporter.web.status.page import StatusPage
from processes import bare_environment, get
from serving import Listed, Unlisted, serving, serving_app

Serve = Callable[..., str]


class Page(HTMLParser):
    """The elements of a page, as a browser's parser would find them, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] for _, attrs in self.elements if attribute in attrs]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(*accounts)`` serves the page of these accounts; gives its URL."""
    with ExitStack() as cleanup:

        def run(*accounts: AccountState, telemetry_path: str = "/metrics") -> str:
            app = App(Unlisted(lambda: accounts), telemetry_path=telemetry_path)
            return cleanup.enter_context(serving_app(app)) + "/"

        yield run


def page_of(url: str) -> Page:
    answer = get(url)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


def test_it_shows_what_the_last_scrape_brought_and_never_lists() -> None:
    listings: list[Deadline] = []

    async def list_account(deadline: Deadline) -> Inventory:
        listings.append(deadline)
        return made.inventory(made.portal("engineering", made.server("wiki")))

    with serving(Listed(list_account)) as url:
        assert "Waiting for the first scrape" in page_of(f"{url}/").text
        assert listings == []
        assert get(f"{url}/metrics").ok
        shown = page_of(f"{url}/").text
        assert "No server needs attention (of 1)" in shown
        assert "Wiki wiki https://wiki.mcp.example.com/mcp" in shown
        assert len(listings) == 1


def test_before_the_first_scrape_it_tells_how_to_configure_prometheus(serve: Serve) -> None:
    url = serve(AccountState(made.ID, "Main"), telemetry_path="/here")
    host = url.removeprefix("http://").rstrip("/")
    text = page_of(url).text
    assert "Not listed yet" in text
    assert "metrics_path: /here" in text
    assert f'targets: ["{host}"]' in text


@pytest.mark.parametrize("host", ['x"]<script>', "evil\u00e9", "a b", "x" * 300, "[::g]"])
def test_a_host_that_is_none_is_not_repeated(serve: Serve, host: str) -> None:
    answer = get(serve(AccountState(made.ID, "Main")), headers={"Host": host.encode("latin-1")})
    if answer.status_code == 200:
        assert host not in answer.text
        assert "localhost:10180" in answer.text


def test_the_policy_lets_in_the_pages_own_style_and_nothing_else(serve: Serve) -> None:
    answer = get(serve(made.hostile_account()))
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_it_refreshes_with_its_filters_until_it_is_paused(serve: Serve) -> None:
    url = serve(made.hostile_account())
    running = get(f"{url}?q=a&state=error")
    assert running.headers["Refresh"] == "30"
    assert "?q=a&state=error&refresh=0" in Page(running.text).values("href")
    paused = get(f"{url}?q=a&state=error&refresh=0")
    assert "Refresh" not in paused.headers
    assert "?q=a&state=error" in Page(paused.text).values("href")
    form = {a["name"]: a["value"] for tag, a in Page(paused.text).elements if tag == "input"}
    assert form == {"refresh": "0", "q": "a"}


def hostile_failure() -> AccountState:
    failure = ListingError(Reason.API_ERROR, made.HOSTILE[0] + made.HOSTILE[2])
    return made.failing(failure, made.hostile_account())


@pytest.mark.parametrize(
    "query", ["", *(f"?{name}=%22%3E%3Cscript%3Ealert(5)%3C/script%3E"
                    for name in ("q", "state", "portal", "account", "sort", "psort", "refresh"))],
)  # fmt: skip
def test_hostile_text_stays_text(serve: Serve, query: str) -> None:
    page = page_of(serve(hostile_failure(), made.large_account(3, "Other", "e" * 32)) + query)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "base"}
    assert [tag for tag, _ in page.elements].count("style") == 1
    attributes = {name for _, attrs in page.elements for name in attrs}
    assert not {name for name in attributes if name.startswith("on") or name == "style"}
    if not query:
        for name in (made.HOSTILE[0], made.HOSTILE[1], made.HOSTILE[3], made.HOSTILE[7]):
            assert name in page.text
        assert "{{ 7 * 7 }}" in page.text


def test_it_needs_nothing_from_elsewhere(serve: Serve) -> None:
    page = page_of(serve(hostile_failure()))
    assert not page.values("src")
    (icon,) = [attrs["href"] for tag, attrs in page.elements if tag == "link"]
    assert icon.startswith("data:image/svg+xml,")
    links = {attrs["href"] for tag, attrs in page.elements if tag == "a"}
    assert {link[0] for link in links} == {"#", "?", "."}
    uses = {attrs["href"] for tag, attrs in page.elements if tag == "use"}
    assert all(use.startswith("#i-") for use in uses)


def test_its_links_lead_to_what_is_served(serve: Serve) -> None:
    url = serve(made.hostile_account(), telemetry_path="/here")
    links = [link for link in page_of(url).values("href") if link.startswith("./")]
    assert "./here" in links
    for link in set(links) - {"./here"}:
        assert get(url + link.removeprefix("./")).ok


async def nothing_to_receive() -> Message:
    raise AssertionError("the page has read a body")


def test_its_links_follow_a_prefix() -> None:
    page = StatusPage(
        lambda: [AccountState(made.ID, "Main")], {"Metrics": "/metrics"}, prefix="/exporter"
    )
    scope = {"method": "GET", "path": "/", "query_string": b"", "headers": []}
    shown = page.answer(Request(scope, nothing_to_receive)).body.decode()
    assert 'href="/exporter/metrics"' in shown
    assert "metrics_path: /exporter/metrics" in shown


def test_every_filter_and_order_of_a_large_account_is_a_page_of_bounded_size(serve: Serve) -> None:
    url = serve(made.large_account(10_000), hostile_failure())
    for query in ("", "?q=server", "?sort=-name&psort=-servers", "?state=working"):
        answer = get(url + query)
        assert answer.status_code == 200
        assert len(answer.content) < 1_500_000
        assert re.search(r"9,\d\d\d more servers\s+fit and are not shown", answer.text)


def test_making_a_page_does_not_hold_up_other_answers() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def accounts() -> Sequence[AccountState]:
        begun.set()
        assert go_on.wait(10)
        return ()

    statuses: list[int] = []
    with serving(Unlisted(accounts)) as url:
        asker = threading.Thread(target=lambda: statuses.append(get(f"{url}/").status_code))
        asker.start()
        assert begun.wait(10)
        assert get(f"{url}/-/healthy").ok
        go_on.set()
        asker.join(10)
    assert statuses == [200]


def test_it_takes_no_other_method(serve: Serve) -> None:
    url = serve(made.hostile_account())
    answers = [requests.request(method, url, timeout=10) for method in ("POST", "PUT", "DELETE")]
    assert [answer.status_code for answer in answers] == [405] * 3


LAZY = """
import sys
from exporter.web.routes import App
from exporter.web.request import Request
class Source:
    names = ()
    observed = tuple
app = App(Source())
assert "jinja2" not in sys.modules
import asyncio
async def send(message): sent.append(message)
async def receive(): return {"type": "http.disconnect"}
sent = []
scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
asyncio.run(app(scope, receive, send))
assert sent[0]["status"] == 200, sent
assert "jinja2" in sys.modules
print("lazy")
"""


def test_the_template_engine_is_loaded_for_the_first_page_and_not_before(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LAZY],
        env=bare_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("lazy\n", "")
