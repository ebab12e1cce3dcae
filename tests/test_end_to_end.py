"""From a broken server to the notification and back: simulator, exporter, Prometheus, Alertmanager.

Everything but the webhook is the real program. Time is shortened through the thresholds of the
rules and the intervals of the two servers; the rules themselves are rendered as they ship.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.simulator.account import SimulatedAccount
from exporter.simulator.scenario import parse_scenario
from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import UniformAccount, uniform_account
from mixin.thresholds import RELIEVING
from probejobs import documented_jobs
from processes import ROOT, Alertmanager, Prometheus, RunningExporter, eventually
from realparts import require
from receivers import Webhook
from simulated import START, Clock, probing_configuration

SHORT = {
    "gap_window": "10s",
    # No alert that takes over from another one may wait for longer than that one stays.
    **dict.fromkeys(RELIEVING, "1s"),
    "keep_firing_for": "1s",
    "runbook_base_url": "https://runbooks.example.com",
    "dashboard_base_url": "https://grafana.example.com",
}


class Breakable:
    """Two portals that share a server, whose admin's login can lapse and be renewed."""

    def __init__(self) -> None:
        self._fleet: UniformAccount = uniform_account(
            portals=2, servers=2, tools=2, synced_at=time.time() - 60
        )
        self.lapsed = False
        first, second = self._fleet.portals(0)
        first["name"], second["name"] = "Engineering", "Support"
        shared = copy.deepcopy(first["servers"][1])
        self.shared_id = shared["id"]
        first["servers"][1]["name"] = shared["name"] = "Issue tracker"
        second["servers"].append(shared)
        self._portals = [first, second]

    def portals(self, now: float) -> list[dict[str, Any]]:
        portals = copy.deepcopy(self._portals)
        for portal in portals:
            for server in portal["servers"]:
                lapsed = self.lapsed and server["id"] == self.shared_id
                server.update(LAPSED if lapsed else WORKING)
        return portals

    def servers(self, now: float) -> list[dict[str, Any]]:
        return self._fleet.servers(now)

    def revision(self, now: float) -> object:
        return self.lapsed

    def outside_use(self, now: float) -> Any:
        return self._fleet.outside_use(now)


WORKING = {
    "status": "ready",
    "authentication_status": "connected",
    "error": "",
    "error_details": None,
}
LAPSED = {
    "status": "stale",
    "authentication_status": "stale",
    "error": "Authorization failed: needs_reauth",
    "error_details": {"is_upstream": True, "retryable": False, "status_code": 401},
}


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    running = Webhook()
    yield running
    running.close()


@pytest.fixture
def alertmanager(tmp_path: Path, webhook: Webhook) -> Iterator[Alertmanager]:
    """The shipped example, with this test's receiver and without its patience."""
    config = yaml.safe_load((ROOT / "alerts" / "alertmanager.example.yml").read_text())
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    config["receivers"] = config["receivers"][:1]
    config["receivers"][0]["webhook_configs"][0]["url"] = webhook.url
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    running = Alertmanager(require("prometheus-alertmanager"), tmp_path, file)
    try:
        running.await_ready()
        yield running
    finally:
        running.kill()


def shortened_rules(directory: Path, short: Mapping[str, str] = SHORT) -> Path:
    render = [sys.executable, "-m", "mixin", "render", "--only=alerts", f"--output={directory}"]
    subprocess.run(
        [*render, *(f"--set={name}={value}" for name, value in short.items())],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(directory.rglob("cloudflare-mcp.rules.yml"))


def configuration(rules: Path, alertmanager: Alertmanager, exporters: list[RunningExporter]) -> str:
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "alerting": {
                "alertmanagers": [
                    {"static_configs": [{"targets": [alertmanager.url.removeprefix("http://")]}]}
                ]
            },
            "scrape_configs": [
                {
                    "job_name": "cloudflare-mcp",
                    "static_configs": [
                        {"targets": [one.url.removeprefix("http://") for one in exporters]}
                    ],
                }
            ],
        }
    )


