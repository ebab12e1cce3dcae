"""The accounts as targets for Prometheus' HTTP service discovery. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


def targets(names: Iterable[str], scheme: str, address: str, probe: str, own: str) -> bytes:
    """The document: one target group per account, and one for the exporter itself.

    Args:
        names: of the accounts.
        scheme: ``http`` or ``https``.
        address: ``host:port`` of this exporter.
        probe: path of the endpoint that scrapes one account.
        own: path of the endpoint with the exporter's own metrics.
    """
    secure = {"__scheme__": "https"} if scheme == "https" else {}
    accounts = [
        {"__metrics_path__": probe, "__param_account": name, "account": name} for name in names
    ]
    groups = [
        {"targets": [address], "labels": {**labels, **secure}}
        for labels in (*accounts, {"__metrics_path__": own})
    ]
    return msgspec.json.encode(groups)
