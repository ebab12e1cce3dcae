"""The exporter that one would write in an hour: requests, json and prometheus_client."""

from __future__ import annotations

import os
from typing import Any

import requests

from benchmarks.peers.families import ACCOUNT_ID, PER_PAGE, note_request, serve

BASE_URL = os.environ["CLOUDFLARE_BASE_URL"]
URL = f"{BASE_URL}/accounts/{ACCOUNT_ID}/access/ai-controls/mcp/portals"

session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ['CLOUDFLARE_API_TOKEN']}"


def list_portals() -> list[Any]:
    """All portals, page by page."""
    portals: list[Any] = []
    page = 1
    while True:
        response = session.get(URL, params={"page": page, "per_page": PER_PAGE}, timeout=60)
        note_request(response.status_code, response.elapsed.total_seconds(), len(response.content))
        response.raise_for_status()
        body = response.json()
        if not body["success"]:
            raise RuntimeError(body["errors"])
        portals += body["result"]
        if not body["result"] or len(portals) >= body["result_info"]["total_count"]:
            return portals
        page += 1


if __name__ == "__main__":
    serve(list_portals, dict.get)
