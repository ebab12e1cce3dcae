"""Discovery and probes over HTTP, with the real exporter, and with a real Prometheus."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from exporter.probes.result import Outcome
from mcpserver import McpServer, Message, Say, always, header, legacy, modern
from probejobs import documented_jobs
from processes import Prometheus, RunningExporter, eventually, get
from rawserver import RawServer, answer, listing, refusal
from watching import ACCOUNT_ID, TOKEN, samples

RunExporter = Callable[..., RunningExporter]
RunPrometheus = Callable[[str], Prometheus]

ON = ("--probe.servers", "--probe.portals", "--probe.allow-http")
LOCAL = "--probe.allow-networks=127.0.0.0/8"
SERVER = f"/probe/server?account={ACCOUNT_ID}&server="
PORTAL = f"/probe/portal?account={ACCOUNT_ID}&portal="
SECRET = "s3rviceTokenThatMustNeverBeSeen_0123456789"


def server(identity: str, url: str, **fields: Any) -> dict[str, Any]:
    """A record of a server that users of the portal should see."""
    return {
        "id": identity,
        "server_id": identity,
        "name": identity.title(),
        "hostname": url,
        "auth_type": "unauthenticated",
        "status": "ready",
        "on_behalf": False,
        "default_disabled": False,
        "tools": [{"name": "search"}, {"name": "read"}],
        "prompts": [],
        **fields,
    }


class Api(RawServer):
    """Lists one portal of these servers, until it is told to fail."""

    def __init__(self, *servers: dict[str, Any], hostname: str = "portal.invalid") -> None:
        super().__init__(self._answer_one)
        self.servers = list(servers)
        self.hostname = hostname
        self.fails = False

    def _answer_one(self, connection: socket.socket, _head: str) -> None:
        if self.fails:
            connection.sendall(answer(refusal(1, "no"), "403 Forbidden"))
            return
        found = {
            "id": "main",
            "name": "Main",
            "hostname": self.hostname,
            "servers": self.servers,
        }
        headers = "Content-Type: application/json\r\n"
        connection.sendall(answer(listing([found], total_count=1), headers=headers))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "CLOUDFLARE_BASE_URL": self.base_url,
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
            "CLOUDFLARE_API_TOKEN": TOKEN,
        }


def value_of(text: str, name: str, **labels: str) -> float | None:
    found = [
        value
        for (metric, given), value in samples(text).items()
        if metric == name and labels.items() <= dict(given).items()
    ]
    assert len(found) <= 1
    return found[0] if found else None


# --- off ---------------------------------------------------------------------------------------


def test_off_by_default_there_is_nothing_to_discover_and_nothing_to_probe(
    run_exporter: RunExporter,
) -> None:
    with McpServer(modern(["search"])) as target, Api(server("docs", target.url)) as api:
        exporter = run_exporter(env=api.environment)
        for kind, path in (
            ("servers", "/sd/servers"),
            ("portals", "/sd/portals"),
            ("servers", f"{SERVER}docs"),
            ("portals", f"{PORTAL}main"),
        ):
            reply = get(f"{exporter.url}{path}")
            expected = f"probes of {kind} are not enabled; see --probe.{kind}\n"
            assert (reply.status_code, reply.text) == (404, expected)
        assert "_probe_" not in get(f"{exporter.url}/metrics").text
        assert target.heads == []


def test_one_kind_can_be_on_without_the_other(run_exporter: RunExporter) -> None:
    with Api() as api:
        exporter = run_exporter("--probe.servers", env=api.environment)
        assert get(f"{exporter.url}/sd/servers").json() == []
        assert get(f"{exporter.url}/sd/portals").status_code == 404


# --- discovery ---------------------------------------------------------------------------------


def test_targets_are_what_the_account_lists_with_ids_and_names(run_exporter: RunExporter) -> None:
    servers = (
        server("docs", "https://docs.invalid/mcp"),
        server("private", "https://private.invalid/mcp", secure_web_gateway=True),
        server("nowhere", ""),
    )
    with Api(*servers) as api:
        exporter = run_exporter(
            *ON,
            "--web.external-url=https://mcp.example.com/x",
            "--web.route-prefix=/",
            env=api.environment,
        )
        address = "mcp.example.com:443"
        common = {
            "__scheme__": "https",
            "__meta_cloudflare_mcp_account_id": ACCOUNT_ID,
            "__param_account": ACCOUNT_ID,
            "account": ACCOUNT_ID,
        }
        assert get(f"{exporter.url}/sd/servers").json() == [
            {
                "targets": [address],
                "labels": {
                    **common,
                    "__metrics_path__": "/x/probe/server",
                    "__meta_cloudflare_mcp_server_name": "Docs",
                    "__param_server": "docs",
                    "server": "docs",
                },
            }
        ]
        assert get(f"{exporter.url}/sd/portals").json() == [
            {
                "targets": [address],
                "labels": {
                    **common,
                    "__metrics_path__": "/x/probe/portal",
                    "__meta_cloudflare_mcp_portal_name": "Main",
                    "__param_portal": "main",
                    "portal": "main",
                },
            }
        ]


def test_discovery_lists_the_account_as_a_scrape_would_and_a_probe_uses_the_last_listing(
    run_exporter: RunExporter,
) -> None:
    with McpServer(modern(["search"])) as target, Api(server("docs", target.url)) as api:
        exporter = run_exporter(*ON, LOCAL, "--cache.ttl=1h", env=api.environment)
        for path in ("/sd/servers", "/sd/portals", "/metrics", f"{SERVER}docs", "/sd/servers"):
            assert get(f"{exporter.url}{path}").status_code == 200
        assert len(api.heads) == 1


def test_while_listing_fails_the_targets_stay_and_before_any_listing_there_is_none(
    run_exporter: RunExporter,
) -> None:
    with McpServer(modern(["search"])) as target, Api(server("docs", target.url)) as api:
        api.fails = True
        exporter = run_exporter(*ON, LOCAL, env=api.environment)
        for path in ("/sd/servers", "/sd/portals", f"{SERVER}docs", f"{PORTAL}main"):
            assert get(f"{exporter.url}{path}").status_code == 503, path
        api.fails = False

        def discovered() -> bool:  # after the pause that follows a refusal
            return get(f"{exporter.url}/sd/servers").ok

        eventually(discovered, "discovery", within=90, every=0.5)
        api.fails = True
        (found,) = get(f"{exporter.url}/sd/servers").json()
        assert found["labels"]["server"] == "docs"
        assert get(f"{exporter.url}{SERVER}docs").status_code == 200


def test_an_account_that_cannot_be_listed_hides_no_target_of_another(
    run_exporter: RunExporter, tmp_path: Path
) -> None:
    with Api(server("docs", "https://docs.invalid/mcp")) as api, Api() as broken:
        broken.fails = True
        file = tmp_path / "config.yml"
        file.write_text(
            yaml.safe_dump(
                {
                    "probes": {"servers": True},
                    "accounts": [
                        {
                            "name": name,
                            "account_id": identity,
                            "api_token": TOKEN,
                            "base_url": one.base_url,
                        }
                        for name, identity, one in (
                            ("good", ACCOUNT_ID, api),
                            ("broken", ACCOUNT_ID[::-1], broken),
                        )
                    ],
                }
            )
        )
        exporter = run_exporter(f"--config.file={file}")
        (found,) = get(f"{exporter.url}/sd/servers").json()
        assert found["labels"]["account"] == "good"


# --- probes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/probe/server", 400, "exactly one account and one server are required"),
        (f"{SERVER}docs&server=x", 400, "exactly one account and one server are required"),
        ("/probe/server?account=&server=docs", 400, "exactly one account and one server"),
        (SERVER, 400, "exactly one account and one server are required"),
        (f"{PORTAL}main&portal=x", 400, "exactly one account and one portal are required"),
        ("/probe/server?account=other&server=docs", 404, "there is no account of this name"),
        (f"{SERVER}other", 404, "the account lists no such target"),
        (f"{SERVER}http%3A%2F%2F127.0.0.1%2Fmcp", 404, "the account lists no such target"),
        (f"{SERVER}private", 404, "the account lists no such target"),
        (f"{PORTAL}docs", 404, "the account lists no such target"),
    ],
)
def test_what_is_not_a_target_is_refused(
    listing_exporter: str, path: str, status: int, text: str
) -> None:
    reply = get(f"{listing_exporter}{path}")
    assert reply.status_code == status
    assert text in reply.text


@pytest.fixture(scope="module")
def listing_exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an exporter whose account lists a server of each kind."""
    private = server("private", "https://private.invalid/mcp", secure_web_gateway=True)
    with Api(server("docs", "https://docs.invalid/mcp"), private) as api:
        home = tmp_path_factory.mktemp("exporter")
        exporter = RunningExporter(home, *ON, env=api.environment)
        try:
            exporter.await_ready()
            yield exporter.url
        finally:
            exporter.stop()


