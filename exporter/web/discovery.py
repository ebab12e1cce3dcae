"""The accounts as targets for Prometheus' HTTP service discovery. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


def targets(names: Iterable[str], scheme: str, address: str, path: str) -> bytes:
    """The document: one target group per account.

    Args:
        names: of the accounts.
        scheme: ``http`` or ``https``.
        address: ``host:port`` of this exporter.
        path: of the endpoint that scrapes one account.
    """
    secure = {"__scheme__": "https"} if scheme == "https" else {}
    groups = [
        {
            "targets": [address],
            "labels": {
                "__metrics_path__": path,
                "__param_account": name,
                "account": name,
                **secure,
            },
        }
        for name in names
    ]
    return msgspec.json.encode(groups)
