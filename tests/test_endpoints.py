"""The endpoints besides the metrics, their prefix, and the bound on scrapes."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
import trustme
import yaml

from exporter.metrics.formats import Format
from exporter.simulator.account import SimulatedAccount
from exporter.simulator.scenario import demo_scenario
from exporter.simulator.server import Simulator
from exporter.web import routes
from exporter.web.public_address import PublicAddress
from processes import ROOT, Prometheus, RunningExporter, eventually, get
from watching import samples, value
from webserver import Outcome, Source, done, site, trusting, write_chain

RunExporter = Callable[..., RunningExporter]
RunPrometheus = Callable[[str], Prometheus]

NAMES = ("a", 'b & "c" ü')


class Configuration:
    """A control whose reload gives what the test says."""

    def __init__(self, *problems: str | None) -> None:
        self.problems = list(problems)

    async def reload(self) -> str | None:
        await asyncio.sleep(0.02)
        return self.problems.pop(0)

    async def effective_config(self) -> str:
        return "accounts:\n- name: ü\n"


# --- one account -------------------------------------------------------------------------------


def test_a_probe_is_a_scrape_of_the_one_account_that_is_named() -> None:
    source = Source()
    with site(source) as served:
        status, headers, body = served.ask(
            "/probe?account=a",
            headers={"X-Prometheus-Scrape-Timeout-Seconds": "7.5", "Accept-Encoding": "gzip"},
        )
        assert (status, gzip.decompress(body)) == (200, b"up 1\n")
        assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert headers["cache-control"] == "no-store"
        head = served.ask("/probe?account=a", "HEAD")
        assert (head[0], head[2]) == (200, b"")
        openmetrics = {"Accept": "application/openmetrics-text;version=1.0.0"}
        _, headers, _ = served.ask("/probe?account=b&x=y", headers=openmetrics)
        assert headers["content-type"].startswith("application/openmetrics-text")
    assert source.begun == [(7.5, "a"), (None, "a"), (None, "b")]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?", 400),
        ("?account=", 400),
        ("?account=a&account=b", 400),
        ("?account=a&account=", 400),
        ("?target=a", 400),
        ("?account=c", 404),
        ("?account=A", 404),
        ("?account=a%20", 404),
        ("?account=http://127.0.0.1:1/", 404),
        ("?account=%00", 404),
        ("?account=<script>", 404),
        ("?account=" + "a" * 5000, 404),
    ],
)
def test_a_probe_without_one_known_name_lists_nothing_and_repeats_nothing(
    query: str, status: int
) -> None:
    source = Source()
    with site(source) as served:
        got, headers, body = served.ask(f"/probe{query}")
    assert got == status
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert body in {
        b"use /probe?account=NAME with one account name; see /sd for the names\n",
        b"unknown account; see /sd for the names\n",
    }
    assert source.begun == []


# --- discovery ---------------------------------------------------------------------------------


def group(address: str, name: str, path: str = "/probe", **more: str) -> dict[str, object]:
    labels = {"__metrics_path__": path, "__param_account": name, "account": name, **more}
    return {"targets": [address], "labels": labels}


SECURE = {"__scheme__": "https"}


@pytest.mark.parametrize(
    ("where", "host", "expected"),
    [
        (PublicAddress(), "exporter:10180", ("exporter:10180", "/probe", {})),
        (PublicAddress(), "exporter", ("exporter:80", "/probe", {})),
        (PublicAddress(), "[::1]:10180", ("[::1]:10180", "/probe", {})),
        (PublicAddress("/x"), "exporter:1", ("exporter:1", "/x/probe", {})),
        (
            PublicAddress("", "https://mcp.example.com"),
            "other",
            ("mcp.example.com:443", "/probe", SECURE),
        ),
        (
            PublicAddress("/in", "http://mcp.example.com:81/out"),
            "other",
            ("mcp.example.com:81", "/out/probe", {}),
        ),
    ],
    ids=["host", "no port", "IPv6", "prefix", "external URL", "external URL with a path"],
)
def test_discovery_has_one_group_for_each_account_and_one_for_the_exporter(
    where: PublicAddress, host: str, expected: tuple[str, str, dict[str, str]]
) -> None:
    source = Source()
    source.names = NAMES
    address, path, more = expected
    with site(source, site=where) as served:
        status, headers, body = served.ask(f"{where.route_prefix}/sd", headers={"Host": host})
    assert (status, headers["content-type"]) == (200, "application/json; charset=utf-8")
    own = path.replace("/probe", "/exporter")
    assert json.loads(body) == [
        *(group(address, name, path, **more) for name in NAMES),
        {"targets": [address], "labels": {"__metrics_path__": own, **more}},
    ]
    assert source.begun == []


@pytest.mark.parametrize("host", ["", "a b", "a/b", "<script>", "a:b", "user@host", "a,b"])
def test_discovery_believes_no_host_that_is_none(host: str) -> None:
    source = Source()
    with site(source) as served:
        status, _, body = served.ask("/sd", headers={"Host": host})
    assert (status, host.encode() in body) == (400, host == "")


def test_discovery_over_tls_says_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_chain(authority.issue_cert("127.0.0.1"), tmp_path)
    file = tmp_path / "web.yml"
    file.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    source = Source()
    with site(source, web_config=file) as served:
        _, _, body = served.ask("/sd", context=trusting(authority))
        address = f"127.0.0.1:{served.port}"
    assert json.loads(body)[0] == group(address, "a", "/probe", __scheme__="https")


IDS = {"first": "1" * 32, "the second": "2" * 32}


@pytest.fixture
def two_accounts(tmp_path: Path) -> Iterator[Path]:
    """A configuration file of two accounts, which a simulator has."""
    accounts = {one: SimulatedAccount(demo_scenario(), time.time(), 0) for one in IDS.values()}
    with Simulator(accounts) as simulator:
        file = tmp_path / "config.yml"
        entries = [
            {"name": name, "account_id": identity, "api_token": simulator.token}
            for name, identity in IDS.items()
        ]
        file.write_text(yaml.safe_dump({"base_url": simulator.base_url, "accounts": entries}))
        yield file


def test_a_real_prometheus_discovers_the_accounts_and_scrapes_each_by_itself(
    two_accounts: Path, run_exporter: RunExporter, run_prometheus: RunPrometheus
) -> None:
    exporter = run_exporter("--config.file", str(two_accounts))
    prometheus = run_prometheus(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n- job_name: mcp\n  http_sd_configs:\n"
        f'  - {{url: "{exporter.url}/sd", refresh_interval: 1s}}\n'
    )
    eventually(
        lambda: len(prometheus.query("cloudflare_mcp_up == 1")) == len(IDS), "two scraped accounts"
    )
    found = {
        (labels["account"], labels["account_id"])
        for labels, _ in prometheus.query("cloudflare_mcp_up")
    }
    assert found == set(IDS.items())
    assert {value for _, value in prometheus.query("up")} == {1.0}
    # What the exporter says of itself is a target of its own.
    eventually(
        lambda: prometheus.query("cloudflare_mcp_exporter_build_info"), "the exporter itself"
    )
    ((labels, _),) = prometheus.query("cloudflare_mcp_exporter_build_info")
    assert "account" not in labels
    name = "cloudflare_mcp_exporter_account_configured_timestamp_seconds"
    configured = {labels["account_id"] for labels, _ in prometheus.query(name)}
    assert configured == set(IDS.values())


def test_what_the_exporter_says_of_itself_lists_no_account(
    two_accounts: Path, run_exporter: RunExporter
) -> None:
    exporter = run_exporter("--config.file", str(two_accounts))
    own = samples(get(f"{exporter.url}/exporter").text)
    configured = "cloudflare_mcp_exporter_account_configured_timestamp_seconds"
    assert {dict(labels)["account_id"] for name, labels in own if name == configured} == set(
        IDS.values()
    )
    names = {name for name, _ in own if name.startswith("cloudflare_mcp_")}
    assert names == {
        "cloudflare_mcp_exporter_build_info",
        "cloudflare_mcp_exporter_config_last_reload_successful",
        "cloudflare_mcp_exporter_config_last_reload_success_timestamp_seconds",
        configured,
    }
    assert own.keys() <= samples(get(f"{exporter.url}/metrics").text).keys()


def test_a_scrape_of_the_exporter_itself_lists_nothing() -> None:
    source = Source()
    with site(source) as served:
        assert served.ask("/exporter")[0] == 200
    assert source.begun == [(None, "")]


def test_an_account_counts_as_configured_from_the_load_that_had_it(
    two_accounts: Path, run_exporter: RunExporter
) -> None:
    exporter = run_exporter("--config.file", str(two_accounts), "--web.enable-lifecycle")

    def configured() -> dict[str, float]:
        name = "cloudflare_mcp_exporter_account_configured_timestamp_seconds"
        own = samples(get(f"{exporter.url}/exporter").text)
        return {dict(labels)["account_id"]: v for (n, labels), v in own.items() if n == name}

    before = configured()
    document = yaml.safe_load(two_accounts.read_text())
    document["accounts"].pop()
    two_accounts.write_text(yaml.safe_dump(document))
    with requests.Session() as session:
        session.trust_env = False
        session.post(f"{exporter.url}/-/reload", timeout=10).raise_for_status()
    after = configured()
    assert after.keys() == {IDS["first"]}
    assert len(set(before.values())) == 1
    assert after[IDS["first"]] > before[IDS["first"]]


def test_a_probe_has_what_the_metrics_have_of_that_account_and_nothing_else(
    two_accounts: Path, run_exporter: RunExporter
) -> None:
    exporter = run_exporter("--config.file", str(two_accounts))
    probed = samples(get(f"{exporter.url}/probe", params={"account": "the second"}).text)
    assert probed
    assert {dict(labels).get("account_id") for _, labels in probed} == {IDS["the second"]}
    everything = samples(get(f"{exporter.url}/metrics").text)
    missing = {name for name, _ in probed.keys() - everything.keys()}
    assert missing <= {"cloudflare_mcp_api_requests_total", "cloudflare_mcp_api_retries_total"}
    named = get(f"{exporter.url}/probe", params={"account": "first", "name[]": "cloudflare_mcp_up"})
    assert [name for name, _ in samples(named.text)] == ["cloudflare_mcp_up"]
    assert get(f"{exporter.url}/probe", params={"account": IDS["first"]}).status_code == 404


# --- configuration and reload ------------------------------------------------------------------


def test_the_configuration_is_shown() -> None:
    with site(Source(), control=Configuration()) as served:
        status, headers, body = served.ask("/config")
    assert (status, body.decode()) == (200, "accounts:\n- name: ü\n")
    assert headers["content-type"] == "text/yaml; charset=utf-8"


@pytest.mark.parametrize(
    ("lifecycle", "method", "status", "text"),
    [
        (True, "POST", 200, "configuration reloaded"),
        (False, "POST", 403, "reloads are disabled; enable them with --web.enable-lifecycle"),
        (True, "GET", 405, "method not allowed"),
        (True, "PUT", 405, "method not allowed"),
        (False, "GET", 405, "method not allowed"),
    ],
)
def test_only_a_post_reloads_and_only_where_that_is_enabled(
    lifecycle: bool, method: str, status: int, text: str
) -> None:
    control = Configuration(None)
    with site(Source(), control=control, lifecycle=lifecycle) as served:
        got, headers, body = served.ask("/-/reload", method)
    assert (got, body.decode()) == (status, f"{text}\n")
    assert headers.get("allow") == ("POST" if status == 405 else None)
    assert bool(control.problems) is (status != 200)


def test_a_reload_that_fails_is_a_500_with_the_one_line_that_says_why() -> None:
    control = Configuration("config.yml:3: accounts: is empty; list one", None)
    with site(Source(), control=control, lifecycle=True) as served:
        status, _, body = served.ask("/-/reload", "POST")
        assert (status, body) == (500, b"config.yml:3: accounts: is empty; list one\n")
        assert served.ask("/-/reload", "POST")[0] == 200


def test_reloads_hold_nothing_up() -> None:
    with site(Source(), control=Configuration(*[None] * 10), lifecycle=True) as served:
        statuses: list[int] = []
        askers = [
            threading.Thread(target=lambda: statuses.append(served.ask("/-/reload", "POST")[0]))
            for _ in range(10)
        ]
        for asker in askers:
            asker.start()
        assert served.ask()[0] == 200
        for asker in askers:
            asker.join(10)
    assert statuses == [200] * 10


def test_a_reload_over_http_brings_new_accounts_and_a_bad_file_does_not(
    two_accounts: Path, run_exporter: RunExporter
) -> None:
    exporter = run_exporter("--config.file", str(two_accounts), "--web.enable-lifecycle")

    def reload() -> tuple[int, str]:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(f"{exporter.url}/-/reload", timeout=10)
        return answer.status_code, answer.text

    good = two_accounts.read_text()
    two_accounts.write_text(good.replace("the second", "renamed"))
    assert reload() == (200, "configuration reloaded\n")
    names = [one["labels"].get("account") for one in get(f"{exporter.url}/sd").json()]
    assert names == ["first", "renamed", None]
    two_accounts.write_text("accounts: []\n")
    status, text = reload()
    assert status == 500
    assert re.fullmatch(rf"{re.escape(str(two_accounts))}:1: accounts: .+\n", text)
    shown = get(f"{exporter.url}/config")
    assert [one["name"] for one in yaml.safe_load(shown.text)["accounts"]] == ["first", "renamed"]
    assert "api_token: <hidden>" in shown.text


# --- prefixes ----------------------------------------------------------------------------------

LINKED = (
    *("/metrics", "/api/v1/status", "/sd", "/config", "/runbooks/", "/-/healthy", "/-/ready"),
)
PATHS = (*LINKED, "/probe?account=a", "/exporter", "/")


def test_every_path_has_the_prefix_and_none_is_without_it() -> None:
    source = Source()
    with site(source, control=Configuration(), site=PublicAddress("/x/y")) as served:
        for path in PATHS:
            assert served.ask(f"/x/y{path}")[0] == 200, path
            if path != "/":
                assert served.ask(path)[0] == 404, path
        for path in ("/", "/x/y"):
            status, headers, _ = served.ask(path)
            assert (status, headers["location"]) == (302, "/x/y/"), path
        assert served.ask("/x")[0] == 404
        page = served.ask("/x/y/")[2].decode()
    links = [link for link in re.findall(r'href="(/[^"#?]*)"', page) if link != "/x/y/"]
    assert links == [f"/x/y{path}" for path in LINKED]


def test_a_proxy_that_takes_the_prefix_away_gets_links_that_have_it() -> None:
    source = Source()
    where = PublicAddress("", "https://example.com/mcp")
    with site(source, site=where) as served:
        page = served.ask("/")[2].decode()
    assert 'href="/mcp/metrics"' in page


def test_the_prefix_is_the_path_of_the_external_url_unless_it_is_given(
    run_exporter: RunExporter, simulator: Simulator
) -> None:
    exporter = run_exporter(
        "--web.external-url=http://mcp.example.com/tools",
        "--web.route-prefix=/",
        env=simulator.environment(),
    )
    found, _ = get(f"{exporter.url}/sd").json()
    assert found["targets"] == ["mcp.example.com:80"]
    assert found["labels"]["__metrics_path__"] == "/tools/probe"


# --- the bound on scrapes ----------------------------------------------------------------------


class Slow(Source):
    """Scrapes whose text takes until `go_on` to be made."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def expose(self, scrapes: Outcome, form: Format, names: frozenset[str]) -> list[bytes]:
        assert self.go_on.wait(20)
        return super().expose(scrapes, form, names)


