"""The accounts as targets, in the form of Prometheus' HTTP service discovery. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


def targets(names: Iterable[str], scheme: str, address: str, path: str) -> bytes:
    """The document: one group of one target for each account.

    Args:
        names: of the accounts.
        scheme: ``http`` or ``https``.
        address: ``host:port`` of this exporter.
        path: under which one account is scraped.
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
