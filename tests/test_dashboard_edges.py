"""What panels show where there is little to show, or two answers; promtool evaluates them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

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
}
TARGET = 'job="mcp", instance="one:10180"'
ACCOUNT = f'{TARGET}, account_id="a1"'
BUILD = f'cloudflare_mcp_exporter_build_info{{{TARGET}, version="1.2.3"}}'
INFO = f'cloudflare_mcp_account_info{{{ACCOUNT}, account_name="Production"}}'
OF_THE_FLEET = (
    *("Portals", "Servers", "Failing", "Retryable upstream failures", "Waiting for first login"),
    *("Stale", "Unauthenticated servers in portals", "Portals that enforce code mode"),
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


def known_by_two_names(of_the_elder: str, of_the_younger: str) -> tuple[Series, Expected]:
    series: Series = {}
    for instance, started, name in (("a", 2000, of_the_younger), ("b", 1000, of_the_elder)):
        target = f'job="mcp", instance="{instance}"'
        account = f'{target}, account_id="a1"'
        series |= {
            f"process_start_time_seconds{{{target}}}": f"{started}x10",
            f"cloudflare_mcp_up{{{account}}}": "1x10",
            f'cloudflare_mcp_account_info{{{account}, account_name="{name}"}}': "1x10",
        }
    named = f'{{account_id="a1", account_name="{of_the_elder}"}}'
    return series, {"exporter: Account listed": {named: 1}}


SERVER = f'{ACCOUNT}, server_id="jira"'
GONE_SERVER: Series = {
    **UP,
    f"cloudflare_mcp_up{{{ACCOUNT}}}": "1x10",
    f"cloudflare_mcp_server_tools{{{SERVER}}}": "5x6 stale",
    f'cloudflare_mcp_server_info{{{SERVER}, server_name="A new name"}}': "_x4 1 1 stale",
    f'cloudflare_mcp_server_info{{{SERVER}, server_name="Jira"}}': "1x4 stale",
}
"""Renamed and soon after that taken away."""
LOST = '{account_id="a1", account_name="Production", server_id="jira", server_name="Jira"}'

CASES: dict[str, tuple[Series, Expected]] = {
    "empty account": (
        EMPTY_ACCOUNT,
        {
            **{f"overview: {title}": 0 for title in OF_THE_FLEET},
            "overview: Accounts not listed": 0,
            "overview: Worst staleness": None,
            "overview: Servers that need attention": None,
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
    "the elder exporter knows the first of two names": known_by_two_names("First", "Second"),
    "the elder exporter knows the second of two names": known_by_two_names("Second", "First"),
    "a server of two names that is gone": (
        GONE_SERVER,
        {"overview: Tools gained and lost": {LOST: -5}},
    ),
}


def _samples(value: float | dict[str, float] | None) -> list[dict[str, Any]]:
    by_labels = value if isinstance(value, dict) else {} if value is None else {"{}": value}
    return [{"labels": labels, "value": each} for labels, each in by_labels.items()]


def _document(series: Series, expected: Expected) -> dict[str, Any]:
    checks = [
        {
            "expr": filled(PANELS[title], CHOICE),
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