def test_scrapes_beyond_the_bound_are_refused_at_once_and_health_never_is() -> None:
    source = Slow()
    with site(source, max_requests=3) as served, ExitStack() as cleanup:
        for path in ("/metrics", "/metrics", "/probe?account=a"):
            connection = cleanup.enter_context(served.connect())
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        eventually(lambda: len(source.begun) == 3, "three scrapes under way")
        for path in ("/metrics", "/probe?account=b"):
            began = time.monotonic()
            status, headers, body = served.ask(path)
            assert time.monotonic() - began < 5
            assert (status, headers["content-type"]) == (503, "text/plain; charset=utf-8")
            assert body == b"already rendering 3 metrics responses, retry later\n"
        for path in ("/-/healthy", "/-/ready", "/", "/sd"):
            assert served.ask(path)[0] == 200, path
        source.go_on.set()
        eventually(lambda: served.ask()[0] == 200, "room for another scrape")


def test_readers_that_are_slow_take_no_place_of_a_scrape() -> None:
    source = Source(b"x" * 5_000_000)
    with site(source, max_requests=1) as served, ExitStack() as cleanup:
        for number in range(1, 4):
            connection = cleanup.enter_context(served.connect())
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(5) == b"HTTP/"  # the answer is ready, and stays there
            assert len(source.begun) == number
        assert served.ask()[0] == 200


