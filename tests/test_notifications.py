"""What people read when 300 servers break: real rules, a real Alertmanager, its receivers.

The shipped example and template are used as they are, but for the receivers' addresses.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import yaml

from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import uniform_account
from mixin.thresholds import load
from processes import ROOT, Alertmanager, Prometheus, RunningExporter, eventually
from promtool import RULES, alert_names, rules
from realparts import require
from receivers import Mailbox, Webhook, mailbox

PORTALS, SERVERS = 10, 30
DOWN = PORTALS * SERVERS
PORTAL, SERVER = "CloudflareMCPPortalNoHealthyServer", "CloudflareMCPServerUnreachable"

UNREACHABLE = {
    "status": "error",
    "error": "unable to connect",
    "error_details": {"is_upstream": False, "retryable": False},
}

SHORT = {
    **{name: "1s" for name in load().__struct_fields__ if name.endswith("_for")},
    **{name: "20s" for name in load().__struct_fields__ if name.endswith("_window")},
}


class AllDown:
    """An account of which no server can be reached."""

    def __init__(self) -> None:
        self._account = uniform_account(
            portals=PORTALS, servers=SERVERS, tools=1, synced_at=time.time()
        )
        self._portals = copy.deepcopy(self._account.portals(0))
        for portal in self._portals:
            for server in portal["servers"]:
                server.update(UNREACHABLE)
        # A name that in Slack would call everybody, and longer than a line.
        self._portals[0]["servers"][0]["name"] = "<!channel> " + "long " * 40

    def portals(self, now: float) -> list[dict[str, Any]]:
        return self._portals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._account, name)


def configured(home: Path, webhook: Webhook, mail: Mailbox) -> Path:
    """The example, with every receiver in use and its address on loopback."""
    shutil.copy(RULES / "cloudflare-mcp.tmpl", home)
    config = yaml.safe_load((RULES / "alertmanager.example.yml").read_text())
    plain, slack, mailed = config["receivers"]
    plain["webhook_configs"][0]["url"] = webhook.url
    slack["slack_configs"][0]["api_url"] = f"{webhook.url}slack"
    mailed["email_configs"][0]["smarthost"] = mail.address
    config["route"] |= {"group_wait": "5s", "group_interval": "5s"}
    config["route"]["routes"] = [
        {"receiver": receiver["name"], "continue": True} for receiver in config["receivers"]
    ]
    file = home / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    return file


def shortened_rules(directory: Path) -> Path:
    """The rules as they ship, with every wait shortened."""
    command = [sys.executable, "-m", "mixin", "render", "--only=alerts", f"--output={directory}"]
    changes = [f"--set={name}={value}" for name, value in SHORT.items()]
    subprocess.run([*command, *changes], cwd=ROOT, check=True, capture_output=True, timeout=60)
    return directory / "alerts" / "cloudflare-mcp.rules.yml"


def relabeling() -> Any:
    """How the documentation tells both of a pair of Prometheus servers to send equal alerts."""
    blocks = re.findall(r"```yaml\n(.*?)```", (RULES / "README.md").read_text(), re.DOTALL)
    (config,) = [yaml.safe_load(block) for block in blocks if "alert_relabel_configs" in block]
    return config


def one_of_a_pair(replica: str, rule_file: Path, target: str, alertmanager: str) -> str:
    """The configuration of a Prometheus of a highly available pair."""
    config = relabeling()
    labels = config["global"]["external_labels"]
    assert set(labels) == {"cluster", "replica"}
    labels["replica"] = replica
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    config["rule_files"] = [str(rule_file)]
    config["scrape_configs"] = [
        {"job_name": "cloudflare-mcp", "static_configs": [{"targets": [target]}]}
    ]
    return yaml.safe_dump(config)


def written(message: EmailMessage) -> str:
    """The text of a mail that is nothing but text."""
    (part,) = message.iter_parts()
    assert part.get_content_type() == "text/plain"
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


class Received(NamedTuple):
    """The notification, as each receiver got it."""

    webhook: bytes
    slack: dict[str, Any]
    mail: EmailMessage


def whole(received: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Notifications of a webhook that are about all alerts."""
    return [
        one for one in received if len(one["alerts"]) + one["truncatedAlerts"] == DOWN + PORTALS
    ]


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Received]:
    home = tmp_path_factory.mktemp("notifications")
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(AllDown(), quota=None))
        webhook = Webhook()
        stack.callback(webhook.close)
        mail = stack.enter_context(mailbox())
        account = {"name": "Production", "account_id": simulator.account_id}
        config = {
            "base_url": simulator.base_url,
            "accounts": [{**account, "api_token": simulator.token}],
        }
        (home / "config.yml").write_text(json.dumps(config))
        exporter = RunningExporter(
            home, f"--config.file={home}/config.yml", "--scrape.timeout-offset=0.1", env={}
        )
        stack.callback(exporter.kill)
        exporter.await_ready()
        alertmanager = Alertmanager(
            require("prometheus-alertmanager"), home, configured(home, webhook, mail)
        )
        stack.callback(alertmanager.kill)
        alertmanager.await_ready()
        rule_file = shortened_rules(home)
        for replica in ("a", "b"):
            folder = home / replica
            folder.mkdir()
            addresses = [url.removeprefix("http://") for url in (exporter.url, alertmanager.url)]
            prometheus = Prometheus(
                require("prometheus"), folder, one_of_a_pair(replica, rule_file, *addresses)
            )
            stack.callback(prometheus.kill)
        notification = eventually(lambda: whole(webhook.posted()), "notification of all servers")[0]
        body = next(raw for to, raw in webhook.bodies if json.loads(raw) == notification)

        def told(text: str) -> bool:
            return f"{DOWN} alerts" in text and f"{PORTALS} alerts" in text

        slack = eventually(
            lambda: next(
                (
                    one["attachments"][0]
                    for one in webhook.posted("/slack")
                    if told(one["attachments"][0]["text"])
                ),
                None,
            ),
            "message to Slack",
        )
        letter = eventually(
            lambda: next((one for one in mail.messages if told(written(one))), None), "mail"
        )
        (home / "notification.txt").write_text(f"{letter['Subject']}\n\n{written(letter)}")
        yield Received(body, slack, letter)