def test_a_lapsed_login_is_notified_once_with_all_that_is_needed_and_resolves(
    run_exporter: Callable[..., RunningExporter],
    run_prometheus: Callable[[str], Prometheus],
    alertmanager: Alertmanager,
    webhook: Webhook,
    tmp_path: Path,
) -> None:
    account = Breakable()
    with Simulator(account, quota=None) as simulator:
        # Of the one second that Prometheus announces here, nearly all is for the listing.
        flag = "--scrape.timeout-offset=0.1"
        replicas = [run_exporter(flag, env=simulator.environment()) for _ in range(2)]
        rules = shortened_rules(tmp_path / "rules")
        prometheus = run_prometheus(configuration(rules, alertmanager, replicas))
        eventually(
            lambda: prometheus.query("account_id:cloudflare_mcp_up:max == 1"), "whole listing"
        )
        assert not webhook.alerts, "nothing is wrong yet"

        account.lapsed = True
        name = "CloudflareMCPServerNeedsReauthorization"
        alert = eventually(
            lambda: webhook.notified(name, "firing"), "notification of the broken server", within=40
        )
        assert alert["labels"] == {
            "alertname": name,
            "severity": "warning",
            "account_id": simulator.account_id,
            "server_id": account.shared_id,
        }
        description = alert["annotations"]["description"]
        assert f"MCP server Issue tracker ({account.shared_id})" in description
        assert "Portals: Engineering, Support." in description
        assert "HTTP status 401" in description
        assert alert["annotations"]["runbook_url"] == f"{SHORT['runbook_base_url']}/{name}"
        assert alert["annotations"]["dashboard_url"] == (
            f"{SHORT['dashboard_base_url']}/d/cloudflare-mcp-server"
            f"?var-account={simulator.account_id}&var-server={account.shared_id}"
        )

        account.lapsed = False
        eventually(
            lambda: webhook.notified(name, "resolved"),
            "notification of the mended server",
            within=40,
        )
    fired = {json.dumps(a["labels"], sort_keys=True) for a in webhook.alerts}
    assert len(fired) == 1, "one alert for one server, in two portals, seen by two exporters"


# --- live probes -------------------------------------------------------------------------------

PROBED = """
conditions:
  ready: {succeeds: true, status: ready}
servers:
  - {id: docs, name: Docs, hostname: "https://docs.example.com", auth_type: unauthenticated,
     nouns: [page], tools: 3}
  - {id: wiki, name: Wiki, hostname: "https://wiki.example.com", auth_type: unauthenticated,
     nouns: [page], tools: 3}
portals:
  - id: eng
    name: Engineering
    hostname: eng.example.com
    servers: [{id: docs, on_behalf: false}, {id: wiki, on_behalf: false}]
events:
  - {at: 100, do: live, server: docs, fails: true}
  - {at: 100, do: hide, portal: eng, server: docs}
  - {at: 100, do: hide, portal: eng, server: wiki}
  - {at: 200, do: live, server: docs}
  - {at: 200, do: show, portal: eng, server: docs}
  - {at: 200, do: show, portal: eng, server: wiki}
"""

SHORT_PROBES = {
    **SHORT,
    "probe_window": "6s",
    "server_not_answering_for": "2s",
    "server_hidden_for": "5s",
}


def test_a_server_that_dies_and_one_that_is_hidden_are_notified_while_all_is_ready(
    run_exporter: Callable[..., RunningExporter],
    run_prometheus: Callable[[str], Prometheus],
    alertmanager: Alertmanager,
    webhook: Webhook,
    tmp_path: Path,
) -> None:
    clock = Clock()
    account = SimulatedAccount(parse_scenario(PROBED), START)
    with Simulator(account, clock=clock, live=True, quota=None) as simulator:
        file = tmp_path / "config.yml"
        file.write_text(probing_configuration(simulator, 0.9))
        exporter = run_exporter(f"--config.file={file}", "--scrape.timeout-offset=0.1")
        rules = shortened_rules(tmp_path / "rules", SHORT_PROBES)
        config = yaml.safe_load(configuration(rules, alertmanager, [exporter]))
        config |= documented_jobs(exporter.url, "1s")
        config["rule_files"] = [str(rules.parent / "*.rules.yml")]
        prometheus = run_prometheus(yaml.safe_dump(config))
        visible = "sum(cloudflare_mcp_portal_probe_server_visible) == 2"
        eventually(lambda: prometheus.query(visible), "visible servers")
        eventually(
            lambda: prometheus.query("sum(cloudflare_mcp_server_probe_success) == 2"), "answers"
        )
        assert not webhook.alerts, "nothing is wrong yet"

        clock.now = START + 100
        dead, hidden = "CloudflareMCPServerNotAnswering", "CloudflareMCPPortalHidesServer"
        alert = eventually(lambda: webhook.notified(dead, "firing"), "dead server", within=60)
        assert alert["labels"]["server_id"] == "docs"
        assert "Outcome of the probe: http_error." in alert["annotations"]["description"]
        assert "reports since its last sync: ready." in alert["annotations"]["description"]
        alert = eventually(lambda: webhook.notified(hidden, "firing"), "hidden server", within=60)
        assert (alert["labels"]["portal_id"], alert["labels"]["server_id"]) == ("eng", "wiki")
        assert alert["labels"]["severity"] == "critical"
        ready = 'sum(cloudflare_mcp_server_status{status="ready"}) == 2'
        assert prometheus.query(ready), "the API goes on saying that all is well"

        clock.now = START + 200
        for name in (dead, hidden):
            eventually(partial(webhook.notified, name, "resolved"), name, within=90)
    fired = {(a["labels"]["alertname"], a["labels"]["server_id"]) for a in webhook.alerts}
    assert fired == {(dead, "docs"), (hidden, "wiki")}, "one alert for one broken server"
