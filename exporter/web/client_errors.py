"""Logs errors of clients, at debug level only.

Anyone who can reach the port could fill a log at a higher level.
"""

from __future__ import annotations

import logging

from exporter.logs import event

LOGGER = logging.getLogger(__name__)

LONGEST = 160
"""Maximum characters of a description, which may quote what the client sent."""


def client_fault(client: object, error: object) -> None:
    """Log it.

    Args:
        client: its socket address; anything else if it has none.
        error: describes the error.
    """
    text = str(error)
    event(
        LOGGER,
        logging.DEBUG,
        "client error",
        client=_address(client),
        error=text if len(text) <= LONGEST else text[:LONGEST] + "...",
    )


def _address(client: object) -> str | None:
    if not isinstance(client, tuple):
        return None  # on a unix socket
    host, port = client[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