def test_a_probe_answers_with_the_metrics_of_its_target_alone(run_exporter: RunExporter) -> None:
    with McpServer(modern(["search", "new"])) as target, Api(server("docs", target.url)) as api:
        exporter = run_exporter(*ON, LOCAL, env=api.environment)
        reply = get(f"{exporter.url}{SERVER}docs")
        text = reply.text
        one = {"account_id": ACCOUNT_ID, "server_id": "docs"}
        name = "cloudflare_mcp_server_probe_"
        assert value_of(text, f"{name}success", **one) == 1
        assert value_of(text, f"{name}http_status_code", **one) == 200
        assert value_of(text, f"{name}info", **one, protocol_version="2026-07-28") == 1
        assert value_of(text, f"{name}tools", **one) == 2
        assert value_of(text, f"{name}catalog_drift_tools", **one, change="added") == 1
        assert value_of(text, f"{name}catalog_drift_tools", **one, change="removed") == 1
        assert value_of(text, f"{name}duration_seconds", **one, phase="discover") is not None
        age = time.time() - (value_of(text, f"{name}timestamp_seconds", **one) or 0)
        assert 0 <= age < 60
        outcomes = {
            dict(labels)["outcome"]: value
            for (metric, labels), value in samples(text).items()
            if metric == f"{name}outcome"
        }
        assert outcomes == {one: float(one == "ok") for one in Outcome}
        assert [metric for metric, _ in samples(text) if not metric.startswith(name)] == []
        assert TOKEN not in "".join(target.heads)
        assert "authorization" not in "".join(target.heads).lower()


