"""CPU seconds of one evaluation of the alert rules: ``python -m benchmarks.rules --help``.

promtool asks the expressions of all rules, again and again, of twelve hours of what they recorded
and of the last scrapes of an exporter. A run that asks nothing is subtracted: loading the samples
costs most of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from mixin import alerts
from mixin.alerts import promql
from mixin.thresholds import load

MINUTES = 720
BEFORE = MINUTES - 1
"""The last minute of what was recorded: what the evaluation adds comes after it."""
SCRAPED = 30
"""Minutes of scrapes, once a minute: longer than `gap_window`."""
OF_A_PORTAL = 20
FAILING = 0.1
"""The share of the servers that fail, half of them for hours."""

REPEATED = 10
"""How often each expression is asked, so that its cost stands out from that of loading."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=__doc__)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--promtool", default=shutil.which("promtool"))
    parser.add_argument("--each", action="store_true", help="also every rule by itself")
    options = parser.parse_args()
    text = alerts.render(load())[alerts.RULES]
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    names = [rule.get("alert") or rule["record"] for rule in rules]
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "rules.yml").write_text(text, encoding="utf-8")
        series = list(_series(options.servers))

        def seconds(*expressions: str) -> float:
            return _seconds(Path(options.promtool), Path(home), series, expressions)

        nothing = seconds()
        cost = (seconds(*(rule["expr"] for rule in rules)) - nothing) / REPEATED
        sys.stdout.write(
            f"{len(rules)} rules on {options.servers} servers: {cost:.2f} CPU s an evaluation\n"
        )
        for name, rule in zip(names, rules, strict=True) if options.each else ():
            cost = (seconds(rule["expr"]) - nothing) / REPEATED
            sys.stdout.write(f"{cost:8.2f} {name}\n")
    return 0


def _seconds(
    promtool: Path, home: Path, series: list[dict[str, str]], expressions: Sequence[str]
) -> float:
    """CPU seconds of a run that asks these expressions."""
    # Of many results nothing is left, so that none is printed.
    asked = [f"count(\n{expression}\n) > 1e9" for expression in expressions] * REPEATED
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{"expr": one, "eval_time": f"{MINUTES}m"} for one in asked],
    }
    # The rules are evaluated at the start, where next to nothing is there, and at the end.
    whole = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{MINUTES}m",
        "tests": [test],
    }
    (home / "test.yml").write_text(json.dumps(whole), encoding="utf-8")
    before = os.times()
    subprocess.run(
        [promtool.absolute(), "test", "rules", "test.yml"],
        cwd=home,
        check=True,
        capture_output=True,
    )
    return os.times().children_user - before.children_user


def _series(servers: int) -> Iterator[dict[str, str]]:
    recent = f"_x{MINUTES - SCRAPED} {{value}}+0x{SCRAPED}"

    def scraped(name: str, value: float, **labels: str) -> dict[str, str]:
        every = {"job": "cloudflare-mcp", "instance": "one:10180", "account_id": "a", **labels}
        return _one(name, every, recent.format(value=value))

    yield _one("up", {"job": "cloudflare-mcp", "instance": "one:10180"}, f"1+0x{MINUTES}")
    yield scraped("cloudflare_mcp_up", 1)
    yield scraped("cloudflare_mcp_account_info", 1, account_name="Production")
    yield scraped("cloudflare_mcp_last_success_timestamp_seconds", 60 * MINUTES)
    for number in range(servers // OF_A_PORTAL):
        portal = {"portal_id": f"p{number}"}
        yield scraped("cloudflare_mcp_portal_info", 1, **portal, portal_name=f"Portal {number}")
        yield scraped("cloudflare_mcp_portal_servers", OF_A_PORTAL, **portal, auth_type="oauth")
        for record in (promql.PORTAL_INFO, promql.PORTAL_SERVERS):
            yield _one(record, {"account_id": "a", **portal}, f"1+0x{BEFORE}")
    for number in range(servers):
        yield from _server(number, scraped)


def _server(number: int, scraped: Any) -> Iterator[dict[str, str]]:
    fails = number % round(1 / FAILING) == 0
    lasts = fails and number % 2 == 0
    own = {"server_id": f"s{number}"}
    inside = {**own, "portal_id": f"p{number // OF_A_PORTAL}"}
    yield scraped("cloudflare_mcp_server_info", 1, **own, server_name=f"Server {number}")
    yield scraped("cloudflare_mcp_server_error", float(fails), **own)
    yield scraped("cloudflare_mcp_server_retryable_upstream_failure", 0, **own)
    yield scraped("cloudflare_mcp_server_sync_staleness_seconds", 600, **own)
    yield scraped("cloudflare_mcp_server_tools", 20, **own)
    yield scraped("cloudflare_mcp_portal_server_info", 1, **inside)
    yield scraped("cloudflare_mcp_portal_server_exposed_tools", 20, **inside)
    for status in ("waiting", "ready", "stale", "error", "other"):
        value = float(status == ("error" if fails else "ready"))
        yield scraped("cloudflare_mcp_server_status", value, **own, status=status)
    for status in ("connected", "stale", "manual"):
        name = "cloudflare_mcp_server_authentication_status"
        value = float(status == "connected")
        yield scraped(name, value, **own, authentication_status=status)
    account = {"account_id": "a", **own}
    half = MINUTES // 2
    failing = f"0+0x{half - 1} 1+0x{half - 1}" if lasts else f"0+0x{BEFORE}"
    yield _one(promql.SERVER_FAILING, account, failing)
    if lasts:
        yield _one(promql.SERVER_LASTING, account, f"_x{half} {60 * half}+60x{half - 1}")
    yield _one(promql.SERVER_WORKED, account, f"0+60x{half - 1 if lasts else BEFORE}")


def _one(name: str, labels: dict[str, str], values: str) -> dict[str, str]:
    matchers = {"__name__": name, **labels}
    inner = ",".join(f'{label}="{value}"' for label, value in matchers.items())
    return {"series": f"{{{inner}}}", "values": values}


if __name__ == "__main__":
    sys.exit(main())
