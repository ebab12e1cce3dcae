"""The same exporter on Cloudflare's own SDK, whose iterator does the paging."""

from __future__ import annotations

from typing import Any

import httpx
from cloudflare import Cloudflare, DefaultHttpxClient

from benchmarks.peers.families import ACCOUNT_ID, PER_PAGE, note_request, serve


def note(response: httpx.Response) -> None:
    """Counts one answer."""
    response.read()
    note_request(response.status_code, response.elapsed.total_seconds(), len(response.content))


# It takes the token and the base URL from the environment.
client = Cloudflare(http_client=DefaultHttpxClient(event_hooks={"response": [note]}))


def list_portals() -> list[Any]:
    """All portals; the iterator asks for one page more than there are."""
    portals = client.zero_trust.access.ai_controls.mcp.portals
    return list(portals.list(account_id=ACCOUNT_ID, per_page=PER_PAGE))


def get(model: Any, name: str) -> Any:
    """A member of a model; None where the answer had none."""
    return getattr(model, name, None)


if __name__ == "__main__":
    serve(list_portals, get)
