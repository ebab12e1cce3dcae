"""The status page over HTTP: what it needs, what it must not do, and what hostile names become."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import bcrypt
import msgspec
import pytest
import requests

import accounts as made
from exporter.accounts import Accounts
from exporter.deadline import Deadline
from exporter.errors import ListingError, Reason
from exporter.model import Inventory
from exporter.redaction import KnownSecrets
from exporter.scrape_result import AccountState
from exporter.settings import Account, Credentials, Secret
from exporter.simulator.server import Simulator
from exporter.web.request import Request
from exporter.web.responses import Message
from exporter.web.routes import App
from exporter.web.status.page import StatusPage
from exporter.web.status.report import (
    AccountStatus,
    DisappearedStatus,
    PortalStatus,
    ServerStatus,
    Status,
    Totals,
)
from exporter.web.status.states import PORTAL_STATES, SERVER_STATES
from exporter.web.web_config import WebConfigFile
from processes import ROOT, bare_environment, get
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
        assert "No trouble in 1 portal and 1 server" in shown
        assert "Working Engineering 12 of 12 tools" in shown
        assert "Wiki wiki https://wiki.mcp.example.com/mcp" in page_of(f"{url}/?view=servers").text
        assert len(listings) == 1


def test_before_the_first_scrape_it_tells_how_to_configure_prometheus(serve: Serve) -> None:
    url = serve(AccountState(made.ID, "Main"), telemetry_path="/here")
    host = url.removeprefix("http://").rstrip("/")
    text = page_of(url).text
    assert "not listed yet" in text
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
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_it_refreshes_until_it_is_paused_and_never_where_there_is_a_form(serve: Serve) -> None:
    url = serve(made.hostile_account())
    running = get(url)
    assert running.headers["Refresh"] == "30"
    assert "?refresh=0" in Page(running.text).values("href")
    assert not {tag for tag, _ in Page(running.text).elements} & {"form", "input", "select"}
    paused = get(f"{url}?refresh=0")
    assert "Refresh" not in paused.headers
    assert "?" in Page(paused.text).values("href")
    for query in ("?view=servers", "?q=a&state=error", "?account=x", "?portal=x", "?sort=name"):
        answer = get(url + query)
        assert "Refresh" not in answer.headers
        assert "form" in {tag for tag, _ in Page(answer.text).elements}
    found = Page(get(f"{url}?q=a&state=error&sort=name").text).elements
    form = {a["name"]: a["value"] for tag, a in found if tag == "input"}
    assert form == {"view": "servers", "sort": "name", "q": "a"}


def test_the_title_and_the_icon_carry_the_state(serve: Serve) -> None:
    seen = {}
    for name, account in (
        ("bad", made.hostile_account()),
        ("good", made.listed(made.inventory(made.portal("p", made.server("wiki"))))),
        ("info", AccountState(made.ID, "Main")),
    ):
        text = get(serve(account)).text
        (icon,) = [a["href"] for tag, a in Page(text).elements if tag == "link"]
        (title,) = re.findall(r"<title>(.*?)</title>", text, re.DOTALL)
        seen[name] = (icon, title)
    assert len({icon for icon, _ in seen.values()}) == 3
    assert [title.split(" · ")[0] for _, title in seen.values()] == [
        "9 of 9 portals affected, 9 servers need attention, 540 of 972 tools lost",
        "No trouble in 1 portal and 1 server",
        "Waiting for the first scrape",
    ]


def test_every_row_has_an_address_and_ids_can_be_copied_whole(serve: Serve) -> None:
    one, two = made.large_account(200), made.large_account(200, "Other", "e" * 32)
    page = page_of(serve(one))
    ids = page.values("id")
    assert {"server-server-00000", "server-server-00100", "portal-portal-0000"} <= set(ids)
    assert len(ids) == len(set(ids))
    assert {f"#{place}" for place in ids if place.startswith("server-")} <= set(page.values("href"))
    # With several accounts, two of them may use the same id.
    both = page_of(serve(one, two)).values("id")
    assert len(both) == len(set(both))
    assert f"server-{made.ID}-server-00000" in both
    listed = page_of(serve(one) + "?view=servers&page=2").values("id")
    assert "server-server-00100" not in listed
    assert sum(place.startswith("server-") for place in listed) == 100
    assert "user-select: all" in get(serve(one)).text


# --- unchanged pages ---------------------------------------------------------------------------

PATHS = ("", "?view=servers", "?q=a", "api/v1/status", "api/v1/status?state=attention")


@pytest.mark.parametrize("path", PATHS)
def test_an_unchanged_page_is_not_sent_again(serve: Serve, path: str) -> None:
    url = serve(made.large_account(300)) + path
    first = get(url)
    tag = first.headers["ETag"]
    for said in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = get(url, headers={"If-None-Match": said})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == tag
        assert "Content-Length" not in again.headers
    other = get(url, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


def test_another_listing_makes_another_page(serve: Serve) -> None:
    accounts = [made.listed(made.inventory(), ended=made.NOW - 100)]
    with serving(Unlisted(lambda: accounts)) as url:
        before = get(f"{url}/")
        accounts[:] = [made.relisted(accounts[0], made.inventory(), ended=made.NOW - 40)]
        after = get(f"{url}/", headers={"If-None-Match": before.headers["ETag"]})
        assert after.status_code == 200
        assert after.headers["ETag"] != before.headers["ETag"]


def test_two_listings_at_the_same_moment_are_two_pages(serve: Serve) -> None:
    accounts = [made.listed(made.inventory(), ended=made.NOW - 40)]
    with serving(Unlisted(lambda: accounts)) as url:
        before = get(f"{url}/").text
        found = made.inventory(made.portal("new", made.server("wiki")))
        accounts[:] = [made.listed(found, ended=made.NOW - 40)]
        after = get(f"{url}/").text
    assert "New" not in before
    assert "New" in after


def test_it_is_made_once_for_all_that_ask_between_two_listings(serve: Serve) -> None:
    made_at: list[float] = []

    class Clock:
        def __call__(self) -> float:
            made_at.append(made.NOW)
            return made.NOW

    observed = (made.large_account(100),)
    page = StatusPage(lambda: observed, {}, clock=Clock())
    first, second = page.page(asked("/")), page.page(asked("/"))
    assert first.body is second.body
    assert page.page(asked("/", "q=a")).body is not first.body
    assert page.json(asked("/")).body is not first.body


@pytest.mark.parametrize("path", PATHS)
def test_it_is_compressed_for_those_who_read_that(serve: Serve, path: str) -> None:
    url = serve(made.large_account(300)) + path
    plain = requests.get(url, headers={"Accept-Encoding": "identity"}, timeout=10, stream=True)
    packed = requests.get(url, headers={"Accept-Encoding": "gzip"}, timeout=10, stream=True)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 3
    assert plain.content == packed.content


@pytest.mark.parametrize("query", ["", "?view=servers", "?view=servers&page=16", "?q=server"])
def test_1600_servers_are_less_than_100_kb(serve: Serve, query: str) -> None:
    servers = [
        made.server(
            f"server-{number:04}",
            in_error=number % 10 == 0,
            error_class=made.PASSING if number % 10 == 0 else None,
        )
        for number in range(1600)
    ]
    portals = [made.portal(f"p-{n:02}", *servers[n * 80 : n * 80 + 80]) for n in range(20)]
    answer = get(serve(made.listed(made.inventory(*portals))) + query)
    assert len(answer.content) < 100_000
    if not query:
        assert answer.text.count('id="server-') == 160


# --- the same for scripts ----------------------------------------------------------------------


def fields(kind: type[msgspec.Struct]) -> set[str]:
    return set(kind.__struct_fields__)


def test_the_json_says_what_the_page_says(serve: Serve) -> None:
    before = made.listed(
        made.inventory(
            made.portal("help", made.server("wiki")),
            made.portal("gone", made.server("wiki")),
            shown={("help", "wiki"): 0},
        ),
        ended=made.NOW - 90,
    )
    found = made.inventory(
        made.portal("help", made.server("wiki", in_error=True, error_class=made.REFUSED)),
        shown={("help", "wiki"): 7},
    )
    answer = get(serve(made.relisted(before, found, ended=made.NOW - 30)) + "api/v1/status")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    status = answer.json()
    assert set(status) == fields(Status)
    assert (status["level"], status["as_of"]) == ("bad", moment(made.NOW - 30))
    assert status["thresholds"] == {"stale_after_seconds": 21600.0}
    assert status["totals"]["servers_needing_attention"] == 1
    (account,) = status["accounts"]
    assert set(account) == fields(AccountStatus)
    assert (account["id"], account["listed"], account["reason"]) == (made.ID, True, None)
    (portal,) = status["portals"]
    assert set(portal) == fields(PortalStatus)
    assert (portal["state"], portal["tools"]) == (
        "no_working_server", {"offered": 12, "shown": 0, "lost": 7, "hidden": 5},
    )  # fmt: skip
    (server,) = status["servers"]
    assert set(server) == fields(ServerStatus)
    assert (server["state"], server["seen_since"]) == ("error", moment(made.NOW - 30))
    assert server["error"] == {
        "is_upstream": True, "retryable": False, "status_code": 401, "mcp_code": -32001,
    }  # fmt: skip
    (gone,) = status["disappeared"]
    assert set(gone) == fields(DisappearedStatus)
    assert (gone["kind"], gone["portal_id"], gone["servers"]) == ("portal", "gone", 1)


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_json_takes_the_filters_of_the_page(serve: Serve) -> None:
    url = serve(made.large_account(300), made.large_account(5, "Other", "e" * 32)) + "api/v1/status"
    status = get(url + "?state=unreachable&account=Large").json()
    assert {one["id"] for one in status["servers"]} == {f"server-{n:05}" for n in (0, 100, 200)}
    assert {one["name"] for one in status["accounts"]} == {"Large"}
    assert status["totals"]["servers"] == 305


def test_the_json_of_nothing_is_whole(serve: Serve) -> None:
    status = get(serve(AccountState(made.ID, "Main")) + "api/v1/status").json()
    assert (status["level"], status["as_of"], status["servers"]) == ("info", None, [])


def test_hostile_names_are_whole_in_the_json(serve: Serve) -> None:
    names = {
        one["name"] for one in get(serve(hostile_failure()) + "api/v1/status").json()["servers"]
    }
    assert {name for name in made.HOSTILE if "\ud83d, NUL" not in name} <= names


def test_the_json_asks_for_the_same_password_as_the_page(tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    web.write_text(f"basic_auth_users:\n  ann: {hashed}\n")
    file = WebConfigFile(str(web))
    app = App(Unlisted(lambda: [made.hostile_account()]), guard=file.guard)
    with serving_app(app) as url:
        for path in ("/", "/api/v1/status"):
            assert get(url + path).status_code == 401
            assert get(url + path, auth=("ann", "right")).status_code == 200


def test_the_documentation_names_every_field_of_the_json() -> None:
    text = (ROOT / "docs" / "reference" / "status.md").read_text(encoding="utf-8")
    for title, kind in (
        ("The document", Status), ("accounts", AccountStatus), ("portals", PortalStatus),
        ("servers", ServerStatus), ("disappeared", DisappearedStatus), ("totals", Totals),
    ):  # fmt: skip
        (section,) = re.findall(
            rf"^## `?{title}`?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
        )
        table = section.partition("| State |")[0]
        assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(kind.__struct_fields__)
    levels = dict(re.findall(r"^\| `(\w+)` \| (bad|warn|info|good) \|", text, re.MULTILINE))
    kinds = (*SERVER_STATES.values(), *PORTAL_STATES.values())
    assert levels == {kind.key: kind.level for kind in kinds}


def test_the_page_tells_what_happened_in_the_first_six_minutes_of_the_demo() -> None:
    now = [time.time()]
    with Simulator(clock=lambda: now[0], quota=None) as api:
        account = Account(
            name="Demo",
            account_id=api.account_id,
            credentials=Credentials(token=Secret(text=api.token)),
            base_url=api.base_url,
            collect_servers=True,
        )
        accounts = Accounts([account], KnownSecrets(), wall_clock=lambda: now[0])
        with serving(accounts) as url:
            began = now[0]
            for minute in range(7):
                now[0] = began + 60 * minute
                assert get(f"{url}/metrics").ok
            status = get(f"{url}/api/v1/status").json()
            shown = page_of(f"{url}/").text
    assert {(one["kind"], one["portal_id"], one["server_id"]) for one in status["disappeared"]} == {
        ("portal", "sandbox", ""),
        ("attachment", "engineering", "design"),
    }
    since = {one["id"]: one["seen_since"] for one in status["servers"]}
    assert since["object-store"] == moment(began)
    assert since["warehouse"] == moment(began + 120)
    assert since["design"] is None
    assert "Portal Sandbox sandbox had 3 servers, 28 tools" in shown
    assert "Server Design files design left portal Engineering had 6 tools" in shown
    assert "2 working servers use manual OAuth" in shown


def hostile_failure() -> AccountState:
    failure = ListingError(Reason.API_ERROR, made.HOSTILE[0] + made.HOSTILE[2])
    return made.failing(failure, made.hostile_account())


@pytest.mark.parametrize(
    "query", ["", "?view=servers", *(f"?{name}=%22%3E%3Cscript%3Ealert(5)%3C/script%3E"
              for name in ("q", "state", "portal", "account", "sort", "page", "view", "refresh"))],
)  # fmt: skip
def test_hostile_text_stays_text(serve: Serve, query: str) -> None:
    page = page_of(serve(hostile_failure(), made.large_account(3, "Other", "e" * 32)) + query)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "base"}
    assert [tag for tag, _ in page.elements].count("style") == 1
    attributes = {name for _, attrs in page.elements for name in attrs}
    assert not {name for name in attributes if name.startswith("on") or name == "style"}
    if query in {"", "?view=servers"}:
        for name in (made.HOSTILE[0], made.HOSTILE[1], made.HOSTILE[3], made.HOSTILE[7]):
            assert name in page.text
        assert "{{ 7 * 7 }}" in page.text


def test_it_needs_nothing_from_elsewhere(serve: Serve) -> None:
    page = page_of(serve(hostile_failure()))
    assert not page.values("src")
    (icon,) = [attrs["href"] for tag, attrs in page.elements if tag == "link"]
    assert icon.startswith("data:image/svg+xml,")
    links = {attrs["href"] for tag, attrs in page.elements if tag == "a"}
    own = {link for link in links if not link.startswith("https://dash.cloudflare.com/")}
    assert {link[0] for link in own} == {"#", "?", "."}
    assert links - own
    uses = {attrs["href"] for tag, attrs in page.elements if tag == "use"}
    assert all(use.startswith("#i-") for use in uses)


def test_its_links_lead_to_what_is_served(serve: Serve) -> None:
    url = serve(made.hostile_account(), telemetry_path="/here")
    links = [link for link in page_of(url).values("href") if link.startswith("./")]
    assert {"./here", "./api/v1/status"} <= set(links)
    assert any(link.startswith("./runbooks/Cloudflare") for link in links)
    for link in set(links) - {"./here"}:
        assert get(url + link.removeprefix("./")).ok


async def nothing_to_receive() -> Message:
    raise AssertionError("the page has read a body")


def asked(path: str, query: str = "") -> Request:
    scope = {
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"accept-encoding", b"gzip")],
    }
    return Request(scope, nothing_to_receive)


def test_its_links_follow_a_prefix() -> None:
    page = StatusPage(
        lambda: [hostile_failure()], {"Metrics": "/metrics"}, prefix="/exporter", clock=time.time
    )
    shown = zlib.decompress(page.page(asked("/")).body, wbits=31).decode()
    assert 'href="/exporter/metrics"' in shown
    assert 'href="/exporter/runbooks/CloudflareMCPServerError"' in shown
    page = StatusPage(lambda: [AccountState(made.ID, "Main")], {}, prefix="/exporter")
    shown = zlib.decompress(page.page(asked("/")).body, wbits=31).decode()
    assert "metrics_path: /exporter/metrics" in shown


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
