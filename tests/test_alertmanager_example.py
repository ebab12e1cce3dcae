"""The Alertmanager example on a real Alertmanager: what it groups, and what keeps quiet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from processes import Alertmanager, eventually, get
from promtool import RULES, alert_names, rules
from realparts import require

EXAMPLE = RULES / "alertmanager.example.yml"

Labels = dict[str, str]


class Example(Alertmanager):
    """An Alertmanager with the example."""

    def __init__(self, home: Path) -> None:
        super().__init__(require("prometheus-alertmanager"), home, EXAMPLE)

    def fire(self, *alerts: Labels) -> None:
        with requests.Session() as session:
            session.trust_env = False
            body = [{"labels": labels} for labels in alerts]
            session.post(f"{self.url}/api/v2/alerts", json=body, timeout=10).raise_for_status()

    def inhibited(self) -> dict[tuple[str, str], bool]:
        """By name and cluster of the alert, whether another keeps it quiet."""
        return {
            (alert["labels"]["alertname"], alert["labels"].get("cluster", "")): bool(
                alert["status"]["inhibitedBy"]
            )
            for alert in get(f"{self.url}/api/v2/alerts").json()
        }

    def groups(self) -> list[Any]:
        """Labels and alerts' names of every group."""
        return [
            (group["labels"], sorted(alert["labels"]["alertname"] for alert in group["alerts"]))
            for group in get(f"{self.url}/api/v2/alerts/groups").json()
        ]


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Example]:
    running = Example(tmp_path)
    try:
        running.await_ready()
        yield running
    finally:
        running.kill()


def firing(name: str, **labels: str) -> Labels:
    severity = next(r["labels"]["severity"] for r in rules() if r.get("alert") == name)
    return {"alertname": name, "severity": severity, **labels}


SERVER = {"account_id": "a1", "server_id": "jira"}
PORTAL = {"account_id": "a1", "portal_id": "eng"}
ACCOUNT = {"account_id": "a1"}


@pytest.mark.parametrize(
    ("source", "target", "other"),
    [
        pytest.param(
            firing("CloudflareMCPExporterDown"),
            firing("CloudflareMCPServerError", **SERVER),
            firing("CloudflareMCPExporterConfigReloadFailed", instance="x"),
            id="exporter down over a server",
        ),
        pytest.param(
            firing("CloudflareMCPExporterAbsent", job="cloudflare-mcp"),
            firing("CloudflareMCPAccountListingFailing", **ACCOUNT),
            firing("CloudflareMCPUnauthenticatedServer", **SERVER),
            id="exporter absent over an account",
        ),
        *(
            pytest.param(
                firing(f"CloudflareMCPAccount{name}", **ACCOUNT),
                firing("CloudflareMCPPortalNoHealthyServer", **PORTAL),
                firing("CloudflareMCPServerError", account_id="a2", server_id="jira"),
                id=f"{name} over a portal of the same account",
            )
            for name in (
                "NotObserved",
                "AccessDenied",
                "RateLimited",
                "ListingFailing",
                "ListingFailingLong",
            )
        ),
        pytest.param(
            firing("CloudflareMCPAccountListingFailingLong", **ACCOUNT),
            firing("CloudflareMCPAccountListingFailing", **ACCOUNT),
            firing("CloudflareMCPAccountQuotaLow", **ACCOUNT),
            id="the graver listing alert over the lesser",
        ),
        pytest.param(
            firing("CloudflareMCPServerError", **SERVER),
            firing("CloudflareMCPServerFlapping", **SERVER),
            firing("CloudflareMCPServerSyncStale", account_id="a1", server_id="wiki"),
            id="an error over flapping of the same server",
        ),
        pytest.param(
            firing("CloudflareMCPPortalNoHealthyServer", **PORTAL),
            firing("CloudflareMCPPortalExposesNoTools", **PORTAL),
            firing("CloudflareMCPServerError", **SERVER),
            id="a dead portal over its hidden tools, not over its servers",
        ),
        pytest.param(
            firing("CloudflareMCPAccountRateLimited", **ACCOUNT),
            firing("CloudflareMCPAccountQuotaLow", **ACCOUNT),
            firing("CloudflareMCPAccountRecordsSkipped", account_id="a1", kind="server"),
            id="a used quota over a nearly used one",
        ),
    ],
)
def test_one_alert_keeps_the_other_quiet_and_no_more(
    alertmanager: Example, source: Labels, target: Labels, other: Labels
) -> None:
    def inside(cluster: str, labels: Labels) -> Labels:
        return {**labels, "cluster": cluster} if cluster else labels

    # Without clusters, and with two that have the same accounts.
    sources = [inside(cluster, source) for cluster in ("", "a")]
    targets = [inside(cluster, target) for cluster in ("", "a", "b")]
    others = [inside(cluster, other) for cluster in ("", "a", "b")]
    expected = {
        (labels["alertname"], labels.get("cluster", "")): labels in targets[:2]
        for labels in (*sources, *targets, *others)
    }
    alertmanager.fire(*sources, *targets, *others)
    eventually(lambda: alertmanager.inhibited() == expected, f"inhibition {expected}")


def test_a_dead_portal_arrives_together_with_its_servers(alertmanager: Example) -> None:
    portal = firing("CloudflareMCPPortalNoHealthyServer", **PORTAL)
    servers = [
        firing("CloudflareMCPServerError", account_id="a1", server_id=server)
        for server in ("jira", "wiki")
    ]
    elsewhere = firing("CloudflareMCPServerError", account_id="a2", server_id="jira")
    other_cluster = {**servers[0], "cluster": "b"}
    posture = firing("CloudflareMCPCodeModeEnforced", **PORTAL)
    alertmanager.fire(portal, *servers, elsewhere, other_cluster, posture)
    together = [portal["alertname"], *(server["alertname"] for server in servers)]
    expected = [
        ({"account_id": "a1", "cluster": "b"}, ["CloudflareMCPServerError"]),
        ({"account_id": "a1"}, together),
        ({"account_id": "a2"}, ["CloudflareMCPServerError"]),
        ({"alertname": "CloudflareMCPCodeModeEnforced"}, ["CloudflareMCPCodeModeEnforced"]),
    ]
    eventually(lambda: sorted(alertmanager.groups(), key=str) == expected, f"groups {expected}")


def test_the_example_names_alerts_that_exist() -> None:
    # A pattern such as Exporter(Down|Absent) stands for each of its alternatives.
    named = set()
    for prefix, alternatives in re.findall(
        r"(CloudflareMCP\w*)(?:\((\w+(?:\|\w+)*)\))?", EXAMPLE.read_text(encoding="utf-8")
    ):
        named |= {prefix + end for end in alternatives.split("|")}
    kinds = {"CloudflareMCP", *(f"CloudflareMCP{kind}" for kind in ("Account", "Server", "Portal"))}
    assert named - kinds - set(alert_names()) == set()
