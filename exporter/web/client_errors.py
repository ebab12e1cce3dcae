"""What clients do wrong: worth a line to those who look for it, and to nobody else.

Anybody who reaches the port can do wrong as often as he likes, so none of it is above debug.
"""

from __future__ import annotations

import logging

from exporter.logs import event

LOGGER = logging.getLogger(__name__)

LONGEST = 160
"""Characters of a description, which may quote what the client sent."""


def client_fault(client: object, error: object) -> None:
    """Log it.

    Args:
        client: its address as a socket has it; anything else where it has none.
        error: says what was wrong.
    """
    text = str(error)
    event(
        LOGGER,
        logging.DEBUG,
        "client fault",
        client=_address(client),
        error=text if len(text) <= LONGEST else text[:LONGEST] + "...",
    )


def _address(client: object) -> str | None:
    if not isinstance(client, tuple):
        return None  # on a unix socket
    host, port = client[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