def test_a_webhook_gets_ten_alerts_and_how_many_there_are_more(received: Received) -> None:
    payload = json.loads(received.webhook)
    assert len(payload["alerts"]) == 10
    # Each once, although two Prometheus servers sent it.
    assert payload["truncatedAlerts"] == DOWN + PORTALS - 10
    assert set(payload["groupLabels"]) == {"account_id", "cluster"}
    assert len(received.webhook) < 30_000


def test_the_text_is_small_and_no_line_is_long(received: Received) -> None:
    text = written(received.mail)
    assert len(text.encode()) < 3_000
    unbroken = ("Also", "Runbook", "Dashboard")
    said = [line for line in text.splitlines() if not line.startswith(unbroken)]
    assert max(map(len, said)) <= 122
    assert "\n\n\n" not in text
    assert text.rstrip("\n") == text.rstrip()


def test_the_text_says_which_since_when_why_and_what_to_do(received: Received) -> None:
    text = written(received.mail)
    portals, servers = text.rstrip().split("\n\n")
    for part, name, number in ((portals, PORTAL, PORTALS), (servers, SERVER, DOWN)):
        lines = part.splitlines()
        summary = next(r["annotations"]["summary"] for r in rules() if r.get("alert") == name)
        assert lines[0].endswith(f": {summary} ({number} alerts)")
        assert sum(line.startswith("- ") for line in lines) == 3
        moment = r"  Since [A-Z][a-z]{2} \d+ \d\d:\d\d UTC"
        assert sum(re.fullmatch(moment, line) is not None for line in lines) == 3
        _, action, runbook, dashboard = lines[-4:]
        assert re.fullmatch(r"To do: .+\.", action)
        assert runbook == f"Runbook: http://localhost:10180/runbooks/{name}"
        # Where all of them are.
        assert re.fullmatch(
            r"Dashboard: http://localhost:3000/d/cloudflare-mcp-overview\?var-account=\w+",
            dashboard,
        )
    others = [f"portal-{n:04}" for n in range(3, PORTALS)]
    assert f"\nAlso: {', '.join(others)}\n" in portals
    others = [f"server-{n:06}" for n in range(3, 13)]
    assert f"\nAlso: {', '.join(others)}, and {DOWN - 13} more\n" in servers
    assert portals.startswith("CRITICAL: ")
    assert "MCP portal Portal 2 (portal-0002) of account Production" in portals
    assert "Its failing servers: Server 60, Server 61, " in portals
    assert "MCP server Server 2 (server-000002) of account Production" in servers
    assert "Portals: Portal 0." in servers
    assert "Error class: upstream false" in servers


def test_a_name_can_neither_call_everybody_nor_fill_the_screen(received: Received) -> None:
    assert "<" not in received.slack["text"]
    assert "\u2039!channel> long long" in received.slack["text"]
    assert "long " * 25 not in received.slack["text"]


def test_the_title_is_one_line_and_has_the_gravest_and_how_many_there_are(
    received: Received,
) -> None:
    title = received.mail["Subject"]
    assert title.startswith("CRITICAL: No server of an MCP portal works. And 309 more. Account ")
    assert title.endswith(" Cluster eu.")
    assert len(title) < 130


def test_slack_and_mail_get_the_same(received: Received) -> None:
    assert received.slack["title"] == received.mail["Subject"]
    assert received.slack["text"].split() == written(received.mail).split()