def test_scrapes_that_wait_for_a_listing_take_no_place() -> None:
    source = Source()
    waiting: Future[bytes] = Future()
    source.next = lambda: waiting
    with site(source, max_requests=1) as served, ExitStack() as cleanup:
        for _ in range(5):
            connection = cleanup.enter_context(served.connect())
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: len(source.begun) == 5, "five scrapes under way")
        source.next = lambda: done(b"up 1\n")
        assert served.ask()[0] == 200
        waiting.set_result(b"")


def test_sixty_scrapes_that_join_one_listing_are_all_answered(
    run_exporter: RunExporter, simulator: Simulator
) -> None:
    all_asked = threading.Event()

    def moment() -> float:
        assert all_asked.wait(60)
        return time.time()

    simulator.clock = moment  # the API answers when all have asked
    exporter = run_exporter("--scrape.timeout=60", env=simulator.environment())
    address = exporter.url.removeprefix("http://")
    scrapes = [http.client.HTTPConnection(address, timeout=60) for _ in range(60)]
    for scrape in scrapes:
        scrape.request("GET", "/metrics")
    # Who answers a later connection has read what earlier ones sent.
    assert [get(f"{exporter.url}/-/healthy").ok for _ in range(2)] == [True, True]
    all_asked.set()
    with ExitStack() as cleanup:
        texts = []
        for scrape in scrapes:
            cleanup.callback(scrape.close)
            texts.append(scrape.getresponse().read().decode())
    assert {value(text, "cloudflare_mcp_up") for text in texts} == {1}
    assert len(simulator.requests) == 1


# --- the documentation -------------------------------------------------------------------------


def test_the_documentation_has_the_endpoints_that_there_are_and_their_methods() -> None:
    text = (ROOT / "docs" / "reference" / "endpoints.md").read_text()
    rows = re.findall(r"^\| `(/[^`]*)` \| ([A-Z, ]+) \|", text, re.MULTILINE)
    source = Source()
    paths = {
        *(routes.HEALTHY, routes.READY, routes.PROBE),
        *(routes.DISCOVERY, routes.EXPORTER, routes.CONFIG, routes.RELOAD),
    }
    paths |= {f"{routes.RUNBOOKS}/", "/api/v1/status"}
    assert {path for path, _ in rows} == {"/", "/metrics", *paths}
    with site(source, control=Configuration()) as served:
        for path, methods in rows:
            status, headers, _ = served.ask(path, "DELETE")
            assert (status, headers["allow"]) == (405, methods), path