def test_loopback_is_refused_unless_it_is_allowed(run_exporter: RunExporter) -> None:
    with McpServer(modern(["search"])) as target, Api(server("docs", target.url)) as api:
        exporter = run_exporter(*ON, env=api.environment)
        text = get(f"{exporter.url}{SERVER}docs").text
        outcome = "cloudflare_mcp_server_probe_outcome"
        assert value_of(text, outcome, outcome="refused_address") == 1
        assert value_of(text, "cloudflare_mcp_server_probe_success") == 0
        assert target.heads == []


def test_however_many_ask_a_target_is_probed_once_an_interval(run_exporter: RunExporter) -> None:
    held = threading.Event()

    def slow(connection: socket.socket, head: str, message: Message) -> None:
        held.wait(5)
        modern(["search"])(connection, head, message)

    with McpServer(slow) as target, Api(server("docs", target.url)) as api:
        exporter = run_exporter(*ON, LOCAL, "--probe.min-interval=1h", env=api.environment)
        get(f"{exporter.url}/metrics")
        listings = len(api.heads)
        texts: list[str] = []
        asking = [
            threading.Thread(target=lambda: texts.append(get(f"{exporter.url}{SERVER}docs").text))
            for _ in range(12)
        ]
        for one in asking:
            one.start()
        eventually(lambda: target.methods, "probe")
        held.set()
        for one in asking:
            one.join(20)
        texts.append(get(f"{exporter.url}{SERVER}docs").text)
        ended = {value_of(text, "cloudflare_mcp_server_probe_timestamp_seconds") for text in texts}
        assert (len(texts), len(ended)) == (13, 1)
        assert target.methods == ["server/discover", "tools/list"]
        assert len(api.heads) == listings


def behind_access(inner: Say) -> Say:
    """Lets in who has the service token, and sends everybody else to the login."""

    def say(connection: socket.socket, head: str, message: Message) -> None:
        if header(head, "CF-Access-Client-Secret") == SECRET:
            inner(connection, head, message)
        else:
            where = "Location: https://team.cloudflareaccess.com/login\r\n"
            connection.sendall(answer(b"", "302 Found", where))

    return say


