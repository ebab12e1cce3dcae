"""Requests to the simulator, for its own tests."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import requests
import yaml

from exporter.simulator.server import Simulator
from processes import get

START = 1_790_000_100.0
"""Start of a rate limit window."""
Record = dict[str, Any]


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def url_of(simulator: Simulator, kind: str = "portals", account: str | None = None) -> str:
    account = account or simulator.account_id
    return f"{simulator.base_url}/accounts/{account}/access/ai-controls/mcp/{kind}"


def bearer(simulator: Simulator) -> dict[str, str]:
    return {"Authorization": f"Bearer {simulator.token}"}


def ask(simulator: Simulator, kind: str = "portals", **query: object) -> requests.Response:
    return get(url_of(simulator, kind), headers=bearer(simulator), params=query)


def listed(simulator: Simulator, kind: str = "portals", **query: object) -> list[Record]:
    answer = ask(simulator, kind, **query)
    assert answer.status_code == 200, answer.text
    records: list[Record] = answer.json()["result"]
    return records


def connect(simulator: Simulator) -> http.client.HTTPConnection:
    parts = urlsplit(simulator.base_url)
    assert parts.hostname == "127.0.0.1"
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)


def attached(portals: list[Record]) -> list[Record]:
    return [server for portal in portals for server in portal["servers"] if "id" in server]


def probing_configuration(simulator: Simulator, min_interval: float = 0.001) -> str:
    """A configuration file that allows probes of the simulator's servers and portals."""
    return yaml.safe_dump(
        {
            "probes": {
                "servers": True,
                "portals": True,
                "allow_http": True,
                "allow_networks": ["127.0.0.0/8"],
                "min_interval": min_interval,
                "access_client_id": simulator.access_client_id,
                "access_client_secret": simulator.access_client_secret,
            },
            "accounts": [
                {
                    "name": "demo",
                    "account_id": simulator.account_id,
                    "api_token": simulator.token,
                    "base_url": simulator.base_url,
                }
            ],
        }
    )
