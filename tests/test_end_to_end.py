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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import UniformAccount, uniform_account
from mixin.thresholds import RELIEVING
from processes import ROOT, Alertmanager, Prometheus, RunningExporter, eventually
from realparts import require
from receivers import Webhook

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


def shortened_rules(directory: Path) -> Path:
    render = [sys.executable, "-m", "mixin", "render", "--only=alerts", f"--output={directory}"]
    subprocess.run(
        [*render, *(f"--set={name}={value}" for name, value in SHORT.items())],
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