def test_a_portal_shows_which_servers_its_users_see_and_the_token_is_seen_nowhere(
    run_exporter: RunExporter, tmp_path: Path
) -> None:
    tools = ["docs_search", "docs_read", "portal_list"]
    with McpServer(behind_access(modern(tools))) as target:
        servers = (
            server("docs", "https://docs.invalid/mcp"),
            server("hidden", "https://hidden.invalid/mcp"),
            server("personal", "https://personal.invalid/mcp", on_behalf=True),
        )
        with Api(*servers, hostname=f"http://{target.host}") as api:
            (tmp_path / "secret").write_text(SECRET)
            file = tmp_path / "config.yml"
            file.write_text(
                yaml.safe_dump(
                    {
                        "probes": {
                            "portals": True,
                            "allow_http": True,
                            "allow_networks": ["127.0.0.1"],
                            "access_client_id": "0123456789abcdef.access",
                            "access_client_secret_file": "secret",
                        },
                        "accounts": [
                            {
                                "name": "main",
                                "account_id": ACCOUNT_ID,
                                "api_token": TOKEN,
                                "base_url": api.base_url,
                            }
                        ],
                    }
                )
            )
            exporter = run_exporter(f"--config.file={file}", "--log.level=debug")
            text = get(f"{exporter.url}/probe/portal?account=main&portal=main").text
            visible = "cloudflare_mcp_portal_probe_server_visible"
            one = {"account_id": ACCOUNT_ID, "portal_id": "main"}
            assert value_of(text, "cloudflare_mcp_portal_probe_success", **one) == 1
            assert value_of(text, visible, **one, server_id="docs") == 1
            assert value_of(text, visible, **one, server_id="hidden") == 0
            assert value_of(text, visible, **one, server_id="personal") is None
            tools_of = "cloudflare_mcp_portal_probe_server_tools"
            assert value_of(text, tools_of, **one, server_id="docs") == 2

            (tmp_path / "secret").write_text("")
            for path in ("/config", "/", "/metrics", "/probe/portal?account=main&portal=main"):
                shown = get(f"{exporter.url}{path}").text
                assert SECRET not in shown
                assert "0123456789abcdef.access" not in shown
            assert SECRET not in exporter.log


def test_probes_need_a_password_where_the_metrics_do(
    run_exporter: RunExporter, tmp_path: Path
) -> None:
    web = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    web.write_text(yaml.safe_dump({"basic_auth_users": {"me": hashed}}))
    with McpServer(modern(["search"])) as target, Api(server("docs", target.url)) as api:
        exporter = run_exporter(*ON, LOCAL, f"--web.config.file={web}", env=api.environment)
        for path in ("/sd/servers", "/sd/portals", f"{SERVER}docs", f"{PORTAL}main"):
            assert get(f"{exporter.url}{path}").status_code == 401, path
        assert target.heads == []
        reply = get(f"{exporter.url}{SERVER}docs", auth=("me", "open sesame"))
        assert reply.status_code == 200


def test_the_status_page_shows_the_last_probe_of_a_server(run_exporter: RunExporter) -> None:
    dead = McpServer(always("503 Service Unavailable"))
    with dead as target, Api(server("docs", target.url)) as api:
        exporter = run_exporter(*ON, LOCAL, env=api.environment)
        get(f"{exporter.url}/metrics")
        assert "probe: " not in get(f"{exporter.url}/").text
        get(f"{exporter.url}{SERVER}docs")
        page = get(f"{exporter.url}/").text
        table = get(f"{exporter.url}/?view=servers").text
    said = r"<small>probe: http error, \d\d:\d\d:\d\d UTC</small>"
    assert "Live probes that fail" in page
    assert re.search(rf"<code>docs</code>{said}", page)
    assert re.search(said, table)


def test_the_status_as_json_has_the_last_probe_of_servers_and_portals(
    run_exporter: RunExporter,
) -> None:
    dead = McpServer(always("503 Service Unavailable"))
    with (
        dead as down,
        McpServer(modern(["search", "read"])) as works,
        Api(
            server("docs", down.url),
            server("wiki", works.url),
            server("chat", works.url),
            hostname=down.url,
        ) as api,
    ):
        exporter = run_exporter(*ON, LOCAL, env=api.environment)
        status = f"{exporter.url}/api/v1/status"
        get(f"{exporter.url}/metrics")
        first = get(status)
        listed = [*first.json()["servers"], *first.json()["portals"]]
        assert [one["probe"] for one in listed] == [None] * 4
        scrapes = {
            identity: get(exporter.url + path + identity).text
            for path, identity in ((SERVER, "docs"), (SERVER, "wiki"), (PORTAL, "main"))
        }
        # Nothing was listed meanwhile: what a probe found is enough for a new answer.
        second = get(status, headers={"If-None-Match": first.headers["ETag"]})
        assert second.status_code == 200
    servers = {one["id"]: one for one in second.json()["servers"]}
    (portal,) = second.json()["portals"]
    assert servers["chat"]["probe"] is None
    expected = (
        ("server", servers["docs"], False, "http_error"),
        ("server", servers["wiki"], True, "ok"),
        ("portal", portal, False, "http_error"),
    )
    for kind, row, success, outcome in expected:
        probe, scrape = row["probe"], scrapes[row["id"]]
        assert probe.keys() == {"success", "outcome", "seconds", "ended"}
        assert (probe["success"], probe["outcome"]) == (success, outcome)
        metric = f"cloudflare_mcp_{kind}_probe"
        assert value_of(scrape, f"{metric}_outcome", outcome=outcome) == 1
        took = sum(
            value
            for (name, _), value in samples(scrape).items()
            if name == f"{metric}_duration_seconds"
        )
        assert probe["seconds"] == pytest.approx(took, abs=0.001)
        ended = value_of(scrape, f"{metric}_timestamp_seconds")
        assert ended is not None
        assert datetime.fromisoformat(probe["ended"]).timestamp() == int(ended)
    assert servers["wiki"]["state"] == servers["docs"]["state"]  # of the listing alone


