"""Which alerts live probes raise, when, and what they say: judged by promtool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.model import ErrorClass
from exporter.probes.result import Outcome
from mixin import alerts
from mixin.thresholds import load
from promtool import ACCOUNT, When, World, at, between, since
from realparts import require

DAY = 86400.0
REFUSED = ErrorClass("true", "false", "401", "-32001")
PASSING = ErrorClass("true", "true", "503", "")

Firing = set[tuple[str, str, str]]
"""Name without the prefix, portal id and server id of what fires."""

NOT_ANSWERING = ("ServerNotAnswering", "", "jira")
HIDDEN = ("PortalHidesServer", "eng", "jira")


class Probed(World):
    """A fleet whose servers and portals are probed by Prometheus, too."""

    def probe(
        self,
        kind: str,
        identity: str,
        name: str,
        value: When[float | None],
        **labels: Any,
    ) -> None:
        """A series of the probes of a server or a portal; it outlives a failed listing."""
        metric = f"cloudflare_mcp_{kind}_probe_{name}"
        if kind == "server":
            self.sample(metric, value, account_id=ACCOUNT, server_id=identity, **labels)
        else:
            self.sample(metric, value, account_id=ACCOUNT, portal_id=identity, **labels)

    def answers(
        self,
        kind: str = "server",
        identity: str = "jira",
        outcome: When[Outcome | None] = Outcome.OK,
    ) -> None:
        """The outcome of the probes of a target; None where it was not scraped."""

        def holds(one: Outcome) -> When[float | None]:
            return lambda minute: (
                None if at(outcome, minute) is None else float(at(outcome, minute) is one)
            )

        for one in Outcome:
            self.probe(kind, identity, "outcome", holds(one), outcome=one.value)
        self.probe(kind, identity, "success", holds(Outcome.OK))

    def fleet(self, **jira: Any) -> None:
        """The portal Engineering with the servers Jira and Wiki."""
        self.exporter()
        self.account()
        self.server(**jira)
        self.server("wiki")
        self.portal(name="Engineering")

    def firing(self, folder: Path, expected: Mapping[int, Firing]) -> None:
        """Fail unless exactly these alerts fire at these minutes."""
        document = self.document()
        (test,) = document["tests"]
        test["promql_expr_test"] = [
            {
                "expr": 'group by (alertname, portal_id, server_id) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minute}m",
                "exp_samples": [_sample(*one) for one in sorted(alerts)],
            }
            for minute, alerts in expected.items()
        ]
        _judge(folder, document)


def _sample(name: str, portal: str, server: str, **more: str) -> dict[str, Any]:
    labels = {
        "alertname": f"CloudflareMCP{name}",
        "portal_id": portal,
        "server_id": server,
        **more,
    }
    inner = ",".join(f'{label}="{text}"' for label, text in labels.items() if text)
    return {"labels": f"{{{inner}}}", "value": 1}


def _judge(folder: Path, document: dict[str, Any]) -> None:
    file = folder / "probes.test.yml"
    file.write_text(json.dumps(document))
    run = subprocess.run(
        [require("promtool"), "test", "rules", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stdout


# --- a server that does not answer -------------------------------------------------------------


def test_a_server_that_dies_between_two_syncs_is_one_alert_until_it_answers(
    tmp_path: Path,
) -> None:
    world = Probed(60)
    world.fleet()
    world.answers(outcome=between(10, 39, Outcome.CONNECT, Outcome.OK))
    world.firing(
        tmp_path, {14: set(), 16: {NOT_ANSWERING}, 40: {NOT_ANSWERING}, 52: set(), 60: set()}
    )


@pytest.mark.parametrize("outcome", [Outcome.THROTTLED, Outcome.REFUSED_ADDRESS])
def test_what_does_not_tell_whether_a_server_works_is_no_alert(
    outcome: Outcome, tmp_path: Path
) -> None:
    world = Probed(30)
    world.fleet()
    world.answers(outcome=outcome)
    world.firing(tmp_path, {10: set(), 30: set()})


def test_a_scrape_that_is_missed_changes_nothing(tmp_path: Path) -> None:
    world = Probed(60)
    world.fleet()
    world.answers(outcome=lambda minute: None if minute % 4 == 3 else Outcome.TIMEOUT)
    world.firing(tmp_path, {minute: {NOT_ANSWERING} for minute in range(8, 61)})


def test_it_goes_on_while_the_account_cannot_be_listed(tmp_path: Path) -> None:
    world = Probed(40, unlisted=since(15, True, False))
    world.fleet()
    world.answers(outcome=Outcome.DNS)
    document = world.document()
    (test,) = document["tests"]
    test["promql_expr_test"] = [
        {
            "expr": 'count(ALERTS{alertstate="firing", alertname=~".*NotAnswering"})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for minute in (8, 20, 40)
    ]
    _judge(tmp_path, document)


def test_a_server_whose_failure_the_listing_reports_is_the_alert_of_the_listing(
    tmp_path: Path,
) -> None:
    world = Probed(90)
    world.fleet(details=since(30, REFUSED, None))
    world.answers(outcome=since(5, Outcome.HTTP_ERROR, Outcome.OK))
    both = {("ServerError", "", "jira")}
    world.firing(tmp_path, {12: {NOT_ANSWERING}, 29: {NOT_ANSWERING}, 60: both, 90: both})


def test_a_failure_that_the_listing_still_calls_retryable_is_reported_by_the_probe(
    tmp_path: Path,
) -> None:
    world = Probed(30)
    world.fleet(details=since(3, PASSING, None))
    world.answers(outcome=since(3, Outcome.HTTP_ERROR, Outcome.OK))
    world.firing(tmp_path, {12: {NOT_ANSWERING}, 30: {NOT_ANSWERING}})


def test_two_exporters_of_which_one_reaches_the_server_are_no_alert(tmp_path: Path) -> None:
    world = Probed(30, instances=("one:9853", "two:9853"))
    world.fleet()
    for instance, value in {"one:9853": 1, "two:9853": 0}.items():
        world.sample(
            "cloudflare_mcp_server_probe_success",
            value,
            instances=(instance,),
            account_id=ACCOUNT,
            server_id="jira",
        )
    world.firing(tmp_path, {30: set()})


def test_a_detached_server_is_no_alert(tmp_path: Path) -> None:
    world = Probed(30)
    world.fleet()
    world.answers(identity="old", outcome=Outcome.CONNECT)
    world.firing(tmp_path, {30: set()})


# --- a portal ----------------------------------------------------------------------------------


def visible(world: Probed, value: When[float | None]) -> None:
    world.probe("portal", "eng", "server_visible", value, server_id="jira")


def test_a_server_that_users_do_not_see_although_it_is_ready(tmp_path: Path) -> None:
    world = Probed(60)
    world.fleet()
    world.answers()
    world.answers("portal", "eng")
    visible(world, between(5, 30, 0, 1))
    world.firing(tmp_path, {14: set(), 16: {HIDDEN}, 31: {HIDDEN}, 45: set()})


def test_a_server_that_is_down_and_hidden_is_one_alert(tmp_path: Path) -> None:
    world = Probed(90)
    world.fleet()
    world.answers(outcome=between(5, 60, Outcome.CONNECT, Outcome.OK))
    world.answers("portal", "eng")
    visible(world, between(5, 60, 0, 1))
    world.firing(tmp_path, {12: {NOT_ANSWERING}, 60: {NOT_ANSWERING}, 90: set()})


def test_a_server_in_error_and_hidden_is_one_alert(tmp_path: Path) -> None:
    world = Probed(60)
    world.fleet(details=REFUSED)
    world.answers()
    world.answers("portal", "eng")
    visible(world, since(15, 0, 1))
    error = {("ServerError", "", "jira")}
    world.firing(tmp_path, {30: error, 60: error})


def test_a_portal_that_does_not_answer(tmp_path: Path) -> None:
    world = Probed(60)
    world.fleet()
    world.answers("portal", "eng", between(5, 29, Outcome.CREDENTIALS_REFUSED, Outcome.OK))
    down = {("PortalNotAnswering", "eng", "")}
    world.firing(tmp_path, {9: set(), 11: down, 30: down, 45: set()})


# --- logins, certificates, catalogs ------------------------------------------------------------


def test_a_login_that_cannot_work(tmp_path: Path) -> None:
    world = Probed(60)
    world.fleet()
    world.answers()
    world.probe("server", "jira", "login_possible", between(5, 29, 0, 1))
    impossible = {("ServerLoginImpossible", "", "jira")}
    world.firing(tmp_path, {19: set(), 21: impossible, 30: impossible, 45: set()})


@pytest.mark.parametrize(
    ("days", "names"),
    [
        (20, set()),
        (14.1, set()),
        (13.9, {"ServerCertificateExpiring", "PortalCertificateExpiring"}),
        (3.1, {"ServerCertificateExpiring", "PortalCertificateExpiring"}),
        (2.9, {"ServerCertificateExpiringNow", "PortalCertificateExpiring"}),
    ],
)
def test_a_certificate_that_expires(days: float, names: set[str], tmp_path: Path) -> None:
    world = Probed(30)
    world.fleet()
    expiry = days * DAY + 1800  # promtool's time begins at 0
    for kind, identity in (("server", "jira"), ("portal", "eng")):
        world.answers(kind, identity)
        world.probe(kind, identity, "certificate_expiry_timestamp_seconds", expiry)
    expected = {
        (name, "", "jira") if name.startswith("Server") else (name, "eng", "") for name in names
    }
    world.firing(tmp_path, {29: expected})


def test_a_catalog_that_differs_for_a_day(tmp_path: Path) -> None:
    world = Probed(1700, step=4)
    world.fleet()
    world.answers()
    for change, count in (("added", 2), ("removed", 0)):
        world.probe("server", "jira", "catalog_drift_tools", count, change=change)
    world.firing(tmp_path, {1436: set(), 1452: {("ServerCatalogDrift", "", "jira")}})


# --- what they say -----------------------------------------------------------------------------


def test_an_alert_names_everything_and_says_what_cloudflare_still_claims(tmp_path: Path) -> None:
    world = Probed(30)
    world.fleet(name="Issue tracker")
    world.answers(outcome=Outcome.TLS)
    world.answers("portal", "eng", Outcome.HTTP_ERROR)
    world.probe("portal", "eng", "server_visible", 0, server_id="wiki")
    document = world.document()
    portal = "MCP portal Engineering (eng) of account Production"
    server = "MCP server Issue tracker (jira) of account Production"
    document["tests"][0]["alert_rule_test"] = [
        _says(
            "ServerNotAnswering",
            {"server_id": "jira", "severity": "warning"},
            "An MCP server does not answer live probes.",
            f"{server} has not answered as an MCP server for 5m.",
            "Outcome of the probe: tls.",
            "Status that Cloudflare reports since its last sync: ready.",
            "Portals: Engineering.",
            board=f"server?var-account={ACCOUNT}&var-server=jira",
        ),
        _says(
            "PortalNotAnswering",
            {"portal_id": "eng", "severity": "critical"},
            "An MCP portal does not answer live probes.",
            f"{portal} has not answered for 5m.",
            "Outcome of the probe: http_error.",
            board=f"overview?var-account={ACCOUNT}&var-portal=eng",
        ),
        _says(
            "PortalHidesServer",
            {"portal_id": "eng", "server_id": "wiki", "severity": "critical"},
            "Users of an MCP portal do not see a server that should be there.",
            f"{portal} lists no tool of Wiki (wiki), which is attached and exposes tools.",
            "Status that Cloudflare reports for the server: ready.",
            "The list is the one that a service token gets.",
            board=f"server?var-account={ACCOUNT}&var-server=wiki&var-portal=eng",
        ),
    ]
    _judge(tmp_path, document)


def _says(
    name: str, labels: dict[str, str], summary: str, *lines: str, board: str
) -> dict[str, Any]:
    """That exactly one alert of a name fires after 20 minutes, with these labels and texts."""
    return {
        "eval_time": "20m",
        "alertname": f"CloudflareMCP{name}",
        "exp_alerts": [
            {
                "exp_labels": {"account_id": ACCOUNT, **labels},
                "exp_annotations": {
                    "summary": summary,
                    "description": "\n".join(lines),
                    "runbook_url": f"http://localhost:10180/runbooks/CloudflareMCP{name}",
                    "dashboard_url": f"http://localhost:3000/d/cloudflare-mcp-{board}",
                },
            }
        ],
    }


# --- several clusters --------------------------------------------------------------------------


def central(folder: Path, **clusters: World) -> dict[str, Any]:
    """The file for promtool of a ruler over several clusters, whose rules keep their label."""
    rendered = alerts.render(load(overrides={"keep_labels": "cluster", "catalog_drift_for": "15m"}))
    for name, text in rendered.items():
        (folder / name).write_text(text)
    document = next(iter(clusters.values())).document()
    document["rule_files"] = list(rendered)
    document["tests"][0]["input_series"] = [
        {"series": f'{series[:-1]},cluster="{cluster}"}}', "values": values}
        for cluster, world in clusters.items()
        for series, values in world.series.items()
    ]
    return document


def broken_for_probes() -> Probed:
    """Every alert of the probes has a cause, and two servers that are in no portal fail, too."""
    world = Probed(30)
    world.fleet(name="Issue tracker")
    world.answers(outcome=Outcome.TLS)
    world.answers("portal", "eng", Outcome.HTTP_ERROR)
    visible(world, 1)
    world.probe("portal", "eng", "server_visible", 0, server_id="wiki")
    world.probe("portal", "eng", "certificate_expiry_timestamp_seconds", DAY)
    for identity, days in (("jira", 5), ("wiki", 1), ("chat", 5), ("docs", 1)):
        world.probe("server", identity, "login_possible", 0)
        world.probe("server", identity, "certificate_expiry_timestamp_seconds", days * DAY)
        world.probe("server", identity, "catalog_drift_tools", 2, change="added")
    for identity in ("chat", "docs"):
        world.answers(identity=identity, outcome=Outcome.CONNECT)
    return world


def broken_for_the_listing() -> Probed:
    """The same objects, of which the listing says what is wrong, or for which no probe knows."""
    world = Probed(30)
    world.exporter()
    world.account(name="A")
    world.server(name="A", details=REFUSED, status="error")
    world.server("wiki", name="A", details=REFUSED, status="error")
    for identity, outcome in (("chat", Outcome.THROTTLED), ("docs", Outcome.OK)):
        world.server(identity)
        world.answers(identity=identity, outcome=outcome)
    world.portal(name="A")
    world.answers(outcome=Outcome.THROTTLED)
    world.answers(identity="wiki", outcome=since(10, Outcome.CONNECT, Outcome.OK))
    world.answers("portal", "eng", Outcome.REFUSED_ADDRESS)
    visible(world, since(10, 0, 1))
    world.probe("portal", "eng", "server_visible", 1, server_id="wiki")
    return world


def test_clusters_with_the_same_names_do_not_change_each_other_s_alerts(tmp_path: Path) -> None:
    document = central(tmp_path, a=broken_for_probes(), b=broken_for_the_listing())
    (test,) = document["tests"]
    expected = {
        "a": {
            NOT_ANSWERING,
            ("PortalNotAnswering", "eng", ""),
            ("PortalHidesServer", "eng", "wiki"),
            ("PortalCertificateExpiring", "eng", ""),
            ("ServerCertificateExpiring", "", "jira"),
            ("ServerCertificateExpiringNow", "", "wiki"),
            *(("ServerLoginImpossible", "", server) for server in ("jira", "wiki")),
            *(("ServerCatalogDrift", "", server) for server in ("jira", "wiki")),
        },
        "b": {("ServerError", "", server) for server in ("jira", "wiki")},
    }
    by = "cluster, alertname, portal_id, server_id"
    test["promql_expr_test"] = [
        {
            "expr": f'group by ({by}) (ALERTS{{alertstate="firing"}})',
            "eval_time": "30m",
            "exp_samples": [
                _sample(*one, cluster=cluster)
                for cluster, alerts_ in expected.items()
                for one in sorted(alerts_)
            ],
        }
    ]
    _judge(tmp_path, document)


def test_an_alert_names_what_is_in_its_own_cluster(tmp_path: Path) -> None:
    document = central(tmp_path, a=broken_for_probes(), b=broken_for_the_listing())
    portal = "MCP portal Engineering (eng) of account Production"
    document["tests"][0]["alert_rule_test"] = [
        _says(
            "ServerNotAnswering",
            {"cluster": "a", "server_id": "jira", "severity": "warning"},
            "An MCP server does not answer live probes.",
            "MCP server Issue tracker (jira) of account Production has not answered as an MCP "
            "server for 5m.",
            "Outcome of the probe: tls.",
            "Status that Cloudflare reports since its last sync: ready.",
            "Portals: Engineering.",
            board=f"server?var-account={ACCOUNT}&var-server=jira",
        ),
        _says(
            "PortalNotAnswering",
            {"cluster": "a", "portal_id": "eng", "severity": "critical"},
            "An MCP portal does not answer live probes.",
            f"{portal} has not answered for 5m.",
            "Outcome of the probe: http_error.",
            board=f"overview?var-account={ACCOUNT}&var-portal=eng",
        ),
    ]
    _judge(tmp_path, document)