# --- other groups ------------------------------------------------------------------------------


class Slack:
    """An Alertmanager with the example that notifies in Slack's form, of alerts posted to it."""

    def __init__(self, home: Path, webhook: Webhook) -> None:
        self._webhook = webhook
        shutil.copy(RULES / "cloudflare-mcp.tmpl", home)
        config = yaml.safe_load((RULES / "alertmanager.example.yml").read_text())
        slack = config["receivers"][1]
        slack["slack_configs"][0]["api_url"] = webhook.url
        route = {"receiver": slack["name"], "group_wait": "1s", "group_interval": "1s"}
        config["route"] = {**config["route"], **route, "routes": []}
        config["inhibit_rules"] = []  # what is kept quiet is tested elsewhere
        (home / "alertmanager.yml").write_text(yaml.safe_dump(config))
        program = require("prometheus-alertmanager")
        self.alertmanager = Alertmanager(program, home, home / "alertmanager.yml")

    def told(self, *alerts: dict[str, Any], of: str, times: int = 1) -> dict[str, str]:
        """The first message about these alerts whose text has these words so often."""
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.alertmanager.url}/api/v2/alerts"
            session.post(url, json=alerts, timeout=10).raise_for_status()
        # Alertmanager may send some of the alerts before it has them all.
        return eventually(
            lambda: next((one for one in self._messages if one["text"].count(of) == times), None),
            f"{of!r}, {times} times",
        )

    @property
    def _messages(self) -> list[dict[str, str]]:
        return [message for one in self._webhook.posted() for message in one["attachments"]]


@pytest.fixture
def slack(tmp_path: Path) -> Iterator[Slack]:
    webhook = Webhook()
    running = Slack(tmp_path, webhook)
    try:
        running.alertmanager.await_ready()
        yield running
    finally:
        running.alertmanager.kill()
        webhook.close()


def firing(name: str, **labels: str) -> dict[str, Any]:
    """An alert of the rules, with its annotations as they are written there."""
    rule = next(rule for rule in rules() if rule.get("alert") == name)
    return {
        "labels": {"alertname": name, **rule["labels"], **labels},
        "annotations": rule["annotations"],
        "startsAt": "2026-03-11T15:00:58Z",
    }


def test_one_alert_has_the_dashboard_of_its_own_server(slack: Slack) -> None:
    alert = firing(SERVER, account_id="a1", server_id="jira")
    link = "http://localhost:3000/d/cloudflare-mcp-server?var-account=a1&var-server=jira"
    alert["annotations"] |= {"dashboard_url": link, "description": "Jira is down.\nPortals: a."}
    message = slack.told(alert, of="Jira")
    assert message["title"] == (
        "WARNING: An MCP server cannot be reached from its portals. Account a1."
    )
    action = "check the server's URL, its DNS name and its firewall; ask its owner whether it runs."
    assert message["text"].splitlines() == [
        "WARNING: An MCP server cannot be reached from its portals.",
        "- Jira is down.",
        "  Portals: a.",
        "  Since Mar 11 15:00 UTC",
        f"To do: {action}",
        f"Runbook: http://localhost:10180/runbooks/{SERVER}",
        f"Dashboard: {link}",
    ]


def test_what_is_over_is_said_after_what_is_not(slack: Slack) -> None:
    alert = firing(SERVER, account_id="a1", server_id="jira")
    other = firing(PORTAL, account_id="a1", portal_id="eng")
    slack.told(alert, other, of="Since ", times=2)
    over = {**alert, "endsAt": "2026-03-11T18:30:00Z"}
    message = slack.told(over, of="RESOLVED")
    still, resolved = message["text"].split("\n\nRESOLVED\n")
    assert message["title"] == "CRITICAL: No server of an MCP portal works. Account a1."
    assert still.startswith("CRITICAL: No server of an MCP portal works.\n")
    assert resolved.startswith("WARNING: An MCP server cannot be reached from its portals.\n")
    assert "From Mar 11 15:00 to Mar 11 18:30 UTC\n" in resolved
    assert "To do" not in resolved
    last = slack.told({**other, "endsAt": "2026-03-11T18:31:00Z"}, of="18:31")
    assert last["title"] == "RESOLVED: No server of an MCP portal works. Account a1."


def test_every_alert_that_wakes_people_says_what_to_do(slack: Slack) -> None:
    named = [firing(name, account_id="a1", server_id="s") for name in alert_names()]
    waking = [one for one in named if one["labels"]["severity"] != "info"]
    message = slack.told(*waking, of="To do: ", times=len(waking))
    for part in message["text"].rstrip().split("\n\n"):
        (action,) = [line for line in part.splitlines() if line.startswith("To do: ")]
        assert action != "To do: follow the runbook.", part
    assert len(message["text"].encode()) < 1_000 * len(waking)
