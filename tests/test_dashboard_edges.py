"""What panels show where there is little to show, or two answers; promtool evaluates them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mixin.dashboards import states
from mixin.dashboards.expressions import expressions, filled
from realparts import require

PANELS = {
    f"{path.stem.removeprefix('cloudflare-mcp-')}: {found.where.split(': ')[1]}": found.text
    for path in sorted((Path(__file__).parent.parent / "dashboards").glob("*.json"))
    for found in expressions(json.loads(path.read_text()))
    if found.where.endswith(": A")
}
CHOICE = {
    **dict.fromkeys(("job", "instance", "account", "server"), ".+"),
    "portal": ".*",
    "__range": "6m",
    "__rate_interval": "4m",
    "__interval": "1m",
}
TARGET = 'job="mcp", instance="one:10180"'
ACCOUNT = f'{TARGET}, account_id="a1"'
BUILD = f'cloudflare_mcp_exporter_build_info{{{TARGET}, version="1.2.3"}}'
INFO = f'cloudflare_mcp_account_info{{{ACCOUNT}, account_name="Production"}}'
OF_THE_FLEET = (
    *("Portals", "Servers", "Failing", "Waiting for first login", "Stale"),
    *("Unauthenticated servers in portals", "Portals that enforce code mode"),
    *("Portals outside the gateway", "Servers outside the gateway"),
)

Series = dict[str, str]
STRANGER: Series = {'up{job="node", instance="host:9100"}': "0x10"}
"""A target of another job, down: with every job chosen it passes the filter."""
UP: Series = {f"up{{{TARGET}}}": "1x10", BUILD: "1x10", INFO: "1x10", **STRANGER}

EMPTY_ACCOUNT: Series = {
    **UP,
    f"cloudflare_mcp_up{{{ACCOUNT}}}": "1x10",
    f"cloudflare_mcp_portals{{{ACCOUNT}}}": "0x10",
}
NOT_LISTED: Series = {**UP, f"cloudflare_mcp_up{{{ACCOUNT}}}": "0x10"}
DOWN: Series = {
    **STRANGER,
    f"up{{{TARGET}}}": "1 1 0x8",
    BUILD: "1 1 stale",
    INFO: "1 1 stale",
    f"cloudflare_mcp_up{{{ACCOUNT}}}": "1 1 stale",
    f"cloudflare_mcp_portals{{{ACCOUNT}}}": "3 3 stale",
}

Expected = dict[str, float | dict[str, float] | None]
"""The number of a panel, or its values by their labels; None where its text for nothing stands."""


def known_by_two_names(*names: str) -> tuple[Series, Expected]:
    series: Series = {}
    for instance, name in zip("ab", names, strict=True):
        account = f'job="mcp", instance="{instance}", account_id="a1"'
        series |= {
            f"cloudflare_mcp_up{{{account}}}": "1x10",
            f'cloudflare_mcp_account_info{{{account}, account_name="{name}"}}': "1x10",
        }
    return series, {"how many: exporter: Account listed": 1}


SERVER = f'{ACCOUNT}, server_id="jira"'
GONE_SERVER: Series = {
    **UP,
    f"cloudflare_mcp_up{{{ACCOUNT}}}": "1x10",
    f"cloudflare_mcp_server_tools{{{SERVER}}}": "5x6 stale",
    f'cloudflare_mcp_server_info{{{SERVER}, server_name="A new name"}}': "_x4 1 1 stale",
    f'cloudflare_mcp_server_info{{{SERVER}, server_name="Jira"}}': "1x4 stale",
}
"""Renamed and soon after that taken away."""
LAST_SEEN = 1000 * 5 * 60
GONE = '{account_id="a1", account_name="Production", server_id="jira", server_name="A new name"}'
LOST = '{account_id="a1", account_name="Production", server_id="jira", server_name="Jira"}'

PORTAL = f'{ACCOUNT}, portal_id="eng"'
RENAMED = f'{ACCOUNT}, portal_id="ops"'
GONE_PORTAL = (
    '{account_id="a1", account_name="Production", portal_id="eng", portal_name="Engineering"}'
)


def _portal(portal: str, alert: str) -> str:
    return (
        f'{{account_id="a1", account_name="Production", portal_id="{portal}", '
        f'portal_name="{portal.title()}", alert="{alert}"}}'
    )


def _portal_with(portal: str, tools: int, states_of_servers: str) -> Series:
    """A portal whose servers each work (w), are in error (e) or wait for a login (l)."""
    place = f'{ACCOUNT}, portal_id="{portal}"'
    info = f'cloudflare_mcp_portal_info{{{place}, portal_name="{portal.title()}"}}'
    failing = states_of_servers.count("e")
    found: Series = {
        info: "1x10",
        f'cloudflare_mcp_portal_servers{{{place}, auth_type="oauth"}}': (
            f"{len(states_of_servers)}x10"
        ),
        f"cloudflare_mcp_portal_servers_with_error{{{place}}}": f"{failing}x10",
    }
    for number, state in enumerate(states_of_servers):
        server = f'server_id="{portal}{number}"'
        of_server = f"{ACCOUNT}, {server}"
        attached = f"{place}, {server}"
        status = "waiting" if state == "l" else "ready"
        found |= {
            f"cloudflare_mcp_portal_server_info{{{attached}}}": "1x10",
            f"cloudflare_mcp_portal_server_exposed_tools{{{attached}}}": f"{tools}x10",
            f"cloudflare_mcp_server_error{{{of_server}}}": f"{int(state == 'e')}x10",
            f'cloudflare_mcp_server_status{{{of_server}, status="{status}"}}': "1x10",
        }
    return found


PORTALS_IN_TROUBLE: Series = {
    **UP,
    **_portal_with("well", 3, "wel"),
    **_portal_with("mute", 0, "ww"),
    **_portal_with("bare", 0, ""),
    # Its servers' tools are still shown, but nobody can use one.
    **_portal_with("dead", 3, "el"),
    # Nothing fails: its servers were never used yet.
    **_portal_with("new", 3, "ll"),
}

CASES: dict[str, tuple[Series, Expected]] = {
    "empty account": (
        EMPTY_ACCOUNT,
        {
            **{f"overview: {title}": 0 for title in OF_THE_FLEET},
            "overview: Accounts not listed": 0,
            "overview: Servers that need attention": None,
            "overview: Portals that need attention": None,
            "overview: Portals gone": None,
            "overview: Servers gone": None,
            "overview: Tools gained and lost": None,
            "exporter: Exporters down": 0,
        },
    ),
    "account that cannot be listed": (
        NOT_LISTED,
        {
            **{f"overview: {title}": None for title in OF_THE_FLEET},
            "overview: Accounts not listed": 1,
            "exporter: Accounts not listed": 1,
            "exporter: Exporters down": 0,
        },
    ),
    "exporter down": (
        DOWN,
        {
            **{f"overview: {title}": None for title in OF_THE_FLEET},
            "overview: Accounts not listed": None,
            "exporter: Exporters down": 1,
            "exporter: Accounts not listed": None,
        },
    ),
    "no exporter ever": (
        STRANGER,
        {"exporter: Exporters down": None, "overview: Accounts not listed": None},
    ),
    "an account with two names": known_by_two_names("First", "Second"),
    "an account with two names, the other way round": known_by_two_names("Second", "First"),
    "a server of two names that is gone": (
        GONE_SERVER,
        {
            "overview: Tools gained and lost": {LOST: -5},
            "overview: Servers gone": {GONE: LAST_SEEN},
        },
    ),
    "what was there in an account that cannot be listed any more": (
        {
            **GONE_SERVER,
            f"cloudflare_mcp_up{{{ACCOUNT}}}": "1x6 0x4",
            f'cloudflare_mcp_portal_info{{{PORTAL}, portal_name="Eng"}}': "1x6 stale",
        },
        {"overview: Portals gone": None, "overview: Servers gone": None},
    ),
    "a portal that is gone, and one that was renamed": (
        {
            **UP,
            f"cloudflare_mcp_up{{{ACCOUNT}}}": "1x10",
            f'cloudflare_mcp_portal_info{{{PORTAL}, portal_name="Engineering"}}': "1x6 stale",
            f'cloudflare_mcp_portal_info{{{RENAMED}, portal_name="Old"}}': "1x6 stale",
            f'cloudflare_mcp_portal_info{{{RENAMED}, portal_name="New"}}': "_x6 1 1 1 1",
        },
        {"overview: Portals gone": {GONE_PORTAL: 1000 * 6 * 60}},
    ),
    "portals without tools, without servers, and with nothing but trouble": (
        PORTALS_IN_TROUBLE,
        {
            "overview: Portals that need attention": {
                _portal("mute", "PortalExposesNoTools"): states.SHOWS_NO_TOOLS.code,
                _portal("bare", "PortalLostServers"): states.HAS_NO_SERVERS.code,
                _portal("dead", "PortalNoHealthyServer"): states.NO_SERVER_WORKS.code,
            }
        },
    ),
}


def _samples(value: float | dict[str, float] | None) -> list[dict[str, Any]]:
    by_labels = value if isinstance(value, dict) else {} if value is None else {"{}": value}
    return [{"labels": labels, "value": each} for labels, each in by_labels.items()]


def _expression(title: str) -> str:
    counted = title.removeprefix("how many: ")
    expression = filled(PANELS[counted], CHOICE)
    return expression if counted == title else f"count({expression})"


def _document(series: Series, expected: Expected) -> dict[str, Any]:
    checks = [
        {
            "expr": _expression(title),
            "eval_time": "8m",
            "exp_samples": _samples(value),
        }
        for title, value in expected.items()
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": checks,
    }
    return {"rule_files": [], "tests": [test]}


@pytest.mark.parametrize(("series", "expected"), CASES.values(), ids=CASES)
def test_the_numbers_make_sense(series: Series, expected: Expected, tmp_path: Path) -> None:
    file = tmp_path / "edges.test.yml"
    file.write_text(yaml.safe_dump(_document(series, expected), width=100_000))
    done = subprocess.run(
        [require("promtool"), "test", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