# --- a real Prometheus -------------------------------------------------------------------------

TARGETS = 200


@contextmanager
def account_of_many(count: int) -> Iterator[tuple[Api, McpServer]]:
    """An account of so many servers; one is legacy, and the last one is dead."""

    def say(connection: socket.socket, head: str, message: Message) -> None:
        number = int(head.split(" ")[1].rsplit("/", 1)[1])
        if number == count - 1:
            always("503 Service Unavailable")(connection, head, message)
        else:
            (legacy if number % 10 == 0 else modern)(["search", "read"])(connection, head, message)

    with McpServer(say) as target:
        servers = [server(f"s{n:03}", f"http://{target.host}/mcp/{n}") for n in range(count)]
        home = McpServer(always("200 OK", "Content-Type: text/html\r\n"))
        with home as page, Api(*servers, hostname=f"http://{page.host}") as api:
            yield api, target


def test_prometheus_discovers_and_probes_200_servers_within_one_interval(
    run_exporter: RunExporter, run_prometheus: RunPrometheus
) -> None:
    with account_of_many(TARGETS) as (api, _):
        exporter = run_exporter(*ON, LOCAL, env=api.environment)
        jobs = yaml.safe_dump(documented_jobs(exporter.url, "30s"))
        prometheus = run_prometheus(jobs)
        probed = f"count(cloudflare_mcp_server_probe_success) == {TARGETS}"
        eventually(lambda: prometheus.query(probed), "200 probed servers", within=90, every=0.5)

        servers = 'job="cloudflare-mcp-servers"'
        assert prometheus.query(f"count(up{{{servers}}} == 1)")[0][1] == TARGETS
        succeeded = prometheus.query("sum(cloudflare_mcp_server_probe_success)")
        assert succeeded[0][1] == TARGETS - 1
        (dead,) = prometheus.query('cloudflare_mcp_server_probe_outcome{outcome="http_error"} == 1')
        assert dead[0]["server_id"] == dead[0]["server"] == f"s{TARGETS - 1:03}"
        # They join with what the listing says, and nothing was renamed to exported_*.
        joined = (
            "cloudflare_mcp_server_probe_success "
            "* on (account_id, server_id) group_left (server_name) cloudflare_mcp_server_info"
        )
        eventually(lambda: len(prometheus.query(joined)) == TARGETS, "joined series")
        assert not [
            label
            for labels, _ in prometheus.query("cloudflare_mcp_server_probe_success")
            for label in labels
            if label.startswith("exported_")
        ]
        assert prometheus.query("cloudflare_mcp_portal_probe_success")[0][1] == 1


def test_two_prometheus_servers_probe_a_target_no_more_often_than_one(
    run_exporter: RunExporter, run_prometheus: RunPrometheus
) -> None:
    with McpServer(modern(["search"])) as target, Api(server("docs", target.url)) as api:
        exporter = run_exporter(*ON, LOCAL, "--probe.min-interval=1h", env=api.environment)
        jobs = yaml.safe_dump(documented_jobs(exporter.url, "1s"))
        both = [run_prometheus(jobs) for _ in range(2)]
        often = "count_over_time(cloudflare_mcp_server_probe_success[1h]) > 3"
        for one in both:
            eventually(partial(one.query, often), "several scrapes")
        assert target.methods == ["server/discover", "tools/list"]
